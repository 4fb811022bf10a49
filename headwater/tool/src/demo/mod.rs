//! `headwater demo`: the whole pipeline under load, then every invariant checked over what really stands.
//!
//! 1. [`cluster`](crate::cluster) starts what `up` starts, with several processes of each service;
//! 2. [`drive`](crate::drive) sends concurrent commands over HTTP, behind users who compete for names;
//! 3. the Lambdas catch up: views and archive;
//! 4. [`check`](crate::check) checks every invariant over what stands, and says what was found; the exit code is 0 only if
//!    every invariant holds.

use std::{path::PathBuf, time::Duration};

use headwater::port::{Entropy, SystemEntropy};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Failure, Output,
    check::{CheckError, Summary, check},
    cluster::{Cluster, ClusterError, Options, Relay},
    drive::{DriveError, Plan, drive, register},
    up::stopped,
};

/// How long views and archive may take to catch up.
const CATCH_UP: Duration = Duration::from_mins(1);
/// Passes of the relay: the demo is over in seconds.
const RELAY: Relay = Relay::every_seconds(2);
/// How long a client waits for one answer: longer than any service takes.
const REQUEST: Duration = Duration::from_secs(20);

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
    Check(#[from] CheckError),
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
    // Left at once, the cluster takes its processes along.
    let summary = tokio::select! {
        summary = demo(&args) => summary?,
        told = stopped() => return Err(told.map_or_else(|error| Failure::Other(error.into()), |()| Failure::Stopped)),
    };
    let mut output = Output::stdout(args.json);
    output.line(&summary)?;
    output.flush()?;
    if summary.holds() { Ok(()) } else { Err(DemoError::Broken(summary.violations.len()).into()) }
}

async fn demo(args: &Args) -> Result<Summary, DemoError> {
    let bar = progress(u64::from(args.accounts) + u64::from(args.commands));
    let (processes, data) = (args.processes as usize, args.data.clone());
    let options = Options { data, processes, relay: Some(RELAY), ..Options::default() };
    let cluster = Cluster::start(options, |step| bar.set_message(format!("starting {step}"))).await?;
    bar.set_message("commands");
    let plan = Plan {
        addresses: cluster.addresses(),
        // Names of their own, so that a second run in the same directory is not a repeat of the first.
        run: format!("{:.6}", SystemEntropy.unique()),
        accounts: args.accounts as usize,
        clients: args.clients as usize,
        request: REQUEST,
        seed: args.seed,
    };
    let names = args.accounts as usize / 4;
    register(&plan, names).await?;
    let driven = drive(plan, args.commands as usize, &bar).await?;
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

fn progress(commands: u64) -> ProgressBar {
    let bar = ProgressBar::new(commands);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
