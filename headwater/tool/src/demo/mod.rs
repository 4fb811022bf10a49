//! `headwater demo`: the whole pipeline under load, then every invariant checked over what really stands.
//!
//! 1. [`cluster`](crate::cluster) starts what `up` starts, with several processes of each service;
//! 2. [`drive`] sends concurrent commands over HTTP;
//! 3. the Lambdas catch up: views and archive;
//! 4. [`evidence`](headwater::evidence) reads S3, Kinesis, views and segments, and the invariants are checked over it;
//! 5. `summary` says what was found; the exit code is 0 only if every invariant holds.

pub mod drive;
mod summary;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use archiver::{chain::ChainError, replay::Replay};
use bank::{Account, AccountEvent};
use consumers::{balance::Balances, credit_limit::CreditLimits};
use futures::TryStreamExt;
use headwater::{
    Aggregate, StoreError,
    aws::Clients,
    consume::Forward,
    evidence::Evidence,
    invariants::History,
    port::{Entropy, SystemEntropy},
};
use indicatif::{ProgressBar, ProgressStyle};

use self::drive::{DriveError, Driven, OVERDRAFT_LIMIT, Plan};
pub use self::summary::Summary;
use crate::{
    Failure, Output,
    cluster::{ARCHIVE, Cluster, ClusterError, Options, Ports, SERVICES, STORE, STREAM},
};

/// How long views and archive may take to catch up.
const CATCH_UP: Duration = Duration::from_mins(1);

/// Starts what `up` starts on free ports, drives concurrent commands over HTTP, and checks every invariant over what then
/// stands. Exit code 0 only if all hold.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Accounts that the commands compete for.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    accounts: u32,
    /// Commands.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    commands: u32,
    /// Commands under way at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Processes of each service.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    processes: u32,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep everything in this directory, to be looked at afterwards; in memory without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Why the demo ended without a summary, or with a bad one.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The cluster did not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A client could not get its answer.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The evidence could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be replayed.
    #[error(transparent)]
    Archive(#[from] ChainError),
    /// A Lambda did not catch up.
    #[error("views and archive have not caught up after {CATCH_UP:?}: see the messages above")]
    Behind,
    /// A promise was not kept.
    #[error("{0} violations: the summary names them; run again with the same --seed")]
    Broken(usize),
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Runs the demo.
pub async fn run(args: Args) -> Result<(), Failure> {
    let summary = demo(&args).await?;
    let mut output = Output::stdout(args.json);
    output.line(&summary)?;
    output.flush()?;
    if summary.holds() { Ok(()) } else { Err(DemoError::Broken(summary.violations.len()).into()) }
}

async fn demo(args: &Args) -> Result<Summary, DemoError> {
    let bar = progress(u64::from(args.accounts) + u64::from(args.commands));
    let (processes, data) = (args.processes as usize, args.data.clone());
    let options = Options { ports: Ports::Free, data, processes, shards: 4, lambdas: true };
    let cluster = Cluster::start(options, |step| bar.set_message(format!("starting {step}"))).await?;
    bar.set_message("commands");
    let plan = Plan {
        services: SERVICES.iter().map(|(service, _)| (*service, cluster.urls(service))).collect(),
        // Names of their own, so that a second run in the same directory is not a repeat of the first.
        run: format!("{:.6}", SystemEntropy.unique()),
        accounts: args.accounts as usize,
        commands: args.commands as usize,
        clients: args.clients as usize,
        seed: args.seed,
    };
    let driven = drive::drive(plan, &bar).await?;
    bar.set_message("views and archive catch up");
    let begin = tokio::time::Instant::now();
    if !cluster.drain(CATCH_UP).await {
        return Err(DemoError::Behind);
    }
    let lag = begin.elapsed();
    bar.set_message("checking every invariant");
    let found = check(&cluster.clients().await?, &driven).await?;
    bar.set_message("stopping");
    cluster.stop(CATCH_UP).await;
    bar.finish_and_clear();
    Ok(Summary::new(&driven, &found, lag))
}

/// What a check found.
#[derive(Debug)]
pub struct Found {
    /// What stands.
    pub evidence: Evidence,
    /// Segments of the archive.
    pub segments: u64,
    /// What is broken of the invariants and of the bank's own promises.
    pub violations: Vec<String>,
}

/// Checks every invariant over what stands, and against what callers were told.
pub async fn check(clients: &Clients, driven: &Driven) -> Result<Found, DemoError> {
    let (evidence, segments) = gather(clients).await?;
    let mut violations: Vec<String> = evidence.violations().iter().map(ToString::to_string).collect();
    violations.extend(evidence.told(&driven.answers, &driven.observations).iter().map(ToString::to_string));
    violations.extend(money(&evidence.histories, driven));
    Ok(Found { evidence, segments, violations })
}

/// What stands, and how many segments hold it.
async fn gather(clients: &Clients) -> Result<(Evidence, u64), DemoError> {
    let ports = clients.ports(STORE, STREAM);
    let replay = Replay::new(Arc::new(clients.objects(ARCHIVE)), Arc::clone(&ports.entropy), STREAM);
    let mut evidence = Evidence::gather(&ports).await?;
    let commits = replay.commits().map_ok(|replayed| (replayed.archived.stream, replayed.archived.commit));
    evidence.replayed(commits.try_collect::<Vec<_>>().await?);
    evidence.projected(&ports, &Balances, |_, _, _| Ok(())).await?;
    let derive = |limits: &CreditLimits, view: &mut _, stream: &_| limits.derive(view, stream).map(drop);
    evidence.projected(&ports, &CreditLimits, derive).await?;
    Ok((evidence, replay.count().await?.segments))
}

/// The bank's own promises: every account has what the answers say, and none was ever below its overdraft limit.
fn money(histories: &BTreeMap<headwater::StreamId, History>, driven: &Driven) -> Vec<String> {
    let mut violations = Vec::new();
    for (stream, expected) in &driven.ledger {
        let (mut account, mut lowest) = (Account::default(), 0);
        for stored in histories
            .get(stream)
            .iter()
            .flat_map(|history| &history.commits)
            .flat_map(|commit| &commit.events)
        {
            match stored.decode::<AccountEvent>() {
                Ok(event) => account.evolve(&event),
                Err(error) => violations.push(format!("{stream}: {error}")),
            }
            lowest = lowest.min(account.balance().get());
        }
        if account.balance().get() != *expected {
            violations.push(format!("{stream} has {}, the answers make {expected}", account.balance()));
        }
        if lowest < -OVERDRAFT_LIMIT {
            violations
                .push(format!("{stream} was at {lowest}, below its overdraft limit of {OVERDRAFT_LIMIT}"));
        }
    }
    violations
}

fn progress(commands: u64) -> ProgressBar {
    let bar = ProgressBar::new(commands);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
