//! Tasks: a command that is to be executed, events that are to be appended.
//!
//! A task decides, perhaps several times, each time on a newer draft, and is answered once.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{claim::Claims, draft::Draft, ids::Back};
use crate::{
    aggregate::Aggregate,
    error::StoreError,
    event::{EventError, StoredEvent},
    format::{
        commit::{CAUSATION, Commit, Meta, check_at, check_meta},
        key,
    },
    id::{CommitId, StreamId, Token, Version},
    ijson::InvalidPart,
    limits,
    load::{self, Folded},
    port::{Clock, Ports},
    read::Reader,
    reason::Reason,
    schema::Schemas,
    store::{Appended, ExecuteError, Executed, Expected, OnConflict, Options, Publication},
    trace,
};

/// How often a command is decided again before it is a conflict.
const RETRIES: u32 = 5;

/// What a task made of a draft.
pub(crate) enum Decision {
    /// A commit, which is in the draft now.
    Commit,
    /// A commit that stands, or is in the draft, already.
    Repeat(Version),
    /// Nothing is to be committed.
    Nothing,
    /// The draft has no room left: again in the next round.
    Later,
}

/// One caller's wish.
#[async_trait]
pub(crate) trait Task: Send + Sync {
    /// Decides on top of the draft. An error is this task's answer, if the draft proves to be the newest state.
    async fn decide(
        &mut self,
        draft: &mut Draft,
        reader: &Reader,
        claims: &Claims,
    ) -> Result<Decision, StoreError>;

    /// What the task has in common with every other.
    fn call(&mut self) -> &mut Call;

    /// Answers the caller. The caller may have left.
    fn answer(self: Box<Self>, end: Result<Publication, StoreError>);
}

/// What every task carries.
pub(crate) struct Call {
    pub(super) stream: StreamId,
    pub(super) commit_id: CommitId,
    pub(super) deadline: Instant,
    /// The commit's own, or the caller's: what is told of the commit is told within it.
    pub(super) span: Span,
    options: Options,
    /// How far back its commit may be; `None` where its id was drawn for this call: it is nowhere.
    back: Option<Back>,
    clock: Arc<dyn Clock>,
    losses: u32,
}

impl Call {
    /// A call on `stream`; without a commit id it gets a fresh one. One that is given is known for at least `repeats_for`.
    pub(crate) fn new(
        ports: &Ports,
        stream: StreamId,
        mut options: Options,
        deadline: Instant,
        repeats_for: Duration,
    ) -> Result<Self, StoreError> {
        check_meta(&options.meta)?;
        let (commit_id, back) = match (options.commit_id.take(), options.repeats_after) {
            (Some(id), Some(after)) => (id, Some(Back::After(after))),
            (Some(id), None) => {
                let back = back(&id, ports.clock.now(), repeats_for)?;
                (id, Some(Back::For(back)))
            }
            (None, _) => (CommitId::of_key(&ports.entropy.unique())?, None),
        };
        let span = trace::commit(&stream, &commit_id, &mut options.meta);
        let clock = Arc::clone(&ports.clock);
        Ok(Self { stream, commit_id, deadline, span, options, back, clock, losses: 0 })
    }

    /// Whether its commit stands is unknown.
    pub(crate) fn unknown(&self, reason: impl Into<Reason>) -> StoreError {
        let (stream, commit) = (self.stream.clone(), self.commit_id.clone());
        StoreError::Unknown { stream, commit, reason: reason.into() }
    }

    /// The versions of its commit, if that stands or is drafted already, as far back as a repeat is looked for.
    async fn find(
        &self,
        draft: &mut Draft,
        reader: &Reader,
    ) -> Result<Option<(Version, Version)>, StoreError> {
        let Some(before) = self.commit_id.before_origins() else {
            return self.find_id(&self.commit_id, draft, reader).await;
        };
        // A process's: nobody else can have its id, but what an import brought, or an older version's process, is looked at.
        if let Some(found) = self.find_id(&self.commit_id, draft, reader).await? {
            if self.has_our_cause(found.0, draft, reader).await? {
                return Ok(Some(found));
            }
            let (stream, commit) = (self.stream.clone(), self.commit_id.clone());
            return Err(StoreError::Reused { stream, commit });
        }
        match self.find_id(&before, draft, reader).await? {
            Some(found) if self.has_our_cause(found.0, draft, reader).await? => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// As [`Self::find`], for one id.
    async fn find_id(
        &self,
        id: &CommitId,
        draft: &mut Draft,
        reader: &Reader,
    ) -> Result<Option<(Version, Version)>, StoreError> {
        match self.back {
            Some(back) => draft.find(reader, id, back).await,
            None => Ok(None),
        }
    }

    /// Whether the commit that begins at `first` followed from the stream that this one follows from.
    async fn has_our_cause(
        &self,
        first: Version,
        draft: &Draft,
        reader: &Reader,
    ) -> Result<bool, StoreError> {
        let cause = |meta: &Meta| {
            let cause = meta.get(CAUSATION)?.as_str()?;
            Some(cause.rsplit_once('@')?.0.to_owned())
        };
        let found = draft.commit_at(reader, first).await?;
        Ok(found.is_some_and(|found| cause(&found.meta) == cause(&self.options.meta)))
    }

    /// Its commit is to be the stream's first.
    pub(super) fn expects_no_stream(&self) -> bool {
        matches!(self.options.expected, Expected::NoStream | Expected::Exact(Version::ZERO))
    }

    /// Somebody else committed first.
    pub(super) fn lost(&mut self) {
        self.losses += 1;
    }

    fn conflict(&self, actual: Version) -> StoreError {
        let expected = match self.options.expected {
            Expected::Any | Expected::After(_) => None,
            Expected::NoStream => Some(Version::ZERO),
            Expected::Exact(version) => Some(version),
        };
        StoreError::Conflict { stream: self.stream.clone(), expected, actual }
    }

    /// Whether a commit may go on top of the draft, merging aside.
    fn allows(&self, draft: &Draft) -> Result<(), StoreError> {
        let version = draft.version();
        let expected = match &self.options.expected {
            Expected::Any => true,
            Expected::NoStream => version == Version::ZERO,
            Expected::Exact(expected) => version == *expected,
            Expected::After(id) => draft.newest().is_some_and(|newest| newest.id == *id),
        };
        let again = match self.options.on_conflict {
            // A decision that can be merged never comes here; one that cannot, for it stood on a draft that lost, is made anew.
            OnConflict::Retry | OnConflict::Merge => self.losses <= RETRIES,
            OnConflict::Abandon => self.losses == 0,
        };
        if expected && again { Ok(()) } else { Err(self.conflict(version)) }
    }

    fn commit(&self, after: Version, events: Vec<StoredEvent>) -> Result<Arc<Commit>, StoreError> {
        if events.is_empty() || events.len() > limits::COMMIT_EVENTS {
            let rule = format!("must be 1 to {}, are {}", limits::COMMIT_EVENTS, events.len());
            return Err(StoreError::Invalid { field: "events", rule });
        }
        for (index, event) in events.iter().enumerate() {
            event.check().map_err(|InvalidPart { path, rule }| StoreError::Invalid {
                field: "events",
                rule: format!("[{index}]{path} {rule}"),
            })?;
        }
        let at = check_at(self.options.at.unwrap_or_else(|| self.clock.now()))?;
        let (first, last) = (after.next(), after.plus(events.len() as u64));
        if last.get() > limits::VERSION {
            let rule = format!("would make version {last}, the most is {}", limits::VERSION);
            return Err(StoreError::Invalid { field: "events", rule });
        }
        Ok(Arc::new(Commit {
            id: self.commit_id.clone(),
            first,
            last,
            at,
            events,
            meta: self.options.meta.clone(),
        }))
    }
}

/// How long ago a commit of a caller's id may have been written, by what its id tells.
fn back(id: &CommitId, now: Timestamp, repeats_for: Duration) -> Result<SignedDuration, StoreError> {
    let window = SignedDuration::try_from(repeats_for).unwrap_or(SignedDuration::MAX);
    let Some(born) = id.born() else { return Ok(window) };
    let (age, most) = (now.duration_since(born), limits::BORN_BEFORE);
    if age > SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX) {
        let hours = most.as_secs() / 3600;
        let rule = format!("tells that it was made at {born}, must be at most {hours} hours old");
        return Err(StoreError::Invalid { field: "commit id", rule });
    }
    Ok(window.max(age))
}

/// What the caller of a command is told.
type Answer<A> = Result<Executed<A>, ExecuteError<<A as Aggregate>::Rejection>>;

/// A command on an aggregate.
pub(crate) struct ExecuteTask<A: Aggregate> {
    call: Call,
    command: A::Command,
    /// What was decided: kept for a merge.
    decided: Option<Decided<A>>,
    end: Option<Result<Executed<A>, A::Rejection>>,
    reply: oneshot::Sender<Answer<A>>,
}

/// A decision.
struct Decided<A: Aggregate> {
    /// The version that it stands on.
    on: Version,
    /// That version is committed, and not only drafted.
    committed: bool,
    events: Vec<A::Event>,
}

impl<A: Aggregate> ExecuteTask<A> {
    /// The task, and where its answer will come.
    pub(crate) fn new(call: Call, command: A::Command) -> (Self, oneshot::Receiver<Answer<A>>) {
        let (reply, answer) = oneshot::channel();
        (Self { call, command, decided: None, end: None, reply }, answer)
    }

    fn executed(&self, state: A, version: Version, commit: Option<Arc<Commit>>, repeat: bool) -> Executed<A> {
        let token = Token { stream: self.call.stream.clone(), version };
        Executed { state, token, commit, repeat, publication: Publication::Published }
    }

    /// The commit stands, and this answer must not deny it.
    fn standing(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Unavailable(_) | StoreError::Denied(_) | StoreError::NewerSchema { .. } => {
                self.call.unknown(error)
            }
            error => error,
        }
    }

    /// The state at `version`, where a commit ends, of the base or of the draft.
    async fn state_at(draft: &Draft, reader: &Reader, version: Version) -> Result<A, StoreError> {
        let newest = draft.state.as_ref().and_then(|state| state.any().downcast_ref::<A>());
        if let Some(state) = newest.filter(|_| version == draft.version()) {
            return Ok(state.clone());
        }
        let base = &draft.base;
        let at_base = base.state::<A>().filter(|_| version >= base.head.version).cloned();
        let mut state = match at_base {
            Some(state) => state,
            None => load::fold(reader, &base.head, version.min(base.head.version)).await?,
        };
        let drafted = draft.commits.iter().filter(|commit| commit.last <= version);
        load::evolve(&mut state, &base.head.stream, drafted)?;
        Ok(state)
    }

    /// The version that the decision stands on: the newest, unless it is one to be merged.
    fn basis(&self, draft: &Draft) -> Result<Version, StoreError> {
        let newest = draft.version();
        match (self.call.options.on_conflict, &self.call.options.expected, &self.decided) {
            (OnConflict::Merge, Expected::Any | Expected::NoStream | Expected::Exact(_), Some(decided)) => {
                Ok(decided.on)
            }
            (OnConflict::Merge, Expected::Exact(version), None) if *version < newest => Ok(*version),
            _ => self.call.allows(draft).map(|()| newest),
        }
    }

    /// Whether what was decided stays right on top of what others committed.
    async fn merges(
        &self,
        decided: &Decided<A>,
        draft: &Draft,
        reader: &Reader,
        state: &A,
    ) -> Result<bool, StoreError> {
        let committed = reader.commits(&draft.base.head, decided.on).await?;
        let drafted = draft.commits.iter().filter(|commit| commit.first > decided.on);
        let others = load::events::<A>(&self.call.stream, committed.iter().chain(drafted))?;
        load::guard(&self.call.stream, || state.merge(&decided.events, &others))
    }
}

#[async_trait]
impl<A: Aggregate> Task for ExecuteTask<A> {
    async fn decide(
        &mut self,
        draft: &mut Draft,
        reader: &Reader,
        claims: &Claims,
    ) -> Result<Decision, StoreError> {
        self.end = None;
        if let Some((first, last)) = self.call.find(draft, reader).await? {
            let state = Self::state_at(draft, reader, last).await.map_err(|error| self.standing(error))?;
            let commit = draft.commit_at(reader, first).await?;
            self.end = Some(Ok(self.executed(state, last, commit, true)));
            return Ok(Decision::Repeat(first));
        }
        // What was decided on a draft that lost was decided on a state that never was.
        self.decided
            .take_if(|decided| !decided.committed || self.call.options.on_conflict != OnConflict::Merge);
        let newest = draft.version();
        let mut state = Self::state_at(draft, reader, newest).await?;
        let mut on = self.basis(draft)?;
        let decided = if let Some(decided) = self.decided.take() {
            decided
        } else {
            let decide = |basis: &A| load::guard(&self.call.stream, || basis.decide(&self.command));
            let older = if on < newest { Some(Self::state_at(draft, reader, on).await?) } else { None };
            let mut decided = decide(older.as_ref().unwrap_or(&state))?;
            if decided.is_err() && on < newest {
                // What an older state refuses, the newest may allow: only its no is an answer.
                (on, decided) = (newest, decide(&state)?);
            }
            match decided {
                Ok(events) => Decided { on, committed: on <= draft.base.head.version, events },
                Err(rejection) => {
                    self.end = Some(Err(rejection));
                    return Ok(Decision::Nothing);
                }
            }
        };
        if on < newest && !self.merges(&decided, draft, reader, &state).await? {
            return Err(self.call.conflict(newest));
        }
        let decided = self.decided.insert(decided);
        if decided.events.is_empty() {
            self.end = Some(Ok(self.executed(state, newest, None, false)));
            return Ok(Decision::Nothing);
        }
        let commit = self.call.commit(newest, encode::<A>(&decided.events)?)?;
        let Some(bytes) = draft.room(&commit)? else { return Ok(Decision::Later) };
        let (held, holds) = load::guard(&self.call.stream, || {
            let held = state.claims();
            decided.events.iter().for_each(|event| state.evolve(event));
            (held, state.claims())
        })?;
        if held != holds {
            draft.claim::<A>(claims, &held, holds, self.call.deadline).await?;
        }
        draft.push(Arc::clone(&commit), bytes, self.call.back.is_some());
        draft.state = Some(Arc::new(Folded(state.clone())));
        self.end = Some(Ok(self.executed(state, commit.last, Some(commit), false)));
        Ok(Decision::Commit)
    }

    fn call(&mut self) -> &mut Call {
        &mut self.call
    }

    fn answer(self: Box<Self>, end: Result<Publication, StoreError>) {
        let answer = match (end, self.end) {
            (Ok(publication), Some(Ok(executed))) => Ok(Executed { publication, ..executed }),
            (Ok(_), Some(Err(rejection))) => Err(ExecuteError::Rejected(rejection)),
            (Ok(_), None) => Err(StoreError::Unavailable("the command was not decided".into()).into()),
            (Err(error), _) => Err(error.into()),
        };
        // The caller may have left.
        let _ = self.reply.send(answer);
    }
}

fn encode<A: Aggregate>(events: &[A::Event]) -> Result<Vec<StoredEvent>, StoreError> {
    let invalid = |error: EventError| StoreError::Invalid { field: "events", rule: error.to_string() };
    events.iter().map(|event| Schemas::of::<A>().encode(event)).collect::<Result<_, _>>().map_err(invalid)
}

/// Events that are appended as they are.
pub(crate) struct AppendTask {
    call: Call,
    events: Vec<StoredEvent>,
    end: Option<Appended>,
    reply: oneshot::Sender<Result<Appended, StoreError>>,
}

impl AppendTask {
    /// The task, and where its answer will come.
    pub(crate) fn new(
        call: Call,
        events: Vec<StoredEvent>,
    ) -> (Self, oneshot::Receiver<Result<Appended, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { call, events, end: None, reply }, answer)
    }
}

#[async_trait]
impl Task for AppendTask {
    async fn decide(
        &mut self,
        draft: &mut Draft,
        reader: &Reader,
        _: &Claims,
    ) -> Result<Decision, StoreError> {
        let appended = |commit, repeat| Appended { commit, repeat, publication: Publication::Published };
        if let Some((first, _)) = self.call.find(draft, reader).await? {
            let Some(commit) = draft.commit_at(reader, first).await? else {
                let reason = format!("version {first} is named, and cannot be found");
                return Err(StoreError::Corrupt { key: key::head(&self.call.stream), reason });
            };
            if commit.events != self.events {
                let (stream, commit) = (self.call.stream.clone(), self.call.commit_id.clone());
                return Err(StoreError::Reused { stream, commit });
            }
            self.end = Some(appended(commit, true));
            return Ok(Decision::Repeat(first));
        }
        self.call.allows(draft)?;
        if self.call.options.on_conflict == OnConflict::Merge && self.call.losses > 0 {
            // No aggregate says whether these events stay right on top of others.
            return Err(self.call.conflict(draft.version()));
        }
        let commit = self.call.commit(draft.version(), self.events.clone())?;
        let Some(bytes) = draft.room(&commit)? else { return Ok(Decision::Later) };
        draft.push(Arc::clone(&commit), bytes, self.call.back.is_some());
        draft.state = None;
        self.end = Some(appended(commit, false));
        Ok(Decision::Commit)
    }

    fn call(&mut self) -> &mut Call {
        &mut self.call
    }

    fn answer(self: Box<Self>, end: Result<Publication, StoreError>) {
        let answer = match (end, self.end) {
            (Ok(publication), Some(appended)) => Ok(Appended { publication, ..appended }),
            (Ok(_), None) => Err(StoreError::Unavailable("the events were not appended".into())),
            (Err(error), _) => Err(error),
        };
        // The caller may have left.
        let _ = self.reply.send(answer);
    }
}
