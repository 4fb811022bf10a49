//! Timers: commands that wait for a time, as objects in the store's bucket that stand in the order of their time.
//!
//! 1. A reaction sets a timer, where none stands, before its progress is written: a crash between makes it set it again.
//! 2. A tick lists what is due, tells the process of each, and deletes a timer when the process has reacted to it.
//! 3. A crash between those two tells the process again. The commit id of its command follows from the timer, so that the
//!    command takes effect once.
//!
//! What is due is said by a clock, which may be off: a timer then comes that much early or late, and nothing else.

use std::{
    collections::BinaryHeap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, warn};

use super::process::ReactError;
use crate::{
    error::StoreError,
    format::{key, timer::Timer},
    id::{InvalidName, check_segment},
    limits,
    port::{ETag, Entropy, Got, ObjectError, Objects, Ports, Precondition, backoff},
    read::Reader,
};

/// Timers that are listed at a time.
const TICK: usize = 1_000;

/// Timers that are handed to the process at the same time.
const TIMERS_AT_A_TIME: usize = 64;

/// How often a timer is written before that is a failure of the world.
const ROUNDS: usize = 5;

/// How long a write may stay unanswered.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ticked {
    /// Timers that were reacted to, and are gone.
    pub done: usize,
    /// Timers that stand although they are due: the process, or the world, failed. They come again.
    pub failed: usize,
}

/// The timers of one process.
#[derive(Clone)]
pub(super) struct Timers {
    process: &'static str,
    objects: Arc<dyn Objects>,
    entropy: Arc<dyn Entropy>,
    reader: Reader,
    /// Where the tick before ended: timers that nobody can react to must not stand in the way of all others.
    ended: Arc<Mutex<Option<String>>>,
}

impl Timers {
    pub(super) fn new(process: &'static str, ports: &Ports) -> Self {
        Self {
            process,
            objects: Arc::clone(&ports.objects),
            entropy: Arc::clone(&ports.entropy),
            reader: Reader::new(ports),
            ended: Arc::default(),
        }
    }

    /// The process.
    pub(super) fn process(&self) -> &'static str {
        self.process
    }

    /// Sets a timer; one that stands is left as it is.
    pub(super) async fn set(&self, timer: &Timer) -> Result<(), StoreError> {
        check_segment("timer", &timer.name, limits::TIMER_NAME_BYTES)?;
        let key = key::timer(self.process, timer);
        check_payload(timer)?;
        let body = timer.encode().map_err(|error| StoreError::corrupt(&key, &error))?;
        if Timer::decode(&body).is_err() {
            return Err(InvalidName::new("timer", "must be nested less deep, to be read again").into());
        }
        let mut pauses = backoff(&*self.entropy, Duration::from_millis(20), Duration::from_secs(1));
        let mut reason = String::new();
        for _ in 0..ROUNDS {
            match timeout(PATIENCE, self.objects.put(&key, body.clone(), Precondition::Absent)).await {
                Ok(Ok(_) | Err(ObjectError::Precondition)) => return Ok(()),
                Ok(Err(error @ ObjectError::Refused(_))) => return Err(error.into()),
                Ok(Err(error)) => reason = error.to_string(),
                Err(_) => "no answer in time".clone_into(&mut reason),
            }
            sleep(pauses.next().unwrap_or_default()).await;
        }
        Err(StoreError::Unavailable(format!("{key} was not written in {ROUNDS} rounds: {reason}").into()))
    }

    /// Hands `fire` the timers that are due at `now`, and deletes those that it reacted to: all of them, or as many as
    /// [`limits::TICK_FOR`] lets begin. The next tick goes on behind those.
    pub(super) async fn tick<F>(
        &self,
        now: Timestamp,
        fire: impl Fn(Timer) -> F,
    ) -> Result<Ticked, StoreError>
    where
        F: Future<Output = Result<(), ReactError>>,
    {
        let until = Instant::now() + limits::TICK_FOR;
        let fire = &fire;
        let mut ticked = Ticked::default();
        loop {
            let due = self.due(now).await?;
            // They begin in their order: what is left out is at the end.
            let fired = due.clone().into_iter().map(|key| async move {
                if Instant::now() < until { Some(self.one(&key, fire).await) } else { None }
            });
            let fired: Vec<bool> = stream::iter(fired)
                .buffer_unordered(TIMERS_AT_A_TIME)
                .filter_map(std::future::ready)
                .collect()
                .await;
            let done = fired.iter().filter(|done| **done).count();
            ticked.done += done;
            ticked.failed += fired.len() - done;
            if fired.len() < due.len() {
                let last = fired.len().checked_sub(1).and_then(|last| due.get(last)).cloned();
                *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = last;
                return Ok(ticked);
            }
            if due.len() < TICK {
                return Ok(ticked);
            }
        }
    }

    /// The first keys that are due, from where the last tick ended; from the beginning, where that was the end.
    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut keys = key::timers_due(self.process, now);
        keys.after = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The greatest of them on top: they come in no order, and no more than a tick's are kept.
        let mut first = BinaryHeap::new();
        let mut pages = pin!(self.reader.pages(keys));
        while let Some(page) = pages.try_next().await? {
            for key in page.into_iter().map(|listed| listed.key) {
                if key::timer_due(self.process, &key).is_none() {
                    error!(process = self.process, key, "passed over what is no timer's key");
                    continue;
                }
                first.push(key);
                if first.len() > TICK {
                    first.pop();
                }
            }
        }
        let due = first.into_sorted_vec();
        if due.len() == TICK {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = due.last().cloned();
        }
        Ok(due)
    }

    /// Hands one timer over, and deletes it; tells whether it was reacted to.
    async fn one<F>(&self, key: &str, fire: &impl Fn(Timer) -> F) -> bool
    where
        F: Future<Output = Result<(), ReactError>>,
    {
        let (timer, etag) = match self.read(key).await {
            Ok(Some(found)) => found,
            Ok(None) => return true,
            Err(cause) => {
                error!(process = self.process, key, %cause, "passed over a timer");
                return false;
            }
        };
        match fire(timer).await {
            Ok(()) => {
                // One that stays comes once more, which changes nothing.
                if let Err(cause) = self.objects.delete(key, &etag).await
                    && cause != ObjectError::Precondition
                {
                    warn!(process = self.process, key, %cause, "a timer was not deleted");
                }
                true
            }
            Err(cause) => {
                error!(process = self.process, key, %cause, "a timer was not reacted to");
                false
            }
        }
    }

    /// Reads a timer; `None` where another tick was faster.
    async fn read(&self, key: &str) -> Result<Option<(Timer, ETag)>, StoreError> {
        match self.reader.object(key, None).await? {
            Got::Found { body, etag, .. } => {
                let timer = Timer::decode(&body).map_err(|error| StoreError::corrupt(key, &error))?;
                if key::timer(self.process, &timer) != key {
                    let reason = format!("it is the timer {:?} of {}", timer.name, timer.stream);
                    return Err(StoreError::Corrupt { key: key.to_owned(), reason });
                }
                Ok(Some((timer, etag)))
            }
            Got::Missing | Got::Unchanged => Ok(None),
        }
    }
}

/// Refuses a payload that is larger than a timer may have.
fn check_payload(timer: &Timer) -> Result<(), InvalidName> {
    let bytes = timer.payload.to_string().len();
    if bytes <= limits::TIMER_PAYLOAD_BYTES {
        return Ok(());
    }
    let rule = format!("must have at most {} bytes, has {bytes}", limits::TIMER_PAYLOAD_BYTES);
    Err(InvalidName::new("timer payload", rule))
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("process", &self.process).finish_non_exhaustive()
    }
}
