//! Which heads the relay has verified: step 3 needs no help for them, and may not publish what archivers have forgotten.
//!
//! A watermark that can't be read is not a missing one: the head may have been published long ago.
//!
//! | the watermark | and the head | what step 3 does |
//! |---|---|---|
//! | read at any time | stored before it | nothing: it is published, and a watermark never becomes untrue |
//! | read less than [`limits::PUBLISH_FOR`] ago, or found missing then | stored after it | publishes the newest write, as long as that counts |
//! | anything else | | waits for an answer, and fails: the newest write is left to the relay |

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    error::StoreError,
    format::{key, watermark::Watermark},
    limits,
    port::Got,
    read::Reader,
};

/// How long a watermark that was read is used without a look at a newer one, and how long after a failure none is looked for
/// while one counts.
const FRESH: Duration = Duration::from_secs(30);

/// How long a newer watermark may take to be read while an older one counts: help is the faster way then.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of the newest write of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// The relay has verified that it is in Kinesis.
    Published,
    /// It may be missing there, and archivers still know it if it is not: it may be published until then.
    Open(Instant),
}

/// The watermark as this process last read it.
#[derive(Debug, Default)]
pub(super) struct Settled(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    reading: Option<Reading>,
    /// When the last attempt to read it ended without an answer, and why.
    failed: Option<(Instant, StoreError)>,
}

/// A watermark that was read; `through` is `None` where there was none.
#[derive(Debug, Clone, Copy)]
struct Reading {
    began: Instant,
    through: Option<Timestamp>,
}

impl Reading {
    fn covers(&self, modified: Timestamp) -> bool {
        // `modified` is rounded down to a second.
        let after = modified.saturating_add(SignedDuration::from_secs(1));
        matches!((after, self.through), (Ok(after), Some(through)) if after <= through)
    }

    /// Until when a head that it does not cover may be published: archivers remember for as long from when it was read.
    fn counts_until(&self) -> Instant {
        self.began + limits::PUBLISH_FOR
    }
}

impl Settled {
    /// What is known of the newest write of a head that S3 stored at `modified`.
    ///
    /// # Errors
    ///
    /// The watermark can't be read, and none that was read before counts any more.
    pub(super) async fn coverage(
        &self,
        reader: &Reader,
        modified: Timestamp,
    ) -> Result<Coverage, StoreError> {
        let came = Instant::now();
        let mut known = self.0.lock().await;
        if known.reading.is_some_and(|reading| reading.covers(modified)) {
            return Ok(Coverage::Published);
        }
        known.refresh(reader, came).await;
        match (known.reading, &known.failed) {
            (Some(reading), _) if reading.covers(modified) => Ok(Coverage::Published),
            (Some(reading), _) if reading.counts_until() > Instant::now() => {
                Ok(Coverage::Open(reading.counts_until()))
            }
            (_, Some((_, error))) => Err(error.clone()),
            (_, None) => Err(StoreError::Unavailable(format!("{} was not read", key::WATERMARK).into())),
        }
    }
}

impl Known {
    /// Reads the watermark, unless it was read a moment ago, or could not be read since `came`.
    async fn refresh(&mut self, reader: &Reader, came: Instant) {
        if self.reading.is_some_and(|reading| reading.began.elapsed() < FRESH) {
            return;
        }
        let counts = self.reading.is_some_and(|reading| reading.counts_until() > came + PATIENCE);
        let tried = self.failed.as_ref();
        if tried.is_some_and(|(at, _)| *at > came || (counts && at.elapsed() < FRESH)) {
            return;
        }
        let patient = reader.clone();
        let reader = if counts { patient.with_patience(PATIENCE) } else { patient };
        let began = Instant::now();
        match fetch(&reader).await {
            Ok(through) => {
                self.reading = Some(Reading { began, through });
                self.failed = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the watermark could not be read");
                self.failed = Some((Instant::now(), error));
            }
        }
    }
}

/// The time through which all is published; `None` where no watermark exists.
async fn fetch(reader: &Reader) -> Result<Option<Timestamp>, StoreError> {
    let mark = match reader.object(key::WATERMARK, None).await? {
        Got::Found { body, .. } => Watermark::decode(&body),
        Got::Missing | Got::Unchanged => return Ok(None),
    };
    let mark = mark.map_err(|error| StoreError::corrupt(key::WATERMARK, &error))?;
    Ok(Some(mark.through))
}
