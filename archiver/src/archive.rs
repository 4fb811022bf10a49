//! A batch of one shard's records becomes the next segment of the shard's chain.
//!
//! ```text
//!  1. cold: find the tail, read back what may come again         warm: is the tail still the newest? (only if the batch
//!     (the parents' too, where the chain is young)                begins after it)
//!  2. drop what the tail covers; nothing left: done
//!  3. sort: records that are no commits of this store, commits that came before, commits to keep
//!  4. put the first into quarantine
//!  5. encode the last as ordinal k + 1, covering all records of the batch
//!  6. create it: ours, remember its commits; another's, remember that one's; then 2 again
//! ```
//!
//! - 4 stands before 5: a crash between leaves a record in quarantine that comes again, the other way round it would be
//!   covered and gone.
//! - A batch without a commit to keep makes a segment too, of no rows: after success the mapping goes on behind the batch,
//!   and only the chain can tell the next archiver so. Without it, another archiver that still holds this batch would
//!   name ordinal k + 1 after a different first record than the next one does, and both could be created.
//! - What is remembered changes only with the tail, without waiting between: an archiver that is dropped at any point
//!   goes on from what it had.

mod cold;
mod warm;

#[cfg(test)]
mod counting;
#[cfg(test)]
pub(crate) mod lab;
#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    StoreError,
    format::key,
    port::{Arrival, LogError, ObjectError, Objects, Ports, Precondition, Sequence},
    read::Reader,
};
use tokio::sync::Mutex;

use crate::{
    archive::warm::Warm,
    chain::{Added, Chain, ChainError, Tail, pauses, repeat},
    quarantine::{QuarantineError, Quarantined},
    segment::{self, Archived, SegmentError, Span},
    watermark::Horizon,
};

pub(crate) use self::warm::check_next;

/// Records that go to quarantine at a time.
const QUARANTINE_AT_A_TIME: usize = 32;
/// Shards that one archiver remembers.
const SHARDS: usize = 32;

/// What an archiver allows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Most records that one segment covers.
    pub records: usize,
    /// Most bytes of the records that one segment covers; a single record may have more.
    pub bytes: usize,
    /// Streams of a shard whose commits are remembered.
    pub streams: usize,
    /// Most segments that a cold start reads back.
    pub read_back: u64,
    /// How long an operation is repeated while a service does not answer.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            records: 100_000,
            bytes: 32 << 20,
            streams: 1_000_000,
            read_back: 1_000,
            patience: Duration::from_secs(20),
        }
    }
}

/// Why a batch was not archived to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The chain can't be read or continued.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Kinesis does not say which shards there are.
    #[error("the parents of {shard} are not known: {cause}")]
    Shards {
        /// The shard.
        shard: String,
        /// The answer.
        cause: LogError,
    },
    /// Quarantine does not take a record.
    #[error("quarantine does not take {key}: {cause}")]
    Quarantine {
        /// The object's key.
        key: String,
        /// The answer.
        cause: ObjectError,
    },
    /// Whose the records are can't be learned.
    #[error(transparent)]
    Identity(#[from] StoreError),
    /// What should be written can't be.
    #[error("{0}")]
    Encoding(String),
}

impl From<SegmentError> for ArchiveError {
    fn from(error: SegmentError) -> Self {
        Self::Encoding(error.to_string())
    }
}

impl From<QuarantineError> for ArchiveError {
    fn from(error: QuarantineError) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A batch of which the records from `from` on are not archived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("records of {shard} from {from} on are not archived: {cause}")]
pub struct Interrupted {
    /// The shard.
    pub shard: String,
    /// The first record that is not archived: the mapping begins there again.
    pub from: Sequence,
    /// Why.
    pub cause: ArchiveError,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Segments that were written.
    pub segments: u64,
    /// Commits in them.
    pub commits: u64,
    /// Commits that had come before.
    pub repeats: u64,
    /// Records that went to quarantine.
    pub quarantined: u64,
}

/// Archives the shards of one Kinesis stream.
pub struct Archiver {
    ports: Ports,
    reader: Reader,
    archive: Arc<dyn Objects>,
    stream: String,
    bounds: Bounds,
    shards: Mutex<HashMap<String, Arc<Mutex<Shard>>>>,
}

impl Archiver {
    /// An archiver of the Kinesis stream `stream` (the one behind `ports.log`) that writes to the bucket `archive`. The
    /// store's bucket, `ports.objects`, is asked for the store's identity and the watermark only.
    pub fn new(ports: Ports, archive: Arc<dyn Objects>, stream: &str, bounds: Bounds) -> Self {
        let reader = Reader::new(&ports).with_patience(bounds.patience);
        Self { ports, reader, archive, stream: stream.to_owned(), bounds, shards: Mutex::default() }
    }

    /// The Kinesis stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Archives a batch of one shard's records: any that follow one another without a hole and begin at or before the
    /// first that is not archived. A repeat is harmless; so are other archivers at the same time.
    pub async fn archive(&self, shard: &str, arrivals: &[Arrival]) -> Result<Outcome, Interrupted> {
        let mut batch: Vec<&Arrival> = arrivals.iter().collect();
        batch.sort_by(|a, b| a.sequence.cmp(&b.sequence));
        batch.dedup_by(|a, b| a.sequence == b.sequence);
        let Some(first) = batch.first().copied() else { return Ok(Outcome::default()) };
        let state = self.shard(shard).await;
        let mut state = state.lock().await;
        let mut outcome = Outcome::default();
        let archived = state.archive(self, first, &batch, &mut outcome).await;
        headwater::metric::lag(&*self.ports.clock, arrivals);
        archived.map(|()| outcome).map_err(|cause| {
            let missing = state.rest(&batch).first().copied().unwrap_or(first);
            Interrupted { shard: shard.to_owned(), from: missing.sequence.clone(), cause }
        })
    }

    async fn shard(&self, shard: &str) -> Arc<Mutex<Shard>> {
        let mut shards = self.shards.lock().await;
        if shards.len() >= SHARDS && !shards.contains_key(shard) {
            shards.clear();
        }
        let open = || Arc::new(Mutex::new(Shard::new(self, shard)));
        Arc::clone(shards.entry(shard.to_owned()).or_insert_with(open))
    }

    async fn quarantine(&self, strays: &[(&Arrival, String)]) -> Result<(), ArchiveError> {
        let put = |(arrival, reason): &(&Arrival, String)| {
            let key = key::quarantine(&self.stream, &arrival.shard, &arrival.sequence);
            let body = Quarantined::new(arrival, reason.clone()).encode();
            tracing::warn!(key, reason, "a record is no commit");
            async move { self.isolate(key, body?).await }
        };
        let puts: Vec<_> = strays.iter().map(put).collect();
        stream::iter(puts).buffer_unordered(QUARANTINE_AT_A_TIME).try_collect().await
    }

    async fn isolate(&self, key: String, body: bytes::Bytes) -> Result<(), ArchiveError> {
        let put = || self.archive.put(&key, body.clone(), Precondition::Absent);
        match repeat(self.bounds.patience, pauses(&*self.ports.entropy), put).await {
            Ok(_) | Err(ObjectError::Precondition) => Ok(()),
            Err(cause) => Err(ArchiveError::Quarantine { key, cause }),
        }
    }
}

impl std::fmt::Debug for Archiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archiver").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// One shard, as far as this archiver knows.
struct Shard {
    chain: Chain,
    horizon: Horizon,
    /// `None` while cold.
    warm: Option<Warm>,
}

impl Shard {
    fn new(archiver: &Archiver, shard: &str) -> Self {
        let objects = Arc::clone(&archiver.archive);
        let entropy = Arc::clone(&archiver.ports.entropy);
        Self {
            chain: Chain::new(objects, entropy, &archiver.stream, shard, archiver.bounds.patience),
            horizon: Horizon::new(Arc::clone(&archiver.ports.objects)),
            warm: None,
        }
    }

    /// The records of `batch` that the tail does not cover.
    fn rest<'a, 'b>(&self, batch: &'b [&'a Arrival]) -> &'b [&'a Arrival] {
        let tail = self.warm.as_ref().and_then(|warm| warm.tail.as_ref());
        let covered = tail.map_or(0, |tail| batch.partition_point(|arrival| arrival.sequence <= tail.last));
        batch.get(covered..).unwrap_or_default()
    }

    async fn archive(
        &mut self,
        archiver: &Archiver,
        first: &Arrival,
        batch: &[&Arrival],
        outcome: &mut Outcome,
    ) -> Result<(), ArchiveError> {
        let ours = archiver.ports.identity.now(&archiver.reader).await?;
        self.horizon.refresh().await;
        if self.warm.is_some() {
            self.catch_up(first).await?;
        }
        if self.warm.is_none() {
            self.warm = Some(self.start(archiver, first.at).await?);
        }
        loop {
            let rest = self.rest(batch);
            let Some((warm, first)) = self.warm.as_mut().zip(rest.first()) else { break };
            let records = rest.get(..archiver.bounds.cut(rest)).unwrap_or(rest);
            let sorted = warm.sort(records, ours);
            archiver.quarantine(&sorted.strays).await?;
            let footer = warm.footer(self.chain.shard(), first, records);
            let body = segment::encode(&footer, &sorted.commits)?;
            let bytes = body.len();
            match self.chain.add(footer.place, body).await? {
                Added::Ours => {
                    sorted.measure(bytes);
                    outcome.segments += 1;
                    outcome.commits += sorted.commits.len() as u64;
                    outcome.repeats += sorted.repeats;
                    outcome.quarantined += sorted.strays.len() as u64;
                    let (shard, ordinal) = (self.chain.shard(), footer.place.ordinal);
                    for archived in &sorted.commits {
                        let Archived { stream, commit, .. } = archived;
                        let (commit, version) = (&commit.id, commit.last);
                        tracing::debug!(%stream, %commit, %version, shard, ordinal, "archived a commit");
                        warm.known.add(&Span::from(archived));
                    }
                    warm.tail = Some(Tail::from(&footer));
                }
                Added::Stands(segment) => {
                    if segment.footer().first != first.sequence {
                        let (theirs, ours) = (&segment.footer().first, &first.sequence);
                        tracing::error!(%theirs, %ours, "two archivers do not agree where a segment begins");
                    }
                    warm.follow(&self.chain, &segment)?;
                }
            }
        }
        let frontier = batch.iter().map(|arrival| arrival.at).max();
        if let Some((warm, horizon)) = self.warm.as_mut().zip(frontier.and_then(|at| self.horizon.warm(at))) {
            warm.known.forget(horizon);
        }
        Ok(())
    }
}

impl Bounds {
    /// How many of `records` one segment covers: one at least.
    fn cut(&self, records: &[&Arrival]) -> usize {
        let mut bytes = 0_usize;
        let fits = |arrival: &&&Arrival| {
            bytes = bytes.saturating_add(arrival.data.len());
            bytes <= self.bytes
        };
        records.iter().take(self.records).take_while(fits).count().max(1)
    }
}
