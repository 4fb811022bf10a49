//! `headwater replay`: every event of the archive once, in version order per stream; shards side by side. Or every commit, as
//! `headwater import` takes it in.

use archiver::replay::{Replay, Replayed};
use clap::Args as Arguments;
use futures::TryStreamExt;
use headwater::{
    InvalidName, StreamId, Version,
    format::{identity::Names, key},
    port::Got,
};
use indicatif::{HumanCount, ProgressBar};
use jiff::civil::Date;
use tokio::time::Instant;

use crate::{
    event::{self, CommitLine},
    failure::Failure,
    output::{Output, complain, counter},
    target::{Connection, Need, Target},
};

/// Events between two steps of the progress.
const STEP: u64 = 1_000;

/// Show every event of the archive, in version order per stream
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// Only streams of this kind, as account
    #[arg(long, value_parser = kind)]
    pub kind: Option<String>,
    /// Only what arrived on this day (UTC) or later, as 2026-11-21
    #[arg(long, value_name = "DATE")]
    pub from: Option<Date>,
    /// JSON lines: stream, version, type, schema, data, commit, at, meta
    #[arg(long)]
    pub json: bool,
    /// JSON lines with a commit each, which `headwater import` takes in: a store anew from its archive
    #[arg(long, conflicts_with = "json")]
    pub commits: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// A kind of streams, as a flag names it.
pub(crate) fn kind(text: &str) -> Result<String, InvalidName> {
    StreamId::new(text, "1")?;
    Ok(text.to_owned())
}

/// What was replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments of the archive from the day on.
    pub segments: u64,
    /// Commits.
    pub commits: u64,
    /// Their events.
    pub events: u64,
}

/// Shows the events on stdout and a summary on stderr.
pub async fn run(args: Args) -> Result<(), Failure> {
    let connection = args.target.connect(&[Need::Archive]).await?;
    let (began, bar) = (Instant::now(), counter());
    let mut output = Output::stdout(args.json || args.commits);
    let lines = if args.commits { Lines::Commits } else { Lines::Events };
    let shown = show(&connection, args.kind.as_deref(), args.from, lines, &mut output, &bar).await;
    bar.finish_and_clear();
    let Summary { segments, commits, events } = shown?;
    if segments == 0 && args.from.is_none() {
        known(&connection).await?;
    }
    let took = began.elapsed();
    let speed = u128::from(events) * 1_000 / took.as_millis().max(1);
    let [segments, commits, events] = [segments, commits, events].map(HumanCount);
    let speed = HumanCount(u64::try_from(speed).unwrap_or(u64::MAX));
    let took = took.as_secs_f64();
    complain(&format!(
        "{events} events of {commits} commits in {segments} segments, {took:.1} s ({speed} events/s)"
    ));
    Ok(())
}

/// An archive without a segment of the stream has its store's identity at least: else another stream or archive was meant.
async fn known(connection: &Connection) -> Result<(), Failure> {
    let Names { stream, archive, .. } = &connection.names;
    match connection.archive.get(&key::archived_identity(stream), None).await? {
        Got::Missing => Err(Failure::NotArchived { stream: stream.clone(), archive: archive.clone() }),
        Got::Found { .. } | Got::Unchanged => Ok(()),
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// An event.
    Events,
    /// A commit.
    Commits,
}

/// Shows what is in the archive, of one kind of stream or of all, from a day on or from the beginning.
pub async fn show(
    connection: &Connection,
    kind: Option<&str>,
    from: Option<Date>,
    lines: Lines,
    output: &mut Output,
    bar: &ProgressBar,
) -> Result<Summary, Failure> {
    let stream = &connection.names.stream;
    let mut replay = Replay::new(connection.archive.clone(), connection.ports.entropy.clone(), stream);
    if let Some(day) = from {
        replay = replay.from(day);
    }
    if let Some(kind) = kind {
        replay = replay.kind(kind);
    }
    let segments = replay.segments().await?;
    let mut summary = Summary { segments, ..Summary::default() };
    bar.set_message(format!("events of {} segments", HumanCount(segments)));
    let mut commits = std::pin::pin!(replay.commits());
    while let Some(Replayed { archived, .. }) = commits.try_next().await? {
        match lines {
            Lines::Events => {
                for line in event::lines(&archived.stream, &archived.commit, Version::new(1), true) {
                    output.line(&line)?;
                }
            }
            Lines::Commits => output.line(&CommitLine::new(&archived.stream, &archived.commit))?,
        }
        let before = summary.events / STEP;
        summary.events += archived.commit.events.len() as u64;
        if summary.events / STEP > before {
            bar.set_position(summary.events);
        }
        summary.commits += 1;
    }
    output.flush()?;
    Ok(summary)
}
