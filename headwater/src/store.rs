//! The store: where a command becomes a commit, and a stream becomes a state again.

use std::{error::Error, sync::Arc, time::Duration};

use futures::Stream;
use jiff::Timestamp;

use crate::{
    aggregate::Aggregate,
    error::StoreError,
    event::StoredEvent,
    format::commit::{Commit, Meta},
    id::{CommitId, StreamId, Token, Version},
    port::Ports,
    read::Reader,
};

/// The version that a stream must be at for a commit to go on top.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expected {
    /// Any version, none as well.
    #[default]
    Any,
    /// The stream must not exist.
    NoStream,
    /// Exactly this version.
    Exact(Version),
}

/// What to do when somebody else committed first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Load again and decide again, up to 5 times with jitter.
    #[default]
    Retry,
    /// Answer [`StoreError::Conflict`].
    Abandon,
    /// Put the same events on top, if [`Aggregate::merge`] says that they stay right; else as `Abandon`.
    Merge,
}

/// How a command is executed, or events are appended.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The caller's name for the commit: a repeat commits once and gets the first answer (H8). Fresh if not given.
    pub commit_id: Option<CommitId>,
    /// The version that the stream must be at.
    pub expected: Expected,
    /// What to do when somebody else committed first.
    pub on_conflict: OnConflict,
    /// What travels beside the events.
    pub meta: Meta,
    /// When it happened, for histories that are imported; now if not given.
    pub at: Option<Timestamp>,
}

/// Whether a commit has reached Kinesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publication {
    /// Kinesis has it.
    Published,
    /// It is committed, and Kinesis does not take it yet; this process goes on trying.
    Pending,
}

/// A command that was executed.
#[derive(Debug, Clone)]
pub struct Executed<A> {
    /// The state after it.
    pub state: A,
    /// The stream and its version after it.
    pub token: Token,
    /// What was committed; `None` where the decision was that nothing needs to happen.
    pub commit: Option<Arc<Commit>>,
    /// The commit stood already, from an earlier call with the same commit id.
    pub repeat: bool,
    /// Whether the commit has reached Kinesis.
    pub publication: Publication,
}

/// Events that were appended.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The commit.
    pub commit: Arc<Commit>,
    /// The commit stood already, from an earlier call with the same commit id.
    pub repeat: bool,
    /// Whether the commit has reached Kinesis.
    pub publication: Publication,
}

/// A state that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The version that it stands at; [`Version::ZERO`] where the stream has no events.
    pub version: Version,
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: Error> {
    /// The domain said no: tell the user.
    #[error(transparent)]
    Rejected(R),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a store waits and remembers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a command may take in all.
    pub deadline: Duration,
    /// How long an answer waits for Kinesis before it says [`Publication::Pending`].
    pub publish_patience: Duration,
    /// How long a record waits for company while another call is under way.
    pub linger: Duration,
    /// Bytes of heads that stay in memory.
    pub cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(15),
            publish_patience: Duration::from_secs(2),
            linger: Duration::from_millis(2),
            cache_bytes: 64 << 20,
        }
    }
}

/// An event store on one bucket and one stream. Cheap to clone; clones share their cache and their queues.
#[derive(Debug, Clone)]
pub struct Store {
    reader: Reader,
}

impl Store {
    /// A store on these ports; needs a tokio runtime.
    pub fn new(ports: Ports, _settings: Settings) -> Self {
        Self { reader: Reader::new(&ports) }
    }

    /// Decides `command` on the aggregate `id` and commits its events.
    pub async fn execute<A: Aggregate>(
        &self,
        _id: &str,
        _command: A::Command,
        _options: Options,
    ) -> Result<Executed<A>, ExecuteError<A::Rejection>> {
        Err(StoreError::Unavailable("not built yet".to_owned()).into())
    }

    /// Commits `events` as they are.
    pub async fn append(
        &self,
        _stream: &StreamId,
        _events: Vec<StoredEvent>,
        _options: Options,
    ) -> Result<Appended, StoreError> {
        Err(StoreError::Unavailable("not built yet".to_owned()))
    }

    /// The newest state of the aggregate `id`: sees every commit that was answered before (H7).
    pub async fn load<A: Aggregate>(&self, _id: &str) -> Result<Loaded<A>, StoreError> {
        Err(StoreError::Unavailable("not built yet".to_owned()))
    }

    /// The commits of a stream with versions from `from` on, in version order.
    pub fn read(
        &self,
        _stream: &StreamId,
        _from: Version,
    ) -> impl Stream<Item = Result<Arc<Commit>, StoreError>> + Send {
        futures::stream::empty()
    }

    /// Waits until everything that was committed here has been published, or `patience` is over; tells how many commits
    /// are still not.
    pub async fn drain(&self, _patience: Duration) -> usize {
        0
    }

    /// The reader of streams.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}
