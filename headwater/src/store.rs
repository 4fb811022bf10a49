//! The store: where a command becomes a commit, and a stream becomes a state again.

use std::{error::Error, sync::Arc, time::Duration};

use futures::Stream;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::{
    aggregate::Aggregate,
    claim::Claim,
    commit::{AppendTask, Cache, Call, ExecuteTask, Lanes},
    error::StoreError,
    event::StoredEvent,
    format::commit::{Commit, Meta},
    id::{CommitId, StreamId, Token, Version},
    limits,
    load::{self, Folded},
    port::Ports,
    read::Reader,
};

/// How much longer than its deadline a caller waits for the word that its time is over.
const GRACE: Duration = Duration::from_secs(1);

/// What a stream must be for a commit to go on top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Anything, nothing as well.
    #[default]
    Any,
    /// It must not exist.
    NoStream,
    /// It must be at exactly this version.
    Exact(Version),
    /// This commit must be its newest, which need not stand yet: of calls that are made together, none can take the place of
    /// one before it, as it could where only versions are compared and somebody else wrote as many events. Never merged.
    After(CommitId),
}

/// What to do when somebody else committed first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Load again and decide again, up to 5 times with jitter.
    #[default]
    Retry,
    /// Answer [`StoreError::Conflict`].
    Abandon,
    /// Put the same events on top, if [`Aggregate::merge`] says that they stay right; else as `Abandon`. What the state that
    /// the caller expected refuses is decided on the newest one.
    Merge,
}

/// How a command is executed, or events are appended.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The caller's name for the commit, within its stream: a repeat commits once and gets the first answer (H8), for at
    /// least [`Settings::repeats_for`] after the commit. An id that tells when it was made (a UUID of version 7 as text with
    /// dashes, a ULID) is looked for as far back, and is [`StoreError::Invalid`] when that is more than
    /// [`BORN_BEFORE`](crate::limits::BORN_BEFORE) ago. Fresh if not given.
    pub commit_id: Option<CommitId>,
    /// Where a repeat may be, instead: anywhere after this version, whenever it was committed and however many came since; and
    /// at no version before. With [`limits::VERSION`] nothing is a repeat, for callers who have read the
    /// stream themselves and say with `expected` what they found.
    pub repeats_after: Option<Version>,
    /// What the stream must be.
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
    /// How long a claim whose owner does not hold the value is taken to be on its way. Less is no less safe, and makes
    /// commands in flight lose more often; more makes a value wait longer that a crash left behind.
    pub claim_patience: Duration,
    /// Bytes of heads that stay in memory.
    pub cache_bytes: u64,
    /// How long a commit id is known at least after its commit: a repeat within that time commits nothing (H8).
    pub repeats_for: Duration,
    /// Commit ids of older commits of one stream that stay in memory, each some 40 bytes; of all streams together at most twice
    /// as many. Where one stream has more of them within [`Self::repeats_for`], its commands with a caller's id are [`StoreError::Unavailable`].
    pub known_ids: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(15),
            publish_patience: Duration::from_secs(2),
            linger: Duration::from_millis(2),
            claim_patience: Duration::from_secs(30),
            cache_bytes: 64 << 20,
            repeats_for: limits::REPEATS_FOR,
            known_ids: limits::KNOWN_IDS,
        }
    }
}

/// An event store on one bucket and one stream. Cheap to clone; clones share their cache and their queues.
#[derive(Clone)]
pub struct Store {
    ports: Ports,
    settings: Arc<Settings>,
    reader: Reader,
    cache: Arc<Cache>,
    lanes: Lanes,
}

impl Store {
    /// A store on these ports.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, where nothing could publish.
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let reader = Reader::new(&ports);
        let cache = Arc::new(Cache::new(settings.cache_bytes));
        let lanes = Lanes::new(&ports, reader.clone(), Arc::clone(&cache), &settings);
        Self { ports, settings: Arc::new(settings), reader, cache, lanes }
    }

    /// Decides `command` on the aggregate `id` and commits its events.
    ///
    /// Commands for one aggregate queue behind one another and are committed together. Dropping the future does not stop
    /// the command.
    pub async fn execute<A: Aggregate>(
        &self,
        id: &str,
        command: A::Command,
        options: Options,
    ) -> Result<Executed<A>, ExecuteError<A::Rejection>> {
        let stream = StreamId::new(A::KIND, id).map_err(StoreError::from)?;
        let call = self.call(stream, options)?;
        let lost = call.unknown("no answer before the deadline");
        let (task, answer) = ExecuteTask::<A>::new(call, command);
        self.lanes.submit(Box::new(task));
        match timeout(self.settings.deadline + GRACE, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(lost.into()),
        }
    }

    /// Commits `events` as they are. Nobody folds them: where an aggregate of that kind holds unique values, those that they
    /// gain are not claimed.
    ///
    /// A commit id that names a commit with other events is [`StoreError::Reused`]; the text of their data is compared.
    pub async fn append(
        &self,
        stream: &StreamId,
        events: Vec<StoredEvent>,
        options: Options,
    ) -> Result<Appended, StoreError> {
        let call = self.call(stream.clone(), options)?;
        let lost = call.unknown("no answer before the deadline");
        let (task, answer) = AppendTask::new(call, events);
        self.lanes.submit(Box::new(task));
        match timeout(self.settings.deadline + GRACE, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(lost),
        }
    }

    /// The newest state of the aggregate `id`: sees every commit that was answered before (H7).
    pub async fn load<A: Aggregate>(&self, id: &str) -> Result<Loaded<A>, StoreError> {
        let stream = StreamId::new(A::KIND, id)?;
        let known = self.cache.refresh(&self.reader, &stream, self.cache.get(&stream)).await?;
        let version = known.head.version;
        if let Some(state) = known.state::<A>() {
            return Ok(Loaded { state: state.clone(), version });
        }
        let state: A = load::fold(&self.reader, &known.head, version).await?;
        self.cache.folded(&known, Arc::new(Folded(state.clone())));
        Ok(Loaded { state, version })
    }

    /// The stream of `A` whose state holds a unique value now; `None` where the value is free.
    pub async fn holder<A: Aggregate>(&self, claim: &Claim) -> Result<Option<StreamId>, StoreError> {
        self.lanes.claims().held_by::<A>(claim).await
    }

    /// The commits of a stream that hold versions from `from` on, in version order, a page at a time.
    pub fn read(
        &self,
        stream: &StreamId,
        from: Version,
    ) -> impl Stream<Item = Result<Arc<Commit>, StoreError>> + Send + use<> {
        self.reader.stream(stream.clone(), from)
    }

    /// Waits until everything that was committed here has been published, or `patience` is over; tells how many streams
    /// still have something under way.
    pub async fn drain(&self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        while self.lanes.busy() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.lanes.busy()
    }

    /// The reader of streams.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    fn call(&self, stream: StreamId, options: Options) -> Result<Call, StoreError> {
        let settings = &self.settings;
        Call::new(&self.ports, stream, options, Instant::now() + settings.deadline, settings.repeats_for)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("settings", &self.settings)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}
