//! The archive and what is behind it: steps 3 and 4 of [`audit`](super).

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    evidence::parents_first,
    format::record::Record,
    port::{Sequence, Shard, Start},
};

use super::{AuditError, Finding, PATIENCE, Run, What, index::Met};
use crate::{
    archive::check_next,
    chain::{Chain, ChainError, Tail},
    place::Place,
    replay::Replay,
    segment::Segment,
    shard,
};

/// Segments that are read ahead.
const SEGMENTS_AHEAD: usize = 4;

/// How far a chain is read.
struct Walk {
    /// The ordinal that must come.
    next: u64,
    /// The end of the segment before; `None` where none is, or it can't be read.
    tail: Option<Tail>,
    /// The last record that is archived, as far as segments can be read.
    last: Option<Sequence>,
}

impl Run<'_> {
    /// Reads every chain, and every shard behind it; again for shards that a reshard made meanwhile.
    pub(super) async fn archive(&mut self) -> Result<(), AuditError> {
        let audit = self.audit;
        let replay = Replay::new(audit.archive.clone(), audit.ports.entropy.clone(), &audit.stream);
        self.listener.begins("segments", None);
        let mut read: BTreeSet<String> = BTreeSet::new();
        loop {
            let open: Vec<Shard> = shard::all(&audit.ports, PATIENCE).await?;
            let mut wave = self.lineage(&replay, &open).await?;
            wave.retain(|shard| read.insert(shard.clone()));
            if wave.is_empty() {
                return Ok(());
            }
            for shard in wave {
                let last = self.chain(&replay.chain(&shard)).await?;
                if open.iter().any(|open| open.id == shard) {
                    self.behind(&shard, last.map_or(Start::Oldest, Start::After)).await?;
                }
            }
        }
    }

    /// Every shard that Kinesis or the archive knows, none before its parents.
    async fn lineage(&self, replay: &Replay, open: &[Shard]) -> Result<Vec<String>, AuditError> {
        let mut shards: BTreeMap<String, Shard> =
            open.iter().map(|shard| (shard.id.clone(), shard.clone())).collect();
        for id in replay.shards().await? {
            let chain = replay.chain(&id);
            let Some(place) = chain.first(None).await? else { continue };
            // What can't be read is told when its turn comes.
            let footer = chain.read(place).await.ok().flatten().map(|segment| segment.footer().clone());
            let parents = footer.map(|footer| footer.parents).unwrap_or_default();
            let shard = Shard { id: id.clone(), parents: Vec::new(), closed: true };
            shards.entry(id).or_insert(shard).parents.extend(parents);
        }
        Ok(parents_first(shards.into_values().collect()).into_iter().map(|shard| shard.id).collect())
    }

    /// Reads a chain to its end; tells the last record that it covers.
    async fn chain(&mut self, chain: &Chain) -> Result<Option<Sequence>, AuditError> {
        let mut walk = Walk { next: 1, tail: None, last: None };
        let mut place = None;
        loop {
            let places = chain.after(place).await?;
            let Some(end) = places.last() else { return Ok(walk.last) };
            place = Some(*end);
            let reads = places.into_iter().map(|place| async move { (place, chain.read(place).await) });
            let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffered(SEGMENTS_AHEAD);
            while let Some((place, read)) = reads.next().await {
                self.listener.step();
                self.summary.segments += 1;
                self.segment(chain, place, read, &mut walk).await?;
            }
        }
    }

    async fn segment(
        &mut self,
        chain: &Chain,
        place: Place,
        read: Result<Option<Segment>, ChainError>,
        walk: &mut Walk,
    ) -> Result<(), AuditError> {
        let key = chain.key(place);
        let segment = match read {
            Ok(Some(segment)) => Some(segment),
            Ok(None) => {
                self.damage(&key, "the segment was listed, and is missing".to_owned());
                None
            }
            Err(ChainError::Corrupt { key, reason }) => {
                self.damage(&key, reason);
                None
            }
            Err(error @ ChainError::Unavailable { .. }) => return Err(error.into()),
        };
        let gap = place.ordinal != walk.next;
        if gap {
            let before = segment.as_ref().and_then(|segment| segment.footer().place_before());
            let (missing, through) = (walk.next, place.ordinal.saturating_sub(1));
            match before.filter(|_| missing == through) {
                Some(before) => self.damage(&chain.key(before), "the segment is missing".to_owned()),
                None => self.damage(&key, format!("ordinals {missing}..={through} are missing before it")),
            }
        }
        let known = !gap && (walk.tail.is_some() || place.ordinal == 1);
        walk.next = place.ordinal.saturating_add(1);
        let Some(segment) = segment else {
            walk.tail = None;
            return Ok(());
        };
        let footer = segment.footer();
        if known && let Err(reason) = check_next(walk.tail.as_ref(), footer) {
            self.damage(&key, reason);
        }
        (walk.tail, walk.last) = (Some(Tail::from(footer)), Some(footer.last.clone()));
        match segment.commits() {
            Ok(commits) => {
                self.summary.archived += commits.len() as u64;
                for archived in commits {
                    let met = self.index.meet(&archived.stream, &archived.commit, Met::Archived(&key)).await;
                    self.met(met)?;
                }
            }
            Err(error) => self.damage(&key, error.reason),
        }
        Ok(())
    }

    /// Reads what is behind a chain.
    async fn behind(&mut self, shard: &str, start: Start) -> Result<(), AuditError> {
        let ours = self.audit.ports.identity.now(&self.reader).await?;
        let mut batches = pin!(shard::batches(&self.audit.ports, shard, start, PATIENCE));
        while let Some(records) = batches.try_next().await? {
            for arrival in records {
                // What is no commit of this store goes to quarantine, in its turn.
                let Ok(record) = Record::decode_of(&arrival.data, ours) else { continue };
                for commit in &record.commits {
                    let met = Met::Arrived(&arrival.shard, arrival.at);
                    let met = self.index.meet(&record.stream, commit, met).await;
                    self.met(met)?;
                }
            }
        }
        Ok(())
    }

    fn met(&mut self, met: Result<Vec<Finding>, headwater::StoreError>) -> Result<(), AuditError> {
        match met {
            Ok(findings) => self.find_all(findings),
            Err(error) => self.find(&super::damage(error)?),
        }
        Ok(())
    }

    fn damage(&mut self, key: &str, reason: String) {
        self.damaged = true;
        self.find(&Finding::new(What::Damage, key, reason));
    }
}
