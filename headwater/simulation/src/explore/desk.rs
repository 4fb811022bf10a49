//! The desk of a process: its calls wait here for an answer, and what its callers are told is noted here.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use headwater::{
    DeadlinePassed, Publication, Reason, StoreError, Version,
    format::key,
    port::{
        Batch, Cursor, ETag, Entry, EntryError, Got, Keys, Listing, Log, LogError, ObjectError, Objects,
        Position, Precondition, Sequence, Shard, Start, Token,
    },
};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::request::{Answer, Request};

/// Where a caller is: at which step, and at which attempt of it, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    pub(super) caller: usize,
    pub(super) step: usize,
    pub(super) attempt: u8,
}

/// What a caller was told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    pub(super) turn: Turn,
    pub(super) what: Word,
}

/// What it was told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Word {
    Committed {
        version: Version,
        repeat: bool,
        publication: bool,
        state: Vec<String>,
    },
    Loaded {
        version: Version,
        state: Vec<String>,
    },
    Conflict {
        actual: Version,
    },
    Unknown(String),
    Unavailable {
        reason: String,
        /// It waited until its deadline.
        late: bool,
    },
    /// What no case gives a reason for.
    Absurd(String),
}

/// The desk.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<Papers>);

#[derive(Debug, Default)]
pub(super) struct Papers {
    calls: u32,
    /// What waits for an answer, by the number of the call.
    pub(super) waiting: BTreeMap<u32, (Request, oneshot::Sender<Answer>)>,
    pub(super) told: Vec<Told>,
    /// The callers that are not through yet.
    pub(super) turns: BTreeMap<usize, Turn>,
}

impl Desk {
    pub(super) fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, request: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let call = {
            let mut papers = self.papers();
            papers.calls += 1;
            let call = papers.calls;
            papers.waiting.insert(call, (request, reply));
            call
        };
        let _leaving = Leaving(self, call);
        match answer.await {
            Ok(answer) => answer,
            Err(_) => pending().await,
        }
    }
}

/// A call that nobody waits for any more leaves the desk.
struct Leaving<'a>(&'a Desk, u32);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.papers().waiting.remove(&self.1);
    }
}

impl Told {
    /// The same without what is only looked at when it is told.
    pub(super) fn gist(&self) -> Self {
        let what = match &self.what {
            Word::Committed { version, repeat, .. } => {
                Word::Committed { version: *version, repeat: *repeat, publication: true, state: Vec::new() }
            }
            Word::Loaded { version, .. } => Word::Loaded { version: *version, state: Vec::new() },
            Word::Unknown(_) => Word::Unknown(String::new()),
            Word::Unavailable { .. } => Word::Unavailable { reason: String::new(), late: false },
            Word::Conflict { .. } | Word::Absurd(_) => self.what.clone(),
        };
        Self { turn: self.turn, what }
    }
}

impl Word {
    pub(super) fn failed(error: &StoreError) -> Self {
        match error {
            StoreError::Conflict { actual, .. } => Self::Conflict { actual: *actual },
            StoreError::Unknown { reason, .. } => Self::Unknown(reason.to_string()),
            StoreError::Unavailable(reason) => {
                Self::Unavailable { reason: reason.to_string(), late: reason.is::<DeadlinePassed>() }
            }
            _ => Self::Absurd(error.to_string()),
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Committed { version, repeat, publication, .. } => {
                write!(f, "it is version {version}")?;
                f.write_str(if *repeat { ", a repeat" } else { "" })?;
                f.write_str(if *publication { "" } else { ", its publication pending" })
            }
            Self::Loaded { version, .. } => write!(f, "the state at {version}"),
            Self::Conflict { actual } => write!(f, "conflict, the stream is at {actual}"),
            Self::Unknown(reason) => write!(f, "unknown: {reason}"),
            Self::Unavailable { reason, .. } => write!(f, "unavailable: {reason}"),
            Self::Absurd(error) => f.write_str(error),
        }
    }
}

/// Published, and not pending.
pub(super) fn published(publication: Publication) -> bool {
    publication == Publication::Published
}

/// The bucket and the log of a process: every call waits at its desk.
#[derive(Debug, Clone)]
pub(super) struct Gate(pub(super) Arc<Desk>);

fn unused(what: &str) -> Reason {
    format!("an explored process does not {what}").into()
}

fn lost() -> Reason {
    "the answer was lost".into()
}

#[async_trait]
impl Objects for Gate {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        Err(ObjectError::Refused(unused("ask for the time")))
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        if key == key::WATERMARK {
            // Nobody writes it: reading it commutes with everything that anybody does.
            return Ok(Got::Missing);
        }
        match self.0.ask(Request::Get { key: key.to_owned(), known: known.cloned() }).await {
            Answer::Got(got) => Ok(got),
            _ => Err(ObjectError::Unknown(lost())),
        }
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        match self.0.ask(Request::Put { key: key.to_owned(), body, only }).await {
            Answer::Put(put) => put,
            _ => Err(ObjectError::Unknown(lost())),
        }
    }

    async fn delete(&self, _: &str, _: &ETag) -> Result<(), ObjectError> {
        Err(ObjectError::Refused(unused("delete")))
    }

    async fn list(&self, _: &Keys, _: Option<&Token>) -> Result<Listing, ObjectError> {
        Err(ObjectError::Refused(unused("list")))
    }
}

#[async_trait]
impl Log for Gate {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        let Answer::Records(taken) = self.0.ask(Request::PutRecords(entries.to_vec())).await else {
            return Err(LogError::Unknown(lost()));
        };
        // The place of a record is nothing to a writer.
        let sequence = || Sequence::try_from("0".to_owned()).map_err(|error| LogError::Refused(error.into()));
        let answer = |taken: bool| -> Result<Result<Position, EntryError>, LogError> {
            Ok(if taken {
                Ok(Position { shard: String::new(), sequence: sequence()? })
            } else {
                Err(EntryError::throttled())
            })
        };
        taken.into_iter().map(answer).collect()
    }

    async fn shards(&self) -> Result<Vec<Shard>, LogError> {
        Err(LogError::Refused(unused("read the log")))
    }

    async fn cursor(&self, _: &str, _: &Start) -> Result<Cursor, LogError> {
        Err(LogError::Refused(unused("read the log")))
    }

    async fn read(&self, _: &Cursor, _: usize) -> Result<Batch, LogError> {
        Err(LogError::Refused(unused("read the log")))
    }
}
