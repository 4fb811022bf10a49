//! A process manager: which events it reacts to, and with which commands.
//!
//! It has no state of its own here, but for how far it has reacted to each stream. What it must remember is an aggregate,
//! written by commands like any other, so that it has a history, versions and snapshots.

use std::{error::Error, time::Duration};

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{reads::Reads, timer::Timers};
use crate::{
    error::StoreError,
    event::EventError,
    format::{
        commit::{CAUSATION, Meta},
        timer::Timer,
    },
    id::{CommitId, StreamId, Version},
    redact::{json_fault, type_name},
    store::{ExecuteError, Options, Store},
    trace::TRACEPARENT,
};

/// Events in, commands out.
///
/// # Contract
///
/// - An event is reacted to at least once, and in version order per stream; between streams any order may come. A crash
///   makes it come again, perhaps long after others, and perhaps while an earlier reaction to it is still under way.
/// - So every command is executed with the options of its [`Cause`] or [`Due`], whose commit id follows from what caused
///   it and from a `step` that no other command of the same reaction has: a repeat then commits nothing (H8). No caller can
///   choose such an id. A commit that exists under it and has another cause is [`StoreError::Reused`], which parks. Where that
///   may be more than [`Settings::repeats_for`](crate::Settings::repeats_for) after the first reaction,
///   [`Options::repeats_after`] says how far to look back.
/// - Before it does what cannot be taken back, it loads the newest state of what it decides on.
/// - What a domain rejects is an outcome to handle. [`ReactError`] is for what is none: see there.
/// - [`Self::Reads`] names the kinds and types that the process reads. Events of other types only count as versions. Data of
///   a type that it names must fit, else the stream is parked, and so is one with an event of a newer schema.
///
/// ```
/// use headwater::{Aggregate, Store, consume::{Cause, Kind, Process, ReactError, Reads}};
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Clone, Default, Serialize, Deserialize)]
/// # struct Lamp;
/// # #[derive(Serialize, Deserialize)]
/// # enum Lit { On }
/// # impl Aggregate for Lamp {
/// #     const KIND: &'static str = "lamp";
/// #     type Command = ();
/// #     type Event = Lit;
/// #     type Rejection = std::convert::Infallible;
/// #     fn decide(&self, (): &()) -> Result<Vec<Lit>, std::convert::Infallible> { Ok(vec![Lit::On]) }
/// #     fn evolve(&mut self, Lit::On: &Lit) {}
/// # }
/// /// Lights a lamp for each door that opens.
/// struct Lights;
///
/// #[derive(Deserialize)]
/// enum DoorEvent {
///     Opened,
/// }
///
/// impl Reads for DoorEvent {
///     type Event = Self;
///     const KINDS: &'static [Kind<Self>] = &[Kind::new("door", &[])];
/// }
///
/// impl Process for Lights {
///     const NAME: &'static str = "lights";
///     type Reads = DoorEvent;
///
///     async fn react(&self, store: &Store, cause: &Cause<'_, DoorEvent>) -> Result<(), ReactError> {
///         let DoorEvent::Opened = cause.event;
///         store.execute::<Lamp>(cause.stream.id(), (), cause.options("light")).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait Process: Send + Sync + 'static {
    /// The name that its progress and its timers stand under, 1 to 100 bytes.
    const NAME: &'static str;

    /// What it reads: an aggregate, or an enum of its own for a few types or several kinds.
    type Reads: Reads;

    /// Whether it reads a stream of one of its kinds: each, where it does not say otherwise. Pure, by the stream alone: it
    /// must see every version of a stream that it reads.
    fn reads(&self, _stream: &StreamId) -> bool {
        true
    }

    /// What it was deployed with and an operator's `unpark` must use as well, as JSON; null where that is nothing. It is kept
    /// beside the progress of each stream, where [`parked_settings`](super::parked_settings) finds it.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Reacts to one event.
    fn react(
        &self,
        store: &Store,
        cause: &Cause<'_, <Self::Reads as Reads>::Event>,
    ) -> impl Future<Output = Result<(), ReactError>> + Send;

    /// Reacts to a timer that is due, which it set by [`Cause::schedule`]. Like an event it may come more than once.
    fn due(&self, _store: &Store, due: &Due<'_>) -> impl Future<Output = Result<(), ReactError>> + Send {
        let reason = format!("this process knows of no timer {:?}", due.name());
        async { Err(ReactError::Stuck(reason)) }
    }
}

/// An event that a process reacts to.
#[derive(Debug)]
pub struct Cause<'a, E> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The event's version in the stream.
    pub version: Version,
    /// The commit that it is part of.
    pub commit: &'a CommitId,
    /// When the commit was decided, by the writer's clock.
    pub at: Timestamp,
    /// What travels beside the commit's events.
    pub meta: &'a Meta,
    /// The event itself.
    pub event: E,
    /// Where the process's timers stand.
    pub(super) timers: &'a Timers,
}

impl<E> Cause<'_, E> {
    /// How a command is executed that follows from this event: its commit id is a function of the process, the event and
    /// `step`; its `meta` says what caused it, and carries correlation and trace on.
    pub fn options(&self, step: &str) -> Options {
        self.options_of(self.version, step)
    }

    /// As [`Self::options`], with the commit id that the event `version` of the same stream gives to `step`. Whoever executes
    /// another command under it learns what became of the first; or takes its place, so that it never happens.
    pub fn options_of(&self, version: Version, step: &str) -> Options {
        let place = format!("{}@{version}", self.stream);
        let commit_id = CommitId::derived(&[self.timers.process(), &place, step]);
        Options { commit_id: Some(commit_id), meta: self.caused(), ..Options::default() }
    }

    /// Calls [`Process::due`] when `after` has passed since this event. Setting the same timer again changes nothing; one
    /// that came already may come once more.
    ///
    /// A timer is not cancelled: `due` loads the state that it decides on, and does nothing where nothing is left to do.
    pub async fn schedule(&self, name: &str, after: Duration) -> Result<(), ReactError> {
        self.schedule_with(name, after, &()).await
    }

    /// As [`Self::schedule`], with a payload of up to [`TIMER_PAYLOAD_BYTES`](crate::limits::TIMER_PAYLOAD_BYTES) of JSON,
    /// which [`Due::payload`] returns. A timer that exists keeps the payload that it was set with.
    ///
    /// # Errors
    ///
    /// A payload that is larger, or no JSON, or a name of more than
    /// [`TIMER_NAME_BYTES`](crate::limits::TIMER_NAME_BYTES), parks; else the world failed.
    pub async fn schedule_with(
        &self,
        name: &str,
        after: Duration,
        payload: &impl Serialize,
    ) -> Result<(), ReactError> {
        let due = self.at.saturating_add(after).unwrap_or(Timestamp::MAX);
        let payload = serde_json::to_value(payload).map_err(ReactError::caused_by)?;
        let timer = Timer::new(self.stream.clone(), self.version, name, due, self.caused());
        Ok(self.timers.set(&timer.with_payload(payload)).await?)
    }

    /// What a command that follows carries beside its events.
    fn caused(&self) -> Meta {
        let mut meta = Meta::new();
        let correlation = self.meta.get("correlation").cloned();
        meta.insert("correlation".to_owned(), correlation.unwrap_or_else(|| self.commit.as_str().into()));
        meta.insert(CAUSATION.to_owned(), format!("{}@{}", self.stream, self.version).into());
        if let Some(trace) = self.meta.get(TRACEPARENT) {
            meta.insert(TRACEPARENT.to_owned(), trace.clone());
        }
        meta
    }
}

/// A timer that is due.
#[derive(Debug, Clone, Copy)]
pub struct Due<'a> {
    pub(super) process: &'static str,
    pub(super) timer: &'a Timer,
}

impl Due<'_> {
    /// The stream whose event set it.
    pub fn stream(&self) -> &StreamId {
        &self.timer.stream
    }

    /// The version of that event.
    pub fn version(&self) -> Version {
        self.timer.version
    }

    /// The process's own name for it.
    pub fn name(&self) -> &str {
        &self.timer.name
    }

    /// What it was set with, by [`Cause::schedule_with`]; what fits `()` or an `Option` where that was nothing, as in every
    /// timer of an older version.
    ///
    /// # Errors
    ///
    /// The payload does not fit: the timer fails, and comes again at each tick until the process reads it.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, ReactError> {
        let unfit = |error| ReactError::Stuck(format!("the payload of a timer: {}", json_fault(&error)));
        T::deserialize(&self.timer.payload).map_err(unfit)
    }

    /// How a command is executed that follows from this timer; see [`Cause::options`].
    pub fn options(&self, step: &str) -> Options {
        let Timer { stream, version, name, meta, .. } = self.timer;
        let place = format!("{stream}@{version}");
        let commit_id = CommitId::derived(&[self.process, &place, name, step]);
        Options { commit_id: Some(commit_id), meta: meta.clone(), ..Options::default() }
    }
}

/// Why a process did not react.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReactError {
    /// The world failed: the event comes again.
    #[error(transparent)]
    World(StoreError),
    /// The event cannot be reacted to, however often it comes: its stream is parked with these words, which are logged, too, and
    /// hold no data.
    #[error("{0}")]
    Stuck(String),
}

impl ReactError {
    /// The event cannot be reacted to, for this reason: a literal, which says what rule was broken and not by what.
    pub fn stuck(reason: &'static str) -> Self {
        Self::Stuck(reason.to_owned())
    }

    /// The event cannot be reacted to because of an error of the domain, which is named by its type: what it says may hold
    /// data.
    pub fn caused_by<E: Error>(_: E) -> Self {
        Self::Stuck(type_name::<E>().to_owned())
    }
}

impl From<EventError> for ReactError {
    fn from(error: EventError) -> Self {
        Self::Stuck(error.to_string())
    }
}

impl From<StoreError> for ReactError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. }
            | StoreError::Unknown { .. }
            | StoreError::Unavailable(_)
            | StoreError::Denied(_)
            | StoreError::NewerSchema { .. } => Self::World(error),
            // A value that is taken is an outcome; a process that does not handle it is stuck.
            StoreError::Taken { .. }
            | StoreError::Reused { .. }
            | StoreError::Invalid { .. }
            | StoreError::Corrupt { .. } => Self::Stuck(error.to_string()),
        }
    }
}

/// A rejection that a process does not handle leaves it stuck.
impl<R: Error> From<ExecuteError<R>> for ReactError {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Rejected(_) => Self::Stuck(format!("a command was rejected: {}", type_name::<R>())),
            ExecuteError::Store(error) => error.into(),
        }
    }
}
