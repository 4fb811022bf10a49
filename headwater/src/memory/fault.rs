//! Faults: ports that stand before another and fail as a test says.
//!
//! Each call of the port asks its [`Faults`] what shall happen to it: the script of its [`Operation`] first, one
//! [`Fault`] per call, and where that is empty the hook.
//!
//! ```
//! use std::sync::Arc;
//! use headwater::{memory::{Fault, FaultyObjects, Operation, World}, port::{ObjectError, Objects, Precondition}};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let objects = FaultyObjects::new(World::new(7).objects);
//! let lost = ObjectError::Unknown("the answer was lost".into());
//! objects.faults().script(Operation::Put, [Fault::After(lost.clone())]);
//! assert_eq!(objects.put("a", "1".into(), Precondition::Absent).await, Err(lost));
//! assert_eq!(objects.put("a", "1".into(), Precondition::Absent).await, Err(ObjectError::Precondition));
//! assert_eq!(objects.faults().calls(Operation::Put), 2);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::{pending, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio::{sync::oneshot, time::sleep};

use crate::{
    memory::lock,
    port::{
        Batch, Cursor, ETag, Entry, EntryError, Got, Keys, Listing, Log, LogError, ObjectError, Objects,
        Position, Precondition, Shard, Start, Token,
    },
};

/// What a port is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Objects::now`].
    Now,
    /// [`Objects::get`].
    Get,
    /// [`Objects::put`].
    Put,
    /// [`Objects::delete`].
    Delete,
    /// [`Objects::list`].
    List,
    /// [`Log::put`].
    PutRecords,
    /// [`Log::shards`].
    Shards,
    /// [`Log::cursor`].
    Cursor,
    /// [`Log::read`].
    Read,
}

/// One call of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it asks for.
    pub operation: Operation,
    /// The object's key, the listing's prefix, the first entry's partition key, or the shard.
    pub key: String,
    /// Which call of this operation it is, counted from 1.
    pub number: u64,
}

/// What shall happen to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault<E> {
    /// Nothing out of the ordinary.
    None,
    /// It fails, and has no effect.
    Before(E),
    /// It has its effect, and this is answered; a call that the port itself refuses is answered so.
    After(E),
    /// It fails at once, and tries to have its effect that much later, as a request does that a proxy held back.
    Late(E, Duration),
    /// It has its effect, and is answered, that much later.
    Delay(Duration),
    /// It travels, on its own once it has left: a caller that stops waiting does not call it back.
    Journey(Journey<E>),
}

/// How a call travels to the port and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey<E> {
    /// How long it takes to have its effect.
    pub there: Duration,
    /// It arrives a second time, that much later, and the second effect is the one that is answered.
    pub again: Option<Duration>,
    /// How long the answer takes.
    pub back: Duration,
    /// What the caller hears.
    pub answer: Heard<E>,
}

/// What the caller of a [`Journey`] hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<E> {
    /// The port's answer.
    Answer,
    /// This, instead of it.
    Instead(E),
    /// Nothing, ever: its process is dead.
    Nothing,
}

/// Says what shall happen to a call, when it is time for it.
type Gate<E> = Arc<dyn Fn(Call) -> BoxFuture<'static, Fault<E>> + Send + Sync>;

/// Says what shall happen to the calls of one port, and counts them.
pub struct Faults<E> {
    state: Mutex<State<E>>,
}

struct State<E> {
    scripts: HashMap<Operation, VecDeque<Fault<E>>>,
    calls: HashMap<Operation, u64>,
    gate: Option<Gate<E>>,
}

impl<E: Clone + Send + 'static> Faults<E> {
    fn new() -> Self {
        let state = State { scripts: HashMap::new(), calls: HashMap::new(), gate: None };
        Self { state: Mutex::new(state) }
    }

    /// Adds to what happens to the next calls of `operation`, one fault a call.
    pub fn script(&self, operation: Operation, faults: impl IntoIterator<Item = Fault<E>>) {
        lock(&self.state).scripts.entry(operation).or_default().extend(faults);
    }

    /// Asks `hook` about every call that no script speaks of; it replaces the hook or gate before it.
    pub fn hook(&self, hook: impl Fn(&Call) -> Fault<E> + Send + Sync + 'static) {
        self.gate(move |call| ready(hook(&call)));
    }

    /// Like [`Self::hook`], for a call that is to wait: nothing happens to it before the future says what.
    pub fn gate<F>(&self, gate: impl Fn(Call) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Fault<E>> + Send + 'static,
    {
        lock(&self.state).gate = Some(Arc::new(move |call| gate(call).boxed()));
    }

    /// Takes scripts and hook away.
    pub fn clear(&self) {
        let mut state = lock(&self.state);
        state.scripts.clear();
        state.gate = None;
    }

    /// How often `operation` was called, failed calls included.
    pub fn calls(&self, operation: Operation) -> u64 {
        lock(&self.state).calls.get(&operation).copied().unwrap_or_default()
    }

    async fn next(&self, operation: Operation, key: &str) -> Fault<E> {
        let (call, gate) = {
            let mut state = lock(&self.state);
            let number = state.calls.entry(operation).or_default();
            *number += 1;
            let call = Call { operation, key: key.to_owned(), number: *number };
            if let Some(fault) = state.scripts.get_mut(&operation).and_then(VecDeque::pop_front) {
                return fault;
            }
            (call, state.gate.clone())
        };
        match gate {
            Some(gate) => gate(call).await,
            None => Fault::None,
        }
    }

    /// Lets the fault happen to `effect`, whose futures do nothing before they are polled.
    async fn around<T, F>(
        &self,
        operation: Operation,
        key: &str,
        effect: impl Fn() -> F + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        match self.next(operation, key).await {
            Fault::None => effect().await,
            Fault::Before(error) => Err(error),
            Fault::After(error) => effect().await.and(Err(error)),
            Fault::Late(error, time) => {
                tokio::spawn(async move {
                    sleep(time).await;
                    drop(effect().await);
                });
                Err(error)
            }
            Fault::Delay(time) => {
                sleep(time).await;
                effect().await
            }
            Fault::Journey(journey) => journey.make(effect).await,
        }
    }
}

impl<E: Send + 'static> Journey<E> {
    async fn make<T, F>(self, effect: impl Fn() -> F + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            sleep(self.there).await;
            let mut answer = effect().await;
            if let Some(later) = self.again {
                sleep(later).await;
                answer = effect().await;
            }
            sleep(self.back).await;
            let heard = match self.answer {
                Heard::Answer => answer,
                Heard::Instead(error) => Err(error),
                Heard::Nothing => return,
            };
            // The caller may have stopped waiting.
            let _ = reply.send(heard);
        });
        match answer.await {
            Ok(heard) => heard,
            Err(_) => pending().await,
        }
    }
}

impl<E> fmt::Debug for Faults<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("calls", &lock(&self.state).calls).finish_non_exhaustive()
    }
}

/// A bucket whose operations fail as its [`Faults`] say.
#[derive(Clone)]
pub struct FaultyObjects {
    inner: Arc<dyn Objects>,
    faults: Arc<Faults<ObjectError>>,
    bodies: Arc<AtomicU64>,
}

impl FaultyObjects {
    /// Stands before `inner`; without faults at first.
    pub fn new(inner: Arc<dyn Objects>) -> Self {
        Self { inner, faults: Arc::new(Faults::new()), bodies: Arc::default() }
    }

    /// What shall happen to the calls.
    pub fn faults(&self) -> &Faults<ObjectError> {
        &self.faults
    }

    /// How many bodies reads were given.
    pub fn bodies(&self) -> u64 {
        self.bodies.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Objects for FaultyObjects {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        let inner = self.inner.clone();
        let effect = move || {
            let inner = inner.clone();
            async move { inner.now().await }
        };
        self.faults.around(Operation::Now, "", effect).await
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        let (inner, name, known) = (self.inner.clone(), key.to_owned(), known.cloned());
        let effect = move || {
            let (inner, name, known) = (inner.clone(), name.clone(), known.clone());
            async move { inner.get(&name, known.as_ref()).await }
        };
        let got = self.faults.around(Operation::Get, key, effect).await?;
        if matches!(got, Got::Found { .. }) {
            self.bodies.fetch_add(1, Ordering::Relaxed);
        }
        Ok(got)
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        let (inner, name) = (self.inner.clone(), key.to_owned());
        let effect = move || {
            let (inner, name, body, only) = (inner.clone(), name.clone(), body.clone(), only.clone());
            async move { inner.put(&name, body, only).await }
        };
        self.faults.around(Operation::Put, key, effect).await
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        let (inner, name, only) = (self.inner.clone(), key.to_owned(), only.clone());
        let effect = move || {
            let (inner, name, only) = (inner.clone(), name.clone(), only.clone());
            async move { inner.delete(&name, &only).await }
        };
        self.faults.around(Operation::Delete, key, effect).await
    }

    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        let (inner, wanted, from) = (self.inner.clone(), keys.clone(), from.cloned());
        let effect = move || {
            let (inner, wanted, from) = (inner.clone(), wanted.clone(), from.clone());
            async move { inner.list(&wanted, from.as_ref()).await }
        };
        self.faults.around(Operation::List, &keys.prefix, effect).await
    }
}

impl fmt::Debug for FaultyObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyObjects").field("faults", &self.faults).finish_non_exhaustive()
    }
}

type EntryHook = Arc<dyn Fn(&Entry) -> bool + Send + Sync>;

/// A log whose calls fail as its [`Faults`] say, and whose single entries are throttled as a test says.
#[derive(Clone)]
pub struct FaultyLog {
    inner: Arc<dyn Log>,
    faults: Arc<Faults<LogError>>,
    throttled: Arc<Mutex<Option<EntryHook>>>,
    records: Arc<AtomicU64>,
}

impl FaultyLog {
    /// Stands before `inner`; without faults at first.
    pub fn new(inner: Arc<dyn Log>) -> Self {
        let (faults, throttled) = (Arc::new(Faults::new()), Arc::default());
        Self { inner, faults, throttled, records: Arc::default() }
    }

    /// What shall happen to the calls.
    pub fn faults(&self) -> &Faults<LogError> {
        &self.faults
    }

    /// Throttles the entries for which `hook` says so, within calls that otherwise succeed; it replaces the hook before
    /// it.
    pub fn throttle(&self, hook: impl Fn(&Entry) -> bool + Send + Sync + 'static) {
        *lock(&self.throttled) = Some(Arc::new(hook));
    }

    /// Throttles the next `entries` entries.
    pub fn throttle_next(&self, entries: u64) {
        let left = AtomicU64::new(entries);
        let take = move |_: &Entry| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        self.throttle(take);
    }

    /// How many records were put, those of lost answers included.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Log for FaultyLog {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        let hook = lock(&self.throttled).clone();
        let throttled: Vec<bool> =
            entries.iter().map(|entry| hook.as_ref().is_some_and(|hook| hook(entry))).collect();
        let taken = entries.iter().zip(&throttled).filter(|(_, throttled)| !**throttled);
        let taken: Vec<Entry> = taken.map(|(entry, _)| entry.clone()).collect();
        let (inner, records) = (self.inner.clone(), self.records.clone());
        let effect = move || {
            let (inner, records) = (inner.clone(), records.clone());
            let (taken, throttled) = (taken.clone(), throttled.clone());
            async move {
                let put = if taken.is_empty() { Vec::new() } else { inner.put(&taken).await? };
                let count = put.iter().filter(|answer| answer.is_ok()).count();
                records.fetch_add(count as u64, Ordering::Relaxed);
                let mut put = put.into_iter();
                let answer = |throttled| if throttled { None } else { put.next() };
                let answers = throttled.into_iter().map(answer);
                Ok(answers.map(|answer| answer.unwrap_or_else(|| Err(EntryError::throttled()))).collect())
            }
        };
        let key = entries.first().map_or("", |entry| &entry.key);
        self.faults.around(Operation::PutRecords, key, effect).await
    }

    async fn shards(&self) -> Result<Vec<Shard>, LogError> {
        let inner = self.inner.clone();
        let effect = move || {
            let inner = inner.clone();
            async move { inner.shards().await }
        };
        self.faults.around(Operation::Shards, "", effect).await
    }

    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        let (inner, name, start) = (self.inner.clone(), shard.to_owned(), start.clone());
        let effect = move || {
            let (inner, name, start) = (inner.clone(), name.clone(), start.clone());
            async move { inner.cursor(&name, &start).await }
        };
        self.faults.around(Operation::Cursor, shard, effect).await
    }

    async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
        let (inner, place) = (self.inner.clone(), cursor.clone());
        let effect = move || {
            let (inner, place) = (inner.clone(), place.clone());
            async move { inner.read(&place, most).await }
        };
        self.faults.around(Operation::Read, &cursor.shard, effect).await
    }
}

impl fmt::Debug for FaultyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyLog").field("faults", &self.faults).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::World;

    fn lost() -> ObjectError {
        ObjectError::Unknown("lost".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_strikes_before_after_or_late() {
        let world = World::new(1);
        let objects = FaultyObjects::new(world.objects.clone());
        let second = Duration::from_secs(1);
        let faults = [Fault::Before(lost()), Fault::After(lost()), Fault::Late(lost(), second)];
        objects.faults().script(Operation::Put, faults);
        for (key, stands) in [("a", false), ("b", true), ("c", false)] {
            assert_eq!(objects.put(key, "1".into(), Precondition::Absent).await, Err(lost()));
            assert_eq!(!world.objects.all(key).is_empty(), stands, "{key}");
        }
        sleep(2 * second).await;
        assert_eq!(world.objects.all("c").len(), 1);
        let again = Journey { there: second, again: Some(second), back: second, answer: Heard::Answer };
        objects.faults().script(Operation::Put, [Fault::Journey(again.clone())]);
        let put = objects.put("d", "1".into(), Precondition::Absent).await;
        assert_eq!(put, Err(ObjectError::Precondition), "its own first arrival was in the way");
        objects
            .faults()
            .script(Operation::Put, [Fault::Journey(Journey { answer: Heard::Nothing, ..again })]);
        let put = objects.put("e", "1".into(), Precondition::Absent);
        assert!(tokio::time::timeout(second / 2, put).await.is_err());
        sleep(2 * second).await;
        assert_eq!(world.objects.all("e").len(), 1, "it had left");
        let get = || objects.get("b", None);
        objects.faults().hook(|call| match (call.operation, call.number) {
            (Operation::Get, 1) => Fault::Before(lost()),
            _ => Fault::None,
        });
        assert_eq!(get().await, Err(lost()));
        assert!(get().await.is_ok());
        assert_eq!((objects.faults().calls(Operation::Get), objects.bodies()), (2, 1));
    }

    #[tokio::test]
    async fn single_entries_are_throttled() {
        let world = World::new(1);
        let log = FaultyLog::new(world.log.clone());
        let entry = |key: &str| Entry { key: key.to_owned(), data: "{}".into() };
        log.throttle_next(1);
        let answers = log.put(&[entry("a/1"), entry("a/2")]).await.expect("a call");
        assert!(answers[0].is_err() && answers[1].is_ok());
        log.throttle(|entry| entry.key == "a/3");
        let answers = log.put(&[entry("a/4"), entry("a/3"), entry("a/5")]).await.expect("a call");
        let taken: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(taken, [true, false, true]);
        assert_eq!((log.records(), world.log.records().len()), (3, 3));
    }
}
