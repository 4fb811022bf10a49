//! What a warm archiver knows of a shard, and what it makes of a batch: steps 3 and 5 of [`archive`](super).

use std::collections::HashSet;

use headwater::{
    format::{
        identity::Identity,
        record::{NotOurs, Record},
    },
    metric::count,
    port::Arrival,
};

use crate::{
    chain::{Chain, ChainError, Tail},
    known::Known,
    metric,
    place::Place,
    segment::{self, Archived, Footer, Previous, Segment, Span},
};

/// What a warm archiver knows of a shard. Tail and commits change together.
pub(super) struct Warm {
    /// `None` where no segment stands.
    pub(super) tail: Option<Tail>,
    /// The shard's parents.
    pub(super) parents: Vec<String>,
    pub(super) known: Known,
}

/// A batch, sorted.
#[derive(Default)]
pub(super) struct Sorted<'a> {
    pub(super) commits: Vec<Archived>,
    pub(super) strays: Vec<(&'a Arrival, String)>,
    pub(super) repeats: u64,
    /// How many of the strays are another store's records.
    pub(super) foreign: usize,
}

impl Sorted<'_> {
    /// Counts what a segment that was written has taken in.
    pub(super) fn measure(&self, bytes: usize) {
        count(metric::SEGMENTS, 1);
        count(metric::ARCHIVED_COMMITS, self.commits.len());
        count(metric::QUARANTINED, self.strays.len());
        count(headwater::metric::FOREIGN, self.foreign);
        headwater::metric::bytes(metric::SEGMENT_BYTES, bytes);
    }
}

impl Warm {
    pub(super) fn sort<'a>(&self, records: &[&'a Arrival], ours: Option<&Identity>) -> Sorted<'a> {
        let mut sorted = Sorted::default();
        let mut fresh = HashSet::new();
        for arrival in records {
            let record = match Record::decode_of(&arrival.data, ours) {
                Ok(record) => record,
                Err(error) => {
                    sorted.foreign += usize::from(matches!(error, NotOurs::Foreign(_)));
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
    pub(super) fn footer(&self, shard: &str, first: &Arrival, records: &[&Arrival]) -> Footer {
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
    pub(super) fn follow(&mut self, chain: &Chain, segment: &Segment) -> Result<(), ChainError> {
        let footer = segment.footer();
        let corrupt = |reason: String| ChainError::Corrupt { key: chain.key(footer.place), reason };
        check_next(self.tail.as_ref(), footer).map_err(corrupt)?;
        let spans = segment.spans().map_err(|error| corrupt(error.reason))?;
        self.known.extend(&spans);
        self.parents.clone_from(&footer.parents);
        self.tail = Some(Tail::from(footer));
        Ok(())
    }
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
