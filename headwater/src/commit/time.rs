//! What time it is by S3, as far as this process has been told: it may be later, and is never earlier.
//!
//! Every `Last-Modified` tells it. Between two of them it goes on by what has passed here, which a machine that is frozen
//! only makes less.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::{format::key, port::Got, read::Reader};

/// How long the time may take to be asked for, and how long it is not asked for again.
const PATIENCE: Duration = Duration::from_secs(1);
const ASKED: Duration = Duration::from_secs(30);

/// The newest time that was told.
#[derive(Debug, Default)]
pub(super) struct Time {
    told: Mutex<Option<(Instant, Timestamp)>>,
    asked: Mutex<Option<Instant>>,
}

impl Time {
    /// It is this late at least; `None` where nothing was told yet.
    pub(super) fn at_least(&self) -> Option<Timestamp> {
        let (at, told) = (*lock(&self.told))?;
        told.saturating_add(SignedDuration::try_from(at.elapsed()).ok()?).ok()
    }

    /// S3 has stored something at this time.
    pub(super) fn learn(&self, stored: Timestamp) {
        if self.at_least().is_none_or(|now| now < stored) {
            *lock(&self.told) = Some((Instant::now(), stored));
        }
    }

    /// Asks, unless that was done just now: the relay writes its watermark all the time. Where none is, nothing is learned.
    pub(super) async fn ask(&self, reader: &Reader) {
        let asked = lock(&self.asked).replace(Instant::now());
        if asked.is_some_and(|asked| asked.elapsed() < ASKED) {
            return;
        }
        let mark = reader.clone().with_patience(PATIENCE).object(key::WATERMARK, None).await;
        if let Ok(Got::Found { modified, .. }) = mark {
            self.learn(modified);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_goes_on_and_never_back() {
        let (time, told) = (Time::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(time.at_least(), None);
        time.learn(told);
        tokio::time::advance(Duration::from_secs(5)).await;
        let five_later = told.saturating_add(SignedDuration::from_secs(5)).ok();
        assert_eq!(time.at_least(), five_later);
        time.learn(told);
        assert_eq!(time.at_least(), five_later, "what was stored earlier tells nothing new");
    }
}
