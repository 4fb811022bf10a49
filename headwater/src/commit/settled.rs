//! Which heads the relay has verified: step 3 needs no help for them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    format::{key, watermark::Watermark},
    port::Got,
    read::Reader,
};

/// How long a watermark that was read is used: it only moves forward, so an old one costs help and nothing else.
const FRESH: Duration = Duration::from_secs(30);

/// How long the watermark may take to be read: help is the faster way then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The watermark as this process last read it.
#[derive(Debug, Default)]
pub(super) struct Settled(Mutex<Option<(Instant, Option<Timestamp>)>>);

impl Settled {
    /// Whether every commit of a head that S3 stored at `modified` is known to be published.
    pub(super) async fn covers(&self, reader: &Reader, modified: Timestamp) -> bool {
        let through = {
            let mut read = self.0.lock().await;
            match *read {
                Some((at, through)) if at.elapsed() < FRESH => through,
                _ => read.insert((Instant::now(), fetch(reader).await)).1,
            }
        };
        // `modified` is rounded down to a second.
        let after = modified.saturating_add(SignedDuration::from_secs(1));
        matches!((after, through), (Ok(after), Some(through)) if after <= through)
    }
}

/// Without a watermark that can be read, nothing is settled, and writers help.
async fn fetch(reader: &Reader) -> Option<Timestamp> {
    match reader.clone().with_patience(PATIENCE).object(key::WATERMARK, None).await {
        Ok(Got::Found { body, .. }) => Watermark::decode(&body).ok().map(|mark| mark.through),
        _ => None,
    }
}
