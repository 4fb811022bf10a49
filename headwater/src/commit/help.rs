//! Help: the newest write of a head is published by whoever needs to know that it is (step 3).

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::{
    cache::{Cache, Known},
    settled::Settled,
};
use crate::{
    error::StoreError,
    format::{commit::Commit, record::Record},
    id::StreamId,
    limits, metric,
    port::Ports,
    publish::Publisher,
    read::Reader,
    trace,
};

/// Publishes what others may have left unpublished.
pub(super) struct Help {
    pub(super) publisher: Publisher,
    reader: Reader,
    cache: Arc<Cache>,
    settled: Settled,
}

impl Help {
    /// Help with a publisher of its own.
    pub(super) fn new(ports: &Ports, reader: Reader, cache: Arc<Cache>, linger: Duration) -> Self {
        Self { publisher: Publisher::new(ports, linger), reader, cache, settled: Settled::default() }
    }

    /// Sees to it that the newest write of this head is in Kinesis: it is known to be, or the relay has verified it, or it
    /// is published now.
    pub(super) async fn publish(&self, known: &Known, until: Instant) -> Result<(), StoreError> {
        if known.published {
            return Ok(());
        }
        let stream = &known.head.stream;
        // From before the watermark is asked: archivers remember for as long what it did not cover then.
        let last = Instant::now() + limits::PUBLISH_FOR;
        let settled = match known.modified {
            Some(modified) => self.settled.covers(&self.reader, modified).await,
            None => false,
        };
        if !settled {
            let commits = known.head.newest_commits();
            let commit = commits.last().map(|commit| commit.id.as_str());
            tracing::debug!(%stream, commit, version = %known.head.version, "help");
            let record = record(stream, commits.to_vec())?;
            let late = |_| {
                StoreError::Unavailable(
                    "the stream's newest commit could not be published in time".to_owned(),
                )
            };
            let span = trace::publication(stream, commits, "helper");
            let publish = self.publisher.publish(stream, record, last).instrument(span);
            let published = timeout_at(until, publish).await;
            let published = published.map_err(late)?;
            published.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            metric::count(metric::HELPS, 1);
        }
        if let Some(etag) = &known.etag {
            self.cache.published(stream, etag);
        }
        Ok(())
    }
}

/// The record of commits.
pub(super) fn record(stream: &StreamId, commits: Vec<Arc<Commit>>) -> Result<bytes::Bytes, StoreError> {
    let record = Record::new(stream.clone(), commits);
    record.encode().map_err(|error| StoreError::corrupt(stream.as_str(), &error))
}
