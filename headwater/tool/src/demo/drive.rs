//! Driving the bank: concurrent commands over HTTP, from clients that never give up on a command.
//!
//! A client repeats a command with the same `Idempotency-Key`, at another process of the service, until it has an answer.
//! Now and then it repeats one that was answered (H8), and reads what it has just written (H7).

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fastrand::Rng;
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use headwater::{
    CommitId, InvalidName, StreamId, Version,
    invariants::{Answer, Observation},
};
use indicatif::ProgressBar;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How far below zero an account may go, in minor units.
pub const OVERDRAFT_LIMIT: i64 = 1_000;
/// How long a client repeats a command.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a client waits for one answer.
const REQUEST: Duration = Duration::from_secs(20);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The addresses of each service's processes.
    pub services: BTreeMap<&'static str, Vec<String>>,
    /// What the accounts' names begin with.
    pub run: String,
    /// Accounts.
    pub accounts: usize,
    /// Commands on them.
    pub commands: usize,
    /// Commands under way at a time.
    pub clients: usize,
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
}

/// Why driving ended early.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The plan names no process of a service.
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

/// Opens the accounts, then drives the commands.
pub async fn drive(plan: Plan, progress: &ProgressBar) -> Result<Driven, DriveError> {
    let begin = Instant::now();
    let mut driven = Driven::new()?;
    let mut chance = Rng::with_seed(plan.seed);
    let openings = (0..plan.accounts).map(|account| Command::open(&plan, account));
    let openings: Vec<Command> = openings.collect::<Result<_, _>>()?;
    let commands = (0..plan.commands).map(|number| Command::draw(&mut chance, &plan, number));
    let commands: Vec<Command> = commands.collect::<Result<_, _>>()?;
    let clients =
        Clients { plan, http: Client::new(), conflicts: AtomicU64::new(0), retries: AtomicU64::new(0) };
    for commands in [openings, commands] {
        let mut done =
            stream::iter(commands).map(|command| clients.run(command)).buffer_unordered(clients.plan.clients);
        while let Some(done) = done.try_next().await? {
            driven.add(done);
            progress.inc(1);
        }
    }
    driven.counts.conflicts = clients.conflicts.into_inner();
    driven.counts.retries = clients.retries.into_inner();
    driven.elapsed = begin.elapsed();
    Ok(driven)
}

impl Driven {
    /// Nothing yet.
    pub fn new() -> Result<Self, DriveError> {
        Ok(Self {
            answers: Vec::new(),
            observations: Vec::new(),
            ledger: BTreeMap::new(),
            counts: Counts::default(),
            latency: Histogram::new_with_max(2 * micros(PATIENCE), 3)?,
            elapsed: Duration::ZERO,
        })
    }

    fn add(&mut self, done: Done) {
        let Done { command, versions, repeat, observations, micros } = done;
        self.observations.extend(observations);
        self.latency.saturating_record(micros);
        if versions.is_empty() {
            self.counts.rejected += 1;
            return;
        }
        self.counts.committed += 1;
        self.counts.repeats += u64::from(repeat);
        *self.ledger.entry(command.stream.clone()).or_default() += command.amount;
        let answer =
            |version| Answer { stream: command.stream.clone(), commit: command.key.clone(), version };
        self.answers.extend(versions.into_iter().map(answer));
    }
}

/// One command of the plan.
struct Command {
    service: &'static str,
    path: String,
    body: Value,
    stream: StreamId,
    key: CommitId,
    amount: i64,
    /// Where this command's own chance begins.
    seed: u64,
}

impl Command {
    fn open(plan: &Plan, account: usize) -> Result<Self, DriveError> {
        Ok(Self {
            service: "accounts",
            path: "/accounts".to_owned(),
            body: json!({"id": name(plan, account), "overdraft_limit": OVERDRAFT_LIMIT}),
            stream: StreamId::new("account", &name(plan, account))?,
            key: format!("open-{account}").parse()?,
            amount: 0,
            seed: plan.seed ^ account as u64,
        })
    }

    fn draw(chance: &mut Rng, plan: &Plan, number: usize) -> Result<Self, DriveError> {
        let account = name(plan, chance.usize(..plan.accounts.max(1)));
        let amount = chance.i64(1..500);
        let (service, amount) = if chance.bool() { ("credit", amount) } else { ("withdraw", -amount) };
        Ok(Self {
            service,
            path: format!("/accounts/{account}/{service}"),
            body: json!({"amount": amount.abs()}),
            stream: StreamId::new("account", &account)?,
            key: format!("command-{number}").parse()?,
            amount,
            seed: chance.u64(..),
        })
    }
}

fn name(plan: &Plan, account: usize) -> String {
    format!("{}-{account}", plan.run)
}

/// What became of one command.
struct Done {
    command: Command,
    /// The versions that its answers told; none where the domain refused it.
    versions: Vec<Version>,
    /// It was repeated, and the answer said so.
    repeat: bool,
    observations: Vec<Observation>,
    micros: u64,
}

/// What every answer about an account has.
#[derive(Deserialize)]
struct Account {
    version: Version,
    #[serde(default)]
    repeat: bool,
}

/// The clients of the bank.
struct Clients {
    plan: Plan,
    http: Client,
    conflicts: AtomicU64,
    retries: AtomicU64,
}

impl Clients {
    /// Sends a command, and perhaps repeats it and reads what it wrote.
    async fn run(&self, command: Command) -> Result<Done, DriveError> {
        let mut chance = Rng::with_seed(command.seed);
        let begin = Instant::now();
        let first = self.send(&command, &mut chance).await?;
        let micros = micros(begin.elapsed());
        let (mut versions, mut repeat, mut observations) = (Vec::new(), false, Vec::new());
        if let Some(account) = first {
            versions.push(account.version);
            if chance.u8(..20) == 0
                && let Some(again) = self.send(&command, &mut chance).await?
            {
                versions.push(again.version);
                repeat = again.repeat;
            }
            let id = command.stream.id();
            let reads = [
                ("accounts", format!("/accounts/{id}"), 10),
                ("balance", format!("/balance/{id}?token={}@{}", command.stream, account.version), 10),
            ];
            for (service, path, one_in) in reads {
                if chance.u8(..one_in) == 0 {
                    let seen = self.read(service, &path, &mut chance).await?.version;
                    let (stream, answered) = (command.stream.clone(), account.version);
                    observations.push(Observation { stream, answered, seen });
                }
            }
        }
        Ok(Done { command, versions, repeat, observations, micros })
    }

    /// Sends a command until it is answered; `None` where the domain refuses it.
    async fn send(&self, command: &Command, chance: &mut Rng) -> Result<Option<Account>, DriveError> {
        let request = |base: String| {
            let post = self.http.post(base + &command.path).json(&command.body);
            post.header("Idempotency-Key", command.key.as_str())
        };
        let (status, body) = self.answered(command.service, &command.path, chance, request).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => parse(&command.path, &body).map(Some),
            StatusCode::UNPROCESSABLE_ENTITY => Ok(None),
            _ => {
                Err(DriveError::Failed { request: command.path.clone(), found: format!("{status}: {body}") })
            }
        }
    }

    async fn read(&self, service: &'static str, path: &str, chance: &mut Rng) -> Result<Account, DriveError> {
        let request = |base: String| self.http.get(base + path);
        let (status, body) = self.answered(service, path, chance, request).await?;
        if status.is_success() {
            return parse(path, &body);
        }
        Err(DriveError::Failed { request: path.to_owned(), found: format!("{status}: {body}") })
    }

    /// Asks one process after the other until there is an answer.
    async fn answered(
        &self,
        service: &'static str,
        path: &str,
        chance: &mut Rng,
        request: impl Fn(String) -> RequestBuilder,
    ) -> Result<(StatusCode, String), DriveError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let processes = self.plan.services.get(service).filter(|processes| !processes.is_empty());
            let processes = processes.ok_or(DriveError::NoService(service))?;
            let base = processes[chance.usize(..processes.len())].clone();
            let found = match ask(request(base)).await {
                Ok((StatusCode::CONFLICT, _)) => {
                    self.conflicts.fetch_add(1, Ordering::Relaxed);
                    "a conflict, again and again".to_owned()
                }
                Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY, body)) => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    body
                }
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    error.to_string()
                }
            };
            if Instant::now() > deadline {
                return Err(DriveError::Failed { request: path.to_owned(), found });
            }
            tokio::time::sleep(Duration::from_millis(chance.u64(5..50))).await;
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

async fn ask(request: RequestBuilder) -> Result<(StatusCode, String), reqwest::Error> {
    let response = request.timeout(REQUEST).send().await?;
    Ok((response.status(), response.text().await?))
}

fn parse(request: &str, body: &str) -> Result<Account, DriveError> {
    let found = |error: serde_json::Error| format!("{error}: {body}");
    serde_json::from_str(body)
        .map_err(|error| DriveError::Failed { request: request.to_owned(), found: found(error) })
}
