//! Help: the newest write of a head is published by whoever needs to know that it is (step 3).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::{
    cache::{Cache, Known},
    settled::{Coverage, Settled},
};
use crate::{
    error::StoreError,
    format::{commit::Commit, record::Record},
    id::StreamId,
    identity::IdentitySource,
    metric,
    port::Ports,
    publish::Publisher,
    read::Reader,
    trace,
};

/// Publishes what others may have left unpublished.
pub(super) struct Help {
    identity: IdentitySource,
    pub(super) publisher: Publisher,
    reader: Reader,
    cache: Arc<Cache>,
    settled: Settled,
}

impl Help {
    /// Help with a publisher of its own.
    pub(super) fn new(ports: &Ports, reader: Reader, cache: Arc<Cache>, linger: Duration) -> Self {
        let (identity, publisher) = (ports.identity.clone(), Publisher::new(ports, linger));
        Self { identity, publisher, reader, cache, settled: Settled::default() }
    }

    /// Sees to it that the newest write of this head is in Kinesis: it is known to be, or the relay has verified it, or it
    /// is published now.
    ///
    /// # Errors
    ///
    /// It could not be published before `until`, or whether it may be published is not known.
    pub(super) async fn publish(&self, known: &Known, until: Instant) -> Result<(), StoreError> {
        if known.published {
            return Ok(());
        }
        let stream = &known.head.stream;
        let late =
            |what: &str| StoreError::Unavailable(format!("the stream's newest commit {what} in time").into());
        let coverage = timeout_at(until, self.coverage(known)).await;
        if let Coverage::Open(last) = coverage.map_err(|_| late("could not be looked for"))?? {
            let commits = known.head.newest_commits();
            let commit = commits.last().map(|commit| commit.id.as_str());
            tracing::debug!(%stream, commit, version = %known.head.version, "help");
            let record = self.record(stream, commits.to_vec()).await?;
            let span = trace::publication(stream, commits, "helper");
            let publish = self.publisher.publish(stream, record, last).instrument(span);
            let published = timeout_at(until, publish).await;
            let published = published.map_err(|_| late("could not be published"))?;
            published?;
            metric::count(metric::HELPS, 1);
        }
        if let Some(etag) = &known.etag {
            self.cache.published(stream, etag);
        }
        Ok(())
    }

    /// What the watermark says of a head. One that this process wrote, and has not read since, is read for its time: it may be
    /// as old as any other.
    async fn coverage(&self, known: &Known) -> Result<Coverage, StoreError> {
        let modified = match known.modified {
            Some(modified) => modified,
            None => self.stored(known).await?,
        };
        self.settled.coverage(&self.reader, modified).await
    }

    /// When S3 stored the head.
    async fn stored(&self, known: &Known) -> Result<Timestamp, StoreError> {
        let read = self.cache.refresh(&self.reader, &known.head.stream, None).await?;
        let same = read.modified.filter(|_| read.etag == known.etag);
        same.ok_or_else(|| StoreError::Unavailable("the head was replaced meanwhile: retry".into()))
    }

    /// Sees to it that it can be learned whose the records are: it is asked before a swap, for after one there must be a record.
    pub(super) async fn identified(&self) -> Result<(), StoreError> {
        self.identity.lately(&self.reader).await.map(drop)
    }

    /// The record of commits that exist: of the store as it is known now.
    pub(super) async fn record(
        &self,
        stream: &StreamId,
        commits: Vec<Arc<Commit>>,
    ) -> Result<Bytes, StoreError> {
        let record = Record::new(stream.clone(), commits).of(self.identity.now(&self.reader).await?);
        record.encode().map_err(|error| StoreError::corrupt(stream.as_str(), &error))
    }
}
