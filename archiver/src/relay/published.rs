//! What is published: step 5 of [`relay`](super).
//!
//! 1. Ask Kinesis for its shards; without a watermark ask the archive as well, which may know some that Kinesis forgot.
//! 2. Of each shard read the newest segment, then the records behind it to the shard's end: between the two nothing is left
//!    out, for what is archived meanwhile is behind it still.
//! 3. Read the older segments, newest first, back to the first that ends before the watermark less [`MARGIN`].
//! 4. Where a chain's beginning was reached before that, go on with the chains of its shard's parents.
//! 5. Stop as soon as nothing is wanted any more.
//!
//! A stream's versions arrive in their order (H4), so its newest version that arrived says all. A record that arrives after
//! its shard was read is not seen, as behind a reshard: then it is published once more, which is harmless.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    StreamId, Version,
    format::{identity::Identity, record::Record},
    port::{Arrival, Start},
};
use jiff::{SignedDuration, Timestamp};

use super::{Relay, Stays, earlier};
use crate::{
    chain::{Chain, ChainError, SEGMENTS_AT_A_TIME},
    place::{Place, day},
    replay::Replay,
    segment::Segment,
    shard,
};

/// Shards that are read at a time.
const SHARDS_AT_A_TIME: usize = 16;
/// How far the clocks of S3 and Kinesis differ, and more.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// The versions that are looked for.
pub(super) struct Wanted(Mutex<BTreeMap<StreamId, Version>>);

impl Wanted {
    pub(super) fn new(wanted: BTreeMap<StreamId, Version>) -> Self {
        Self(Mutex::new(wanted))
    }

    /// What was not found.
    pub(super) fn left(self) -> BTreeMap<StreamId, Version> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The stream has arrived through `last`.
    fn arrived(&self, stream: &StreamId, last: Version) {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.get(stream).is_some_and(|version| *version <= last) {
            wanted.remove(stream);
        }
    }

    fn records(&self, records: &[Arrival], ours: Option<&Identity>) {
        // What is no commit of this store is nobody's newest write.
        for record in records.iter().filter_map(|arrival| Record::decode_of(&arrival.data, ours).ok()) {
            if let Some(commit) = record.commits.last() {
                self.arrived(&record.stream, commit.last);
            }
        }
    }

    fn segment(&self, chain: &Chain, segment: &Segment) -> Result<(), ChainError> {
        let key = || chain.key(segment.footer().place);
        let spans = segment.spans();
        let spans = spans.map_err(|error| ChainError::Corrupt { key: key(), reason: error.reason })?;
        for span in spans {
            self.arrived(&span.stream, span.last);
        }
        Ok(())
    }
}

/// Looks for what is published.
pub(super) struct Published<'a> {
    relay: &'a Relay,
    replay: Replay,
    /// Nothing that is wanted arrived before this.
    horizon: Option<Timestamp>,
    begin: Timestamp,
}

impl<'a> Published<'a> {
    /// A look at everything that arrived from `since` on, in a pass that began at `begin`.
    pub(super) fn new(relay: &'a Relay, since: Option<Timestamp>, begin: Timestamp) -> Self {
        let (archive, entropy) = (relay.archive.clone(), relay.ports.entropy.clone());
        let replay = Replay::new(archive, entropy, &relay.stream);
        Self { relay, replay, horizon: since.map(|since| earlier(since, MARGIN)), begin }
    }

    /// Strikes out of `wanted` what is published.
    pub(super) async fn strike(&self, wanted: &Wanted) -> Result<(), Stays> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (ports, patience) = (&self.relay.ports, self.relay.settings.patience);
        let open = shard::all(ports, patience).await?.into_iter().map(|shard| (shard.id, shard.parents));
        let open: BTreeMap<String, Vec<String>> = open.collect();
        let mut seen = HashSet::new();
        let mut wave: Vec<String> = open.keys().cloned().collect();
        if self.horizon.is_none() {
            wave.extend(self.replay.shards().await?);
        }
        while !wave.is_empty() && !wanted.is_empty() {
            wave.retain(|shard| seen.insert(shard.clone()));
            wave.sort_unstable();
            let reads = wave.iter().map(|shard| self.shard(shard, open.get(shard), wanted));
            let reads: Vec<_> = reads.collect();
            let parents = stream::iter(reads).buffer_unordered(SHARDS_AT_A_TIME);
            let parents: Vec<Vec<String>> = parents.try_collect().await?;
            wave = parents.into_iter().flatten().collect();
        }
        Ok(())
    }

    /// Reads one shard; gives the shards before it where they may hold what is wanted.
    async fn shard(
        &self,
        shard: &str,
        open: Option<&Vec<String>>,
        wanted: &Wanted,
    ) -> Result<Vec<String>, Stays> {
        let chain = self.replay.chain(shard);
        let newest = self.newest(&chain).await?;
        let mut start = Start::Oldest;
        if let Some(place) = newest {
            let segment = chain.demand(place).await?;
            wanted.segment(&chain, &segment)?;
            start = Start::After(segment.footer().last.clone());
        }
        if open.is_some() && !wanted.is_empty() {
            let (ports, patience) = (&self.relay.ports, self.relay.settings.patience);
            let ours = ports.identity.now(&self.relay.reader).await?;
            let mut batches = pin!(shard::batches(ports, shard, start, patience));
            while let Some(records) = batches.try_next().await? {
                wanted.records(&records, ours);
                if wanted.is_empty() {
                    break;
                }
            }
        }
        match newest {
            Some(place) if !wanted.is_empty() => Ok(self.back(&chain, place, wanted).await?),
            // A shard without segments stands for those before it.
            None if !wanted.is_empty() => Ok(open.cloned().unwrap_or_default()),
            _ => Ok(Vec::new()),
        }
    }

    /// The newest segment, from where it was in the pass before.
    async fn newest(&self, chain: &Chain) -> Result<Option<Place>, ChainError> {
        let known = |relay: &Relay| {
            let newest = relay.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.get(chain.shard()).copied()
        };
        let place = match known(self.relay) {
            Some(place) => Some(chain.newest_after(place).await?.unwrap_or(place)),
            None => chain.newest(day(self.begin)).await?,
        };
        if let Some(place) = place {
            let mut newest = self.relay.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.insert(chain.shard().to_owned(), place);
        }
        Ok(place)
    }

    async fn back(&self, chain: &Chain, newest: Place, wanted: &Wanted) -> Result<Vec<String>, ChainError> {
        let mut parents = Vec::new();
        let mut segments = pin!(chain.back(newest, SEGMENTS_AT_A_TIME));
        while let Some(segment) = segments.try_next().await? {
            wanted.segment(chain, &segment)?;
            let footer = segment.footer();
            if wanted.is_empty() || self.horizon.is_some_and(|horizon| footer.arrived_last < horizon) {
                return Ok(Vec::new());
            }
            parents.clone_from(&footer.parents);
        }
        Ok(parents)
    }
}
