//! What a good client does: it asks again, with the same key, at any process, until it has an answer that says something.

use std::time::Duration;

use fastrand::Rng;
use headwater::{Publication, Version, invariants::Observation};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;

use super::{DriveError, Plan, command::Command, micros, tally::Tally};

/// How long a client repeats a command.
const PATIENCE: Duration = Duration::from_mins(1);
/// One command in so many is repeated after its answer, and must be found to stand (H8).
const REPEATED: u8 = 20;
/// One command in so many is followed by a read at each place that can be read (H7).
const READ: u8 = 10;

/// What became of one command.
pub(super) struct Done {
    pub(super) command: Command,
    /// The versions that its answers told; none where the domain refused it.
    pub(super) versions: Vec<Version>,
    /// It was repeated, and the answer said so.
    pub(super) repeat: bool,
    /// An attempt had no answer.
    pub(super) unanswered: bool,
    /// Its events had not reached Kinesis when it was answered.
    pub(super) pending: bool,
    pub(super) observations: Vec<Observation>,
    /// From its first request to its answer.
    pub(super) micros: u64,
}

/// What every answer about an account has.
#[derive(Deserialize)]
struct Account {
    version: Version,
    #[serde(default)]
    repeat: bool,
    publication: Option<Publication>,
}

/// An answer that says something, and whether an attempt before it had none.
struct Answered {
    status: StatusCode,
    body: String,
    unanswered: bool,
}

/// The client of every command; its counts can be read while it works.
pub(super) struct Bank {
    pub(super) plan: Plan,
    pub(super) tally: Tally,
    http: Client,
}

impl Bank {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, tally: Tally::default(), http: Client::new() }
    }

    /// Sends a command, and perhaps repeats it and reads what it wrote.
    pub(super) async fn run(&self, command: Command) -> Result<Done, DriveError> {
        let mut chance = Rng::with_seed(command.seed);
        let begin = Instant::now();
        let (first, unanswered) = self.send(&command, &mut chance).await?;
        let micros = micros(begin.elapsed());
        let (mut versions, mut repeat, mut observations) = (Vec::new(), false, Vec::new());
        let pending = first.as_ref().is_some_and(|first| first.publication == Some(Publication::Pending));
        if let Some(account) = first {
            versions.push(account.version);
            if chance.u8(..REPEATED) == 0
                && let (Some(again), _) = self.send(&command, &mut chance).await?
            {
                versions.push(again.version);
                repeat = again.repeat;
            }
            let id = command.stream.id();
            let reads = [
                ("accounts", format!("/accounts/{id}")),
                ("balance", format!("/balance/{id}?token={}@{}", command.stream, account.version)),
            ];
            for (service, path) in reads {
                if chance.u8(..READ) == 0 {
                    let seen = self.read(service, &path, &mut chance).await?.version;
                    let (stream, answered) = (command.stream.clone(), account.version);
                    observations.push(Observation { stream, answered, seen });
                }
            }
        }
        Ok(Done { command, versions, repeat, unanswered, pending, observations, micros })
    }

    /// Sends a command again and again, until it is answered as published.
    pub(super) async fn publish(&self, command: Command) -> Result<Done, DriveError> {
        let mut chance = Rng::with_seed(command.seed);
        let (begin, mut unanswered) = (Instant::now(), false);
        loop {
            let (answer, without) = self.send(&command, &mut chance).await?;
            unanswered |= without;
            let pending =
                answer.as_ref().is_some_and(|account| account.publication == Some(Publication::Pending));
            if !pending {
                let versions = answer.into_iter().map(|account| account.version).collect();
                let (repeat, observations, micros) = (false, Vec::new(), micros(begin.elapsed()));
                return Ok(Done { command, versions, repeat, unanswered, pending, observations, micros });
            }
            if begin.elapsed() > PATIENCE {
                let found = format!("its events have not reached Kinesis after {PATIENCE:?}");
                return Err(DriveError::Failed { request: command.path, found });
            }
            pause(&mut chance).await;
        }
    }

    /// Sends a command until it is answered; `None` where the domain refuses it. Tells as well whether an attempt had no
    /// answer.
    async fn send(&self, command: &Command, chance: &mut Rng) -> Result<(Option<Account>, bool), DriveError> {
        let request = |base: String| {
            let post = self.http.post(base + &command.path).json(&command.body);
            post.header("Idempotency-Key", command.key.key().unwrap_or_default())
        };
        let Answered { status, body, unanswered } =
            self.answered(command.service, &command.path, chance, request).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok((Some(parse(&command.path, &body)?), unanswered)),
            StatusCode::UNPROCESSABLE_ENTITY => Ok((None, unanswered)),
            _ => {
                Err(DriveError::Failed { request: command.path.clone(), found: format!("{status}: {body}") })
            }
        }
    }

    async fn read(&self, service: &'static str, path: &str, chance: &mut Rng) -> Result<Account, DriveError> {
        let request = |base: String| self.http.get(base + path);
        let Answered { status, body, .. } = self.answered(service, path, chance, request).await?;
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
    ) -> Result<Answered, DriveError> {
        let deadline = Instant::now() + PATIENCE;
        let mut unanswered = false;
        loop {
            let base = self.plan.addresses.pick(service, chance).ok_or(DriveError::NoService(service))?;
            let found = match self.ask(request(base)).await {
                Ok((StatusCode::CONFLICT, _)) => {
                    self.tally.conflict();
                    "a conflict, again and again".to_owned()
                }
                Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY, body)) => {
                    self.tally.retry();
                    // The others say that nothing happened.
                    unanswered |= is_problem(&body, "unknown");
                    body
                }
                Ok((status, body)) => return Ok(Answered { status, body, unanswered }),
                Err(error) => {
                    self.tally.retry();
                    unanswered |= !error.is_connect();
                    error.to_string()
                }
            };
            if Instant::now() > deadline {
                return Err(DriveError::Failed { request: path.to_owned(), found });
            }
            pause(chance).await;
        }
    }

    async fn ask(&self, request: RequestBuilder) -> Result<(StatusCode, String), reqwest::Error> {
        let response = request.timeout(self.plan.request).send().await?;
        Ok((response.status(), response.text().await?))
    }
}

/// Whether an answer is a problem of this kind.
pub(super) fn is_problem(body: &str, kind: &str) -> bool {
    #[derive(Deserialize)]
    struct Problem<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    let problem = serde_json::from_str::<Problem<'_>>(body);
    problem.is_ok_and(|problem| problem.kind.strip_prefix("/problems/") == Some(kind))
}

async fn pause(chance: &mut Rng) {
    tokio::time::sleep(Duration::from_millis(chance.u64(5..50))).await;
}

fn parse(request: &str, body: &str) -> Result<Account, DriveError> {
    let found = |error: serde_json::Error| format!("{error}: {body}");
    serde_json::from_str(body)
        .map_err(|error| DriveError::Failed { request: request.to_owned(), found: found(error) })
}
