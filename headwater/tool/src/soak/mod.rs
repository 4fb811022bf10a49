//! `headwater soak`: the whole pipeline under load and under faults for a while, then every invariant, and memory.
//!
//! 1. [`cluster`](crate::cluster) starts what `up` starts, with several processes of each service;
//! 2. clients send commands without a pause ([`drive`](crate::drive)), while
//!    `faults` spoils some of the requests to AWS, and `killer` kills and freezes processes;
//! 3. `memory` takes samples of every process meanwhile;
//! 4. when the time is over, faults and kills end, the clients get their answers, and every account is written once more: what
//!    a dead process had committed and not published, the next writer publishes (H6);
//! 5. the services end, the Lambdas catch up;
//! 6. [`check`](crate::check) checks every invariant over what stands, [`flat`] says of memory whether it is bounded;
//! 7. `figures` says what was found; the exit code is 0 only if every promise was kept and no role's memory grows.

mod faults;
mod figures;
pub mod flat;
mod killer;
mod memory;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use headwater::{
    StoreError,
    port::{Entropy, SystemEntropy},
    read::Reader,
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::SignedDuration;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::{faults::Faults, figures::Progress, killer::Killer, memory::Memory};
pub use self::{
    faults::{Kind, Rate},
    figures::Figures,
    killer::Deed,
    memory::{LOCAL_AWS, RoleMemory},
};
use crate::{
    Failure, Output,
    check::{CheckError, Summary, check},
    cluster::{Cluster, ClusterError, FAILURES, Options, Relay, STREAM},
    drive::{Clients, DriveError, Driven, Plan},
    output::complain,
    up::stopped,
};

/// How long views and archive may take to catch up.
const CATCH_UP: Duration = Duration::from_mins(2);
/// How long a client waits for one answer.
const REQUEST: Duration = Duration::from_secs(10);
/// How long an invocation of a Lambda may take: a frozen one is killed then.
const INVOCATION: Duration = Duration::from_secs(10);
/// Passes of the relay: many, and over heads that writers are at.
const RELAY: Relay = Relay::every_seconds(5);
/// Samples of memory in all, but not more than one a second.
const SAMPLES: u32 = 300;
/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(15);

/// Runs the whole pipeline on free ports for a while, with clients that never rest, while requests to AWS are lost, cut, slow
/// or refused and processes die. Then checks every invariant over what stands, and whether memory is bounded. Exit code 0 only
/// if all holds.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How long, as 90s or 10m.
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = time)]
    time: Duration,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many requests meet a fault, and how many processes die.
    #[arg(long, value_enum, default_value_t = Rate::Some)]
    faults: Rate,
    /// Processes of each service; of several, the first is not killed, for its memory to be judged.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    processes: u32,
    /// Accounts that the commands compete for.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    accounts: u32,
    /// Commands under way at a time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Keep everything in this directory, to be looked at afterwards.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let text =
        if text.bytes().all(|byte| byte.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() };
    let time: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let time = Duration::try_from(time).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) { Err("must be a second at least".to_owned()) } else { Ok(time) }
}

/// Why a soak ended without figures, or with bad ones.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// The cluster did not start, or a process that was killed did not start again.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A client could not get its answer.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The evidence could not be read.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// What was given up could not be counted.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The memory of processes can't be read here.
    #[error("the memory of processes can't be read: {0}")]
    Memory(#[from] sysinfo::Error),
    /// A Lambda did not catch up.
    #[error("views and archive have not caught up after {CATCH_UP:?}: see the messages above")]
    Behind,
    /// A promise was not kept, or memory grows.
    #[error("not all held: the figures say what; run again with the same --seed")]
    Broken,
}

impl From<SoakError> for Failure {
    fn from(error: SoakError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// What a soak is like.
#[derive(Debug, Clone)]
pub struct Soak {
    /// How long.
    pub time: Duration,
    /// Where chance begins.
    pub seed: u64,
    /// How many faults.
    pub rate: Rate,
    /// Processes of each service.
    pub processes: usize,
    /// Accounts that the commands compete for.
    pub accounts: usize,
    /// Commands under way at a time.
    pub clients: usize,
    /// Where everything is kept; in memory without it.
    pub data: Option<PathBuf>,
}

/// Runs the soak.
pub async fn run(args: Args) -> Result<(), Failure> {
    let plan = Soak {
        time: args.time,
        seed: args.seed,
        rate: args.faults,
        processes: args.processes as usize,
        accounts: args.accounts as usize,
        clients: args.clients as usize,
        data: args.data,
    };
    let bar = spinner();
    // Left at once, the cluster takes its processes along.
    let figures = tokio::select! {
        figures = soak(&plan, &bar) => figures?,
        told = stopped() => return Err(told.map_or_else(|error| Failure::Other(error.into()), |()| Failure::Stopped)),
    };
    let mut output = Output::stdout(args.json);
    output.line(&figures)?;
    output.flush()?;
    if figures.holds() { Ok(()) } else { Err(SoakError::Broken.into()) }
}

/// Soaks; `bar` shows how far it is.
pub async fn soak(plan: &Soak, bar: &ProgressBar) -> Result<Figures, SoakError> {
    let options = Options {
        data: plan.data.clone(),
        processes: plan.processes,
        invocation: INVOCATION,
        relay: Some(RELAY),
        ..Options::default()
    };
    let cluster = Cluster::start(options, |step| bar.set_message(format!("starting {step}"))).await?;
    let clients = Clients::new(Plan {
        addresses: cluster.addresses(),
        run: format!("{:.6}", SystemEntropy.unique()),
        accounts: plan.accounts,
        clients: plan.clients,
        request: REQUEST,
        seed: plan.seed,
    });
    let run = Run {
        plan,
        cluster: &cluster,
        clients: &clients,
        faults: Faults::new(plan.rate, plan.seed),
        killer: Killer::new(&cluster, plan.processes),
        bar,
    };
    let (mut driven, memory, mut unruly) = run.work().await?;
    let elapsed = driven.elapsed;

    bar.set_message("faults are over, every account is written once more");
    clients.settle(&mut driven, &ProgressBar::hidden()).await?;
    // The rate is that of the commands under faults.
    driven.elapsed = elapsed;
    bar.set_message("the services end");
    unruly.extend(cluster.ended());
    unruly.extend(cluster.stop_services().await);
    bar.set_message("views and archive catch up");
    let begin = Instant::now();
    if !cluster.drain(CATCH_UP).await {
        return Err(SoakError::Behind);
    }
    let lag = begin.elapsed();
    bar.set_message("checking every invariant");
    let aws = cluster.clients().await?;
    let counts = cluster.aws().counts();
    let found = check(&aws, &driven).await?;
    let figures = Figures {
        seconds: elapsed.as_secs_f64(),
        seed: plan.seed,
        rate: plan.rate,
        requests: counts.total().requests,
        faults: run.faults.happened(),
        deeds: run.killer.done(),
        doubtful: driven.doubtful.len() as u64,
        given_up: Reader::new(&aws.ports(FAILURES, STREAM)).keys("").await?.len() as u64,
        object_bytes: cluster.aws().stored().bytes,
        record_bytes: counts.of("kinesis:PutRecords").bytes_in,
        memory: memory.roles(plan.time),
        unruly: unruly.into_iter().map(str::to_owned).collect(),
        summary: Summary::new(&driven, &found, lag),
    };
    cluster.stop(CATCH_UP).await;
    bar.finish_and_clear();
    Ok(figures)
}

/// Services whose processes did not do as they should.
type Unruly = BTreeSet<&'static str>;

/// What goes on until the time is over.
struct Run<'a> {
    plan: &'a Soak,
    cluster: &'a Cluster,
    clients: &'a Clients,
    faults: Faults,
    killer: Killer<'a>,
    bar: &'a ProgressBar,
}

impl Run<'_> {
    /// Clients, killer and watch at the same time; the watch ends them, and the faults before.
    async fn work(&self) -> Result<(Driven, Memory, Unruly), SoakError> {
        self.cluster.aws().on_request(self.faults.clone());
        let (stop, stopped) = watch::channel(false);
        let drive = async {
            let (mut driven, hidden) = (Driven::new()?, ProgressBar::hidden());
            self.clients.open(&mut driven, &hidden).await?;
            self.clients.send(|| !*stopped.borrow(), &mut driven, &hidden).await?;
            Ok::<_, SoakError>(driven)
        };
        let kill = async {
            let pause = self.plan.rate.between_kills();
            Ok(self.killer.run(pause, self.plan.seed, stop.subscribe()).await?)
        };
        let watch = async {
            let watched = self.watch(Memory::new()?).await;
            self.cluster.aws().pass_requests();
            stop.send_replace(true);
            Ok(watched)
        };
        let (driven, (), (memory, unruly)) = tokio::try_join!(drive, kill, watch)?;
        Ok((driven, memory, unruly))
    }

    /// Takes samples and shows how far it is, until the time is over.
    async fn watch(&self, mut memory: Memory) -> (Memory, Unruly) {
        let begin = Instant::now();
        let pause = (self.plan.time / SAMPLES).max(Duration::from_secs(1));
        let mut unruly = Unruly::new();
        let (mut before, mut written) = ((Duration::ZERO, 0), Duration::ZERO);
        loop {
            let at = begin.elapsed();
            memory.sample(at, &self.cluster.processes());
            unruly.extend(self.cluster.ended());
            let so_far = self.clients.so_far();
            let done = Duration::from_secs(so_far.commands - before.1);
            let progress = Progress {
                at,
                whole: self.plan.time,
                so_far,
                rate: done.div_duration_f64(at.saturating_sub(before.0).max(Duration::from_millis(1))),
                deeds: self.killer.done(),
                faults: self.faults.happened(),
                memory: [
                    memory.now(|role| role != LOCAL_AWS && !role.ends_with(memory::LAMBDA)),
                    memory.now(|role| role.ends_with(memory::LAMBDA)),
                    memory.now(|role| role == LOCAL_AWS),
                ],
            };
            before = (at, so_far.commands);
            self.bar.set_message(progress.line());
            if self.bar.is_hidden() && at >= written + LINES {
                complain(&progress.line());
                written = at;
            }
            if at >= self.plan.time {
                return (memory, unruly);
            }
            sleep_until((begin + at + pause).min(begin + self.plan.time)).await;
        }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        assert_eq!(time("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(time("1h30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "0", "-5m", "soon", "1ms"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
