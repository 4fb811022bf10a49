//! The cold start: step 1 of [`archive`](super).
//!
//! 1. Find the tail: some listings.
//! 2. Read back the commits that may come again: the segments from the tail back to the horizon, 16 at a time.
//! 3. Where the chain's beginning was reached before the horizon, go on with the chains of the shard's parents. Kinesis
//!    names them while it keeps them, and every segment names them for ever.
//!
//! The mapping ends a parent before it begins a child, so the parents' chains are complete.

use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
};

use futures::TryStreamExt;
use headwater::port::Arrival;
use jiff::Timestamp;

use super::{ArchiveError, Archiver, Shard, warm::Warm};
use crate::{
    chain::{Chain, ChainError, SEGMENTS_AT_A_TIME, Tail},
    known::Known,
    place::{Place, day},
};

/// Segments that a warm archiver catches up with; where there are more, it starts cold.
const CATCH_UP: usize = 32;

impl Shard {
    /// Makes sure that the tail is known that was the newest when the batch was handed out, or a later one.
    pub(super) async fn catch_up(&mut self, first: &Arrival) -> Result<(), ArchiveError> {
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

    /// Finds the tail, and reads back what may come again with records from `first` on.
    pub(super) async fn start(&self, archiver: &Archiver, first: Timestamp) -> Result<Warm, ArchiveError> {
        let known = Known::new(archiver.bounds.streams);
        let mut warm = Warm { tail: None, parents: Vec::new(), known };
        let mut reading = Reading { horizon: self.horizon.cold(first), segments: archiver.bounds.read_back };
        let mut left = VecDeque::from([self.chain.shard().to_owned()]);
        let mut seen = HashSet::new();
        while let Some(shard) = left.pop_front() {
            if !seen.insert(shard.clone()) {
                continue;
            }
            let chain = self.chain.of(&shard);
            let (tail, parents, young) = if let Some(place) = chain.newest(day(first)).await? {
                let tail = Tail::from(chain.demand(place).await?.footer());
                let young = reading.back(&chain, place, &mut warm.known).await?;
                (Some(tail.clone()), tail.parents, young)
            } else {
                // A shard without segments stands for those before it.
                let parents = archiver.parents(&shard).await?;
                if warm.parents.contains(&shard) {
                    warm.parents.retain(|parent| *parent != shard);
                    warm.parents.extend(parents.iter().cloned());
                }
                (None, parents, true)
            };
            if young {
                left.extend(parents.iter().cloned());
            }
            if shard == self.chain.shard() {
                (warm.tail, warm.parents) = (tail, parents);
            }
        }
        Ok(warm)
    }
}

impl Archiver {
    async fn parents(&self, shard: &str) -> Result<Vec<String>, ArchiveError> {
        let shards = self.ports.log.shards().await;
        let shards = shards.map_err(|cause| ArchiveError::Shards { shard: shard.to_owned(), cause })?;
        Ok(shards.into_iter().find(|known| known.id == shard).map(|known| known.parents).unwrap_or_default())
    }
}

/// How far a cold start reads back.
struct Reading {
    horizon: Option<Timestamp>,
    /// Segments that may still be read.
    segments: u64,
}

impl Reading {
    /// Remembers the commits of the segments from `newest` back to the first that ends before `horizon`. True where the
    /// chain's beginning was reached before.
    async fn back(&mut self, chain: &Chain, newest: Place, known: &mut Known) -> Result<bool, ChainError> {
        let mut segments = pin!(chain.back(newest, SEGMENTS_AT_A_TIME));
        while let Some(segment) = segments.try_next().await? {
            let spans = segment.spans().map_err(|error| ChainError::Corrupt {
                key: chain.key(segment.footer().place),
                reason: error.reason,
            })?;
            known.extend(&spans);
            self.segments = self.segments.saturating_sub(1);
            let old = self.horizon.is_some_and(|horizon| segment.footer().arrived_last < horizon);
            if old || self.segments == 0 || known.is_full() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
