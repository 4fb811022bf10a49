//! `headwater rebuild`: a projection's views are made anew from the archive, while the old ones serve and events go on coming.
//!
//! 1. The new views are made of the archive, beside the old; the Lambdas feed both from the beginning on.
//! 2. Every stream's head is looked at for what the archive does not have yet.
//! 3. The new views serve.
//! 4. The old ones are deleted.
//!
//! `docs/rebuild.md` says why nothing is missing in between. A projection is code: this command has the bank's.

use archiver::{
    rebuild::{Options, Progress, Rebuilt, rebuild},
    replay::Replay,
};
use bank::{Account, Portfolio};
use clap::{Args as Arguments, ValueEnum};
use consumers::{balance::Balances, credit_limit::CreditLimits, exceptions::Exceptions};
use headwater::{
    Aggregate,
    consume::{Begin, Projection, Projector},
};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::sync::Arc;
use tokio::time::Instant;

use crate::{
    failure::Failure,
    output::{Line, Output, Paint, complain},
    target::{Need, Target},
};

/// Make all views of a projection anew from the archive, while the old ones serve and events go on coming
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The projection; deploy it before, for its Lambda feeds the new views too
    pub projection: Views,
    /// Go on with the views of a rebuild that was stopped, if the projection has not changed since
    #[arg(long)]
    pub resume: bool,
    /// Leave the old views where they are
    #[arg(long)]
    pub keep: bool,
    /// The Kinesis stream that credit-limit forwards its changes to; they are published once more, as repeats
    #[arg(
        long,
        env = "HEADWATER_FORWARD",
        value_name = "NAME",
        required_if_eq("projection", CreditLimits::NAME)
    )]
    pub forward: Option<String>,
    /// What was rebuilt, as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// The projections whose views this command was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Views {
    /// What is in each account
    #[value(name = Balances::NAME)]
    Balance,
    /// What the bank would lend
    #[value(name = CreditLimits::NAME)]
    CreditLimit,
    /// Who has too many accounts
    #[value(name = Exceptions::NAME)]
    Exceptions,
}

/// Rebuilds, and shows on stdout what was rebuilt.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut output = Output::stdout(args.json);
    let begin = if args.resume { Begin::Resumed } else { Begin::Anew };
    let options = Options { begin, keep: args.keep };
    let bar = bar();
    let ended = run_on(&args, options, &bar, &mut output).await;
    bar.finish_and_clear();
    ended
}

async fn run_on(
    args: &Args,
    options: Options,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<(), Failure> {
    // What a projection forwards goes to a stream of its own; of the store's stream only the archive is read.
    let (target, needs): (Target, &[Need]) =
        match args.forward.clone().filter(|_| args.projection == Views::CreditLimit) {
            Some(stream) => (
                Target { forward: Some(stream), ..args.target.clone() },
                &[Need::Writes, Need::Archive, Need::Stream],
            ),
            None => (args.target.clone(), &[Need::Writes, Need::Archive]),
        };
    let connection = target.connect(needs).await?;
    let (ports, stream) = (&connection.ports, connection.names.stream.as_str());
    let replay = |kind| {
        let (archive, entropy) = (Arc::clone(&connection.archive), Arc::clone(&ports.entropy));
        Replay::new(archive, entropy, stream).kind(kind)
    };
    match args.projection {
        Views::Balance => {
            show(&Projector::new(Balances, ports), &replay(Account::KIND), options, bar, output).await
        }
        Views::Exceptions => {
            show(&Projector::new(Exceptions, ports), &replay(Portfolio::KIND), options, bar, output).await
        }
        Views::CreditLimit => {
            complain("what was forwarded is forwarded once more: its consumers know a repeat by its version");
            let projector = Projector::forwarding(CreditLimits, ports, Arc::clone(&ports.log));
            show(&projector, &replay(Account::KIND), options, bar, output).await
        }
    }
}

/// Rebuilds a projection from what is replayed, and shows what was rebuilt.
pub async fn show<P: Projection>(
    projector: &Projector<P>,
    replay: &Replay,
    options: Options,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<(), Failure> {
    let began = Instant::now();
    let rebuilt = rebuild(projector, replay, options, |progress| follow(bar, began, progress)).await?;
    let Rebuilt { generation, commits, events, streams, deleted, left, .. } = rebuilt;
    if let Some(left) = &left {
        complain(&format!(
            "old views were left: {left}; they serve nobody, and the next rebuild deletes them"
        ));
    }
    let seconds = began.elapsed().as_secs_f64();
    output.line(&Ended {
        projection: P::NAME,
        generation,
        commits,
        events,
        streams,
        deleted,
        left,
        seconds,
    })?;
    output.flush()
}

/// A bar of segments, of which nobody knows yet how many there are.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {msg} {elapsed}, {eta} to go") {
        bar.set_style(style);
    }
    bar
}

fn follow(bar: &ProgressBar, began: Instant, progress: Progress) {
    match progress {
        Progress::Archive { segments, of, events } => {
            let speed = u128::from(events) * 1_000 / began.elapsed().as_millis().max(1);
            let speed = HumanCount(u64::try_from(speed).unwrap_or(u64::MAX));
            bar.set_length(of.max(segments));
            bar.set_position(segments);
            bar.set_message(format!("{} events ({speed} events/s)", HumanCount(events)));
        }
        Progress::Heads(streams) => bar.set_message(format!("{} heads looked at", HumanCount(streams))),
        Progress::Switched => bar.set_message("the new views serve"),
        Progress::Deleted(views) => bar.set_message(format!("{} old views deleted", HumanCount(views))),
    }
}

/// What was rebuilt, as a line.
#[derive(Debug, Serialize)]
struct Ended {
    projection: &'static str,
    /// The generation that serves now.
    generation: u32,
    /// Commits of the archive.
    commits: u64,
    events: u64,
    /// Streams whose heads were looked at.
    streams: u64,
    /// Old views.
    deleted: u64,
    /// Old views that could not be deleted, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
    seconds: f64,
}

impl Line for Ended {
    fn human(&self, paint: Paint) -> String {
        let Self { projection, generation, seconds, .. } = self;
        let [commits, events, streams, deleted] =
            [self.commits, self.events, self.streams, self.deleted].map(HumanCount);
        let name = paint.key(projection);
        format!(
            "{name}: generation {generation} serves, made of {events} events of {commits} commits and {streams} heads in \
             {seconds:.1} s; {deleted} old views deleted"
        )
    }
}
