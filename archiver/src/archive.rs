//! A batch of one shard's records becomes the next segment of the shard's chain.
//!
//! ```text
//!  1. cold: find the tail, read back what may come again         warm: is the tail still the newest? (only if the batch
//!     (the parents' too, where the chain is young)                begins after it)
//!  2. drop what the tail covers; nothing left: done
//!  3. sort: records that are no commits, commits that came before, commits to keep
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

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    format::{key, record::Record},
    port::{Arrival, LogError, ObjectError, Objects, Ports, Precondition, Sequence},
};
use jiff::{Timestamp, civil::Date};
use tokio::sync::Mutex;

use crate::{
    chain::{Added, Chain, ChainError, Tail},
    known::Known,
    place::{Place, day},
    quarantine::{QuarantineError, Quarantined},
    segment::{self, Archived, Footer, Previous, Segment, SegmentError, Span},
    watermark::Horizon,
};

/// Segments that a cold start reads at a time.
const SEGMENTS_AT_A_TIME: u64 = 16;
/// Records that go to quarantine at a time.
const QUARANTINE_AT_A_TIME: usize = 32;
/// Segments that a warm archiver catches up with; where there are more, it starts cold.
const CATCH_UP: usize = 32;
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
    archive: Arc<dyn Objects>,
    stream: String,
    bounds: Bounds,
    shards: Mutex<HashMap<String, Arc<Mutex<Shard>>>>,
}

impl Archiver {
    /// An archiver of the Kinesis stream `stream` (the one behind `ports.log`) that writes to the bucket `archive`. The
    /// store's bucket, `ports.objects`, is asked for the watermark only.
    pub fn new(ports: Ports, archive: Arc<dyn Objects>, stream: &str, bounds: Bounds) -> Self {
        Self { ports, archive, stream: stream.to_owned(), bounds, shards: Mutex::default() }
    }

    /// Archives a batch of one shard's records: any that follow one another without a hole and begin at or before the
    /// first that is not archived. A repeat is harmless; so are other archivers at the same time.
    pub async fn archive(&self, shard: &str, batch: &[Arrival]) -> Result<Outcome, Interrupted> {
        let mut batch: Vec<&Arrival> = batch.iter().collect();
        batch.sort_by(|a, b| a.sequence.cmp(&b.sequence));
        batch.dedup_by(|a, b| a.sequence == b.sequence);
        let Some(first) = batch.first().copied() else { return Ok(Outcome::default()) };
        let state = self.shard(shard).await;
        let mut state = state.lock().await;
        let mut outcome = Outcome::default();
        let archived = state.archive(self, first, &batch, &mut outcome).await;
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
        let pauses = || self.pauses();
        let put = || self.archive.put(&key, body.clone(), Precondition::Absent);
        match crate::chain::repeat(self.bounds.patience, pauses(), put).await {
            Ok(_) | Err(ObjectError::Precondition) => Ok(()),
            Err(cause) => Err(ArchiveError::Quarantine { key, cause }),
        }
    }

    fn pauses(&self) -> impl Iterator<Item = Duration> + Send {
        crate::chain::pauses(&*self.ports.entropy)
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

/// What a warm archiver knows of a shard. Tail and commits change together.
struct Warm {
    /// `None` where no segment stands.
    tail: Option<Tail>,
    /// The shard's parents.
    parents: Vec<String>,
    known: Known,
}

/// A batch, sorted.
#[derive(Default)]
struct Sorted<'a> {
    commits: Vec<Archived>,
    strays: Vec<(&'a Arrival, String)>,
    repeats: u64,
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
        self.horizon.refresh().await;
        if self.warm.is_some() {
            self.catch_up(first).await?;
        }
        if self.warm.is_none() {
            self.warm = Some(self.start(archiver, day(first.at)).await?);
        }
        loop {
            let rest = self.rest(batch);
            let Some((warm, first)) = self.warm.as_mut().zip(rest.first()) else { break };
            let records = rest.get(..archiver.bounds.cut(rest)).unwrap_or(rest);
            let sorted = warm.sort(records);
            archiver.quarantine(&sorted.strays).await?;
            let footer = warm.footer(self.chain.shard(), first, records);
            let body = segment::encode(&footer, &sorted.commits)?;
            match self.chain.add(footer.place, body).await? {
                Added::Ours => {
                    outcome.segments += 1;
                    outcome.commits += sorted.commits.len() as u64;
                    outcome.repeats += sorted.repeats;
                    outcome.quarantined += sorted.strays.len() as u64;
                    sorted.commits.iter().map(Span::from).for_each(|span| warm.known.add(&span));
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

    /// Makes sure that the tail is known that was the newest when the batch was handed out, or a later one.
    async fn catch_up(&mut self, first: &Arrival) -> Result<(), ArchiveError> {
        let Some(warm) = &mut self.warm else { return Ok(()) };
        if warm.tail.as_ref().is_some_and(|tail| first.sequence <= tail.last) {
            return Ok(());
        }
        let places = self.chain.after(warm.tail.as_ref().map(|tail| tail.place)).await?;
        if places.len() > CATCH_UP {
            self.warm = None;
            return Ok(());
        }
        for place in places {
            let segment = self.chain.demand(place).await?;
            warm.follow(&self.chain, &segment)?;
        }
        Ok(())
    }

    /// Finds the tail, and reads back the commits that may come again: from the chain, and where that is younger than the
    /// horizon, from the parents' chains.
    async fn start(&self, archiver: &Archiver, near: Date) -> Result<Warm, ArchiveError> {
        let horizon = self.horizon.cold();
        let mut warm = Warm { tail: None, parents: Vec::new(), known: Known::new(archiver.bounds.streams) };
        let newest = self.chain.newest(near).await?;
        if let Some(place) = newest {
            let tail = Tail::from(self.chain.demand(place).await?.footer());
            warm.parents.clone_from(&tail.parents);
            warm.tail = Some(tail);
        } else {
            warm.parents = archiver.parents(self.chain.shard()).await?;
        }
        let mut budget = archiver.bounds.read_back;
        let mut young = match newest {
            Some(place) => warm.read_back(&self.chain, place, horizon, &mut budget).await?,
            None => true,
        };
        let mut parents: VecDeque<String> = VecDeque::new();
        let mut seen = HashSet::from([self.chain.shard().to_owned()]);
        let mut next = warm.parents.clone();
        loop {
            if young {
                parents.extend(next.into_iter().filter(|parent| seen.insert(parent.clone())));
            }
            let Some(parent) = parents.pop_front() else { return Ok(warm) };
            let chain = self.chain.of(&parent);
            if let Some(place) = chain.newest(near).await? {
                next = chain.demand(place).await?.footer().parents.clone();
                young = warm.read_back(&chain, place, horizon, &mut budget).await?;
            } else {
                // A shard without records: what could come again is in the chains before it.
                (young, next) = (true, archiver.parents(&parent).await?);
            }
        }
    }
}

impl Archiver {
    async fn parents(&self, shard: &str) -> Result<Vec<String>, ArchiveError> {
        let shards = self.ports.log.shards().await;
        let shards = shards.map_err(|cause| ArchiveError::Shards { shard: shard.to_owned(), cause })?;
        Ok(shards.into_iter().find(|known| known.id == shard).map(|known| known.parents).unwrap_or_default())
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

impl Warm {
    fn sort<'a>(&self, records: &[&'a Arrival]) -> Sorted<'a> {
        let mut sorted = Sorted::default();
        let mut fresh = HashSet::new();
        for arrival in records {
            let record = match Record::decode(&arrival.data) {
                Ok(record) => record,
                Err(error) => {
                    sorted.strays.push((arrival, error.to_string()));
                    continue;
                }
            };
            if let Some(reason) = record.commits.iter().find_map(|commit| segment::unstorable(commit)) {
                sorted.strays.push((arrival, reason));
                continue;
            }
            for commit in record.commits {
                if self.known.holds(&record.stream, commit.first)
                    || !fresh.insert((record.stream.clone(), commit.first))
                {
                    sorted.repeats += 1;
                    continue;
                }
                sorted.commits.push(Archived {
                    sequence: arrival.sequence.clone(),
                    arrived_at: arrival.at,
                    stream: record.stream.clone(),
                    commit,
                });
            }
        }
        sorted
    }

    /// The footer of the segment that covers `records`, of which `first` is the first.
    fn footer(&self, shard: &str, first: &Arrival, records: &[&Arrival]) -> Footer {
        let tail = self.tail.as_ref();
        let last = records.last().map_or(first, |last| last);
        Footer {
            shard: shard.to_owned(),
            place: Place::next(tail.map(|tail| tail.place), first.at),
            previous: tail.map(|tail| Previous { last: tail.last.clone(), date: tail.place.date }),
            parents: self.parents.clone(),
            first: first.sequence.clone(),
            last: last.sequence.clone(),
            arrived_last: records.iter().map(|arrival| arrival.at).max().unwrap_or(first.at),
            rows: 0,
            commits: 0,
        }
    }

    /// Takes another archiver's segment for the next of the chain.
    fn follow(&mut self, chain: &Chain, segment: &Segment) -> Result<(), ChainError> {
        let footer = segment.footer();
        let corrupt = |reason: String| ChainError::Corrupt { key: chain.key(footer.place), reason };
        check_next(self.tail.as_ref(), footer).map_err(corrupt)?;
        let spans = segment.spans().map_err(|error| corrupt(error.reason))?;
        spans.iter().for_each(|span| self.known.add(span));
        self.parents.clone_from(&footer.parents);
        self.tail = Some(Tail::from(footer));
        Ok(())
    }

    /// Remembers the commits of the segments from `newest` back to the first that ends before `horizon`. True where the
    /// chain's beginning was reached before.
    async fn read_back(
        &mut self,
        chain: &Chain,
        newest: Place,
        horizon: Option<Timestamp>,
        budget: &mut u64,
    ) -> Result<bool, ChainError> {
        let mut next = Some(newest);
        while let Some(place) = next {
            // Ordinals follow one another within a date; where the date changes, the footer tells.
            let earlier = (0..SEGMENTS_AT_A_TIME).filter_map(|back| place.ordinal.checked_sub(back));
            let places = earlier.filter(|ordinal| *ordinal > 0).map(|ordinal| Place { ordinal, ..place });
            let reads: Vec<_> = places.map(|place| chain.read(place)).collect();
            let segments: Vec<Option<Segment>> =
                stream::iter(reads).buffered(reads_at_a_time()).try_collect().await?;
            if segments.first().is_none_or(Option::is_none) {
                return Err(ChainError::Corrupt {
                    key: chain.key(place),
                    reason: "the segment is missing".to_owned(),
                });
            }
            for segment in segments.into_iter().map_while(|segment| segment) {
                let spans = segment.spans().map_err(|error| ChainError::Corrupt {
                    key: chain.key(segment.footer().place),
                    reason: error.reason,
                })?;
                spans.iter().for_each(|span| self.known.add(span));
                *budget = budget.saturating_sub(1);
                let old = horizon.is_some_and(|horizon| segment.footer().arrived_last < horizon);
                if old || *budget == 0 || self.known.is_full() {
                    return Ok(false);
                }
                next = segment.footer().place_before();
            }
        }
        Ok(true)
    }
}

fn reads_at_a_time() -> usize {
    usize::try_from(SEGMENTS_AT_A_TIME).unwrap_or(1)
}

/// Checks that `footer` is the next ordinal after `tail`; tells what does not fit.
pub(crate) fn check_next(tail: Option<&Tail>, footer: &Footer) -> Result<(), String> {
    let ordinal = tail.map_or(0, |tail| tail.place.ordinal).saturating_add(1);
    let previous = tail.map(|tail| Previous { last: tail.last.clone(), date: tail.place.date });
    if footer.place.ordinal == ordinal && footer.previous == previous {
        return Ok(());
    }
    let after = previous.map_or_else(|| "nothing".to_owned(), |previous| previous.last.to_string());
    Err(format!(
        "ordinal {ordinal} must follow {after}, and this is {} after {:?}",
        footer.place.ordinal, footer.previous
    ))
}

impl From<&Archived> for Span {
    fn from(archived: &Archived) -> Self {
        Self {
            stream: archived.stream.clone(),
            first: archived.commit.first,
            last: archived.commit.last,
            arrived_at: archived.arrived_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod lab;
#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
