//! Driving the bank: concurrent commands over HTTP, from clients that never give up on a command.
//!
//! 1. [`Clients::open`] opens the accounts;
//! 2. [`Clients::send`] sends commands that the seed draws, until it is told to stop: a client repeats a command with the same
//!    `Idempotency-Key`, at any process of the service, until it has an answer. Now and then it repeats one that was
//!    answered (H8), and reads what it has just written (H7);
//! 3. [`Clients::settle`] writes to every account once more, where processes have died: what they had committed and not
//!    published is published by the next writer, today (H6).
//!
//! [`register()`] lets users compete for names. What was answered is in [`Driven`], for the check.

mod client;
mod command;
mod names;
mod tally;

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use futures::{TryStreamExt, stream};
use hdrhistogram::Histogram;
use headwater::{
    CommitId, InvalidName, StreamId,
    invariants::{Answer, Observation},
};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::Instant;

use self::{
    client::{Bank, Done},
    command::Command,
};
pub use self::{names::register, tally::SoFar};
use crate::cluster::Addresses;

/// How far below zero an account may go, in minor units.
pub const OVERDRAFT_LIMIT: i64 = 1_000;
/// The longest latency that is told apart.
const LONGEST: Duration = Duration::from_mins(2);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the services are.
    pub addresses: Addresses,
    /// What the accounts' names begin with.
    pub run: String,
    /// Accounts.
    pub accounts: usize,
    /// Commands under way at a time.
    pub clients: usize,
    /// How long a client waits for one answer.
    pub request: Duration,
    /// Where chance begins.
    pub seed: u64,
}

/// What was done, and what the clients were told.
#[derive(Debug)]
pub struct Driven {
    /// Every answer to a command that committed.
    pub answers: Vec<Answer>,
    /// Every read after a write.
    pub observations: Vec<Observation>,
    /// What each account must have, by the answers, in minor units.
    pub ledger: BTreeMap<StreamId, i64>,
    /// Commands that the domain refused after an attempt that had no answer, with their amounts. That attempt may have been
    /// decided later than the one that was answered, and have committed.
    pub doubtful: Vec<(StreamId, CommitId, i64)>,
    /// What happened, counted.
    pub counts: Counts,
    /// From a command's first request to its answer, in microseconds.
    pub latency: Histogram<u64>,
    /// How long it took in all.
    pub elapsed: Duration,
}

/// What happened, counted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Counts {
    /// Commands that committed.
    pub committed: u64,
    /// Commands that the domain refused.
    pub rejected: u64,
    /// Answers of 409: another writer was first five times, and the client tried again.
    pub conflicts: u64,
    /// Requests that were repeated for want of an answer.
    pub retries: u64,
    /// Commands that were repeated after their answer, and found to stand.
    pub repeats: u64,
    /// Commands that were answered before Kinesis had their events.
    pub pending: u64,
}

/// Why driving ended early.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// There is no process of a service.
    #[error("there is no process of the service {0}")]
    NoService(&'static str),
    /// A client got an answer that no client should get, or none in time.
    #[error("{request}: {found}")]
    Failed {
        /// What was asked.
        request: String,
        /// What came back.
        found: String,
    },
    /// The seed makes a name that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Latencies could not be recorded.
    #[error(transparent)]
    Latency(#[from] hdrhistogram::CreationError),
}

/// Opens the accounts, then drives so many commands.
pub async fn drive(plan: Plan, commands: usize, progress: &ProgressBar) -> Result<Driven, DriveError> {
    let (clients, mut driven) = (Clients::new(plan), Driven::new()?);
    clients.open(&mut driven, progress).await?;
    let mut left = commands;
    let more = || left.checked_sub(1).inspect(|now| left = *now).is_some();
    clients.send(more, &mut driven, progress).await?;
    Ok(driven)
}

/// The clients of the bank.
pub struct Clients(Bank);

impl Clients {
    /// Clients that follow a plan.
    pub fn new(plan: Plan) -> Self {
        Self(Bank::new(plan))
    }

    /// What they have met so far.
    pub fn so_far(&self) -> SoFar {
        self.0.tally.read()
    }

    /// Opens the accounts.
    pub async fn open(&self, driven: &mut Driven, progress: &ProgressBar) -> Result<(), DriveError> {
        let openings = (0..self.0.plan.accounts).map(|account| Command::open(&self.0.plan, account));
        self.all(openings, driven, progress, |command| self.0.run(command)).await
    }

    /// Sends commands for as long as there shall be `more`.
    pub async fn send(
        &self,
        mut more: impl FnMut() -> bool,
        driven: &mut Driven,
        progress: &ProgressBar,
    ) -> Result<(), DriveError> {
        let mut chance = Rng::with_seed(self.0.plan.seed);
        let commands = (0..).map(|number| Command::draw(&mut chance, &self.0.plan, number));
        let commands = commands.take_while(|_| more());
        self.all(commands, driven, progress, |command| self.0.run(command)).await
    }

    /// Credits every account once more, until that is answered as published.
    pub async fn settle(&self, driven: &mut Driven, progress: &ProgressBar) -> Result<(), DriveError> {
        let last = (0..self.0.plan.accounts).map(|account| Command::last(&self.0.plan, account));
        self.all(last, driven, progress, |command| self.0.publish(command)).await
    }

    async fn all<F: Future<Output = Result<Done, DriveError>>>(
        &self,
        commands: impl Iterator<Item = Result<Command, DriveError>>,
        driven: &mut Driven,
        progress: &ProgressBar,
        run: impl Fn(Command) -> F,
    ) -> Result<(), DriveError> {
        let begin = Instant::now();
        let before = self.so_far();
        let done = stream::iter(commands).map_ok(run).try_buffer_unordered(self.0.plan.clients);
        let mut done = std::pin::pin!(done);
        while let Some(done) = done.try_next().await? {
            self.0.tally.answer();
            driven.add(done);
            progress.inc(1);
        }
        let now = self.so_far();
        driven.counts.conflicts += now.conflicts - before.conflicts;
        driven.counts.retries += now.retries - before.retries;
        driven.elapsed += begin.elapsed();
        Ok(())
    }
}

impl Driven {
    /// Nothing yet.
    pub fn new() -> Result<Self, DriveError> {
        Ok(Self {
            answers: Vec::new(),
            observations: Vec::new(),
            ledger: BTreeMap::new(),
            doubtful: Vec::new(),
            counts: Counts::default(),
            latency: Histogram::new_with_max(micros(LONGEST), 3)?,
            elapsed: Duration::ZERO,
        })
    }

    fn add(&mut self, done: Done) {
        let Done { command, versions, repeat, unanswered, pending, observations, micros } = done;
        self.observations.extend(observations);
        self.latency.saturating_record(micros);
        if versions.is_empty() {
            self.counts.rejected += 1;
            if unanswered {
                self.doubtful.push((command.stream, command.key, command.amount));
            }
            return;
        }
        self.counts.committed += 1;
        self.counts.repeats += u64::from(repeat);
        self.counts.pending += u64::from(pending);
        *self.ledger.entry(command.stream.clone()).or_default() += command.amount;
        let answer =
            |version| Answer { stream: command.stream.clone(), commit: command.key.clone(), version };
        self.answers.extend(versions.into_iter().map(answer));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
