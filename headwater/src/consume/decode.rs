//! Decoding: arrivals become commits, grouped by the view that they feed.
//!
//! What is no record of a known format, or another store's, is passed over with a warning: the archiver keeps it in quarantine,
//! and if it held a commit of this store after all, the next record of its stream shows the gap.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tracing::{error, warn};

use super::{projection::Projection, reads::reads, rule::StreamCommit};
use crate::{
    format::{
        identity::Identity,
        record::{NotOurs, Record},
    },
    id::{StreamId, check_segment},
    limits, metric,
    port::{Arrival, Sequence},
};

/// What one batch has for one view.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The commits, in the order of their arrival.
    pub(super) commits: Vec<StreamCommit>,
    /// The lowest sequence number per shard.
    pub(super) lowest: BTreeMap<String, Sequence>,
}

/// Groups the commits of a batch by the view that they feed.
pub(super) fn decode<P: Projection>(
    projection: &P,
    ours: Option<&Identity>,
    arrivals: &[Arrival],
) -> BTreeMap<String, Feed> {
    let mut feeds: BTreeMap<String, Feed> = BTreeMap::new();
    for Arrival { shard, sequence, data, .. } in arrivals {
        let Record { stream, commits, .. } = match Record::decode_of(data, ours) {
            Ok(record) => record,
            Err(NotOurs::Foreign(cause)) => {
                metric::count(metric::FOREIGN, 1);
                error!(projection = P::NAME, shard, %sequence, %cause, "passed over a record of another store");
                continue;
            }
            Err(cause) => {
                warn!(projection = P::NAME, shard, %sequence, %cause, "passed over what is no record");
                continue;
            }
        };
        let Some(key) = view_key(projection, &stream) else { continue };
        let feed = feeds.entry(key).or_default();
        let lowest = feed.lowest.entry(shard.clone()).or_insert_with(|| sequence.clone());
        if sequence < lowest {
            *lowest = sequence.clone();
        }
        feed.commits
            .extend(commits.into_iter().map(|commit| StreamCommit { stream: stream.clone(), commit }));
    }
    feeds
}

/// What must come again where a batch could not be looked at: all of it.
pub(super) fn all(arrivals: &[Arrival]) -> BTreeMap<String, Sequence> {
    let mut lowest: BTreeMap<String, Sequence> = BTreeMap::new();
    for Arrival { shard, sequence, .. } in arrivals {
        let least = lowest.entry(shard.clone()).or_insert_with(|| sequence.clone());
        if sequence < least {
            *least = sequence.clone();
        }
    }
    lowest
}

/// The view that a stream feeds; `None` where it is of no kind that the projection reads, or the projection says so. A key
/// that no object can have is the projection's fault: one stream's trouble must not stop the shard, and a mended projection
/// heals the view.
pub(super) fn view_key<P: Projection>(projection: &P, stream: &StreamId) -> Option<String> {
    if !reads::<P::Reads>(stream) {
        return None;
    }
    let Ok(key) = catch_unwind(AssertUnwindSafe(|| projection.key(stream))) else {
        error!(projection = P::NAME, %stream, "passed over a stream: its view key panics");
        return None;
    };
    match check_segment("view key", key.as_ref()?, limits::VIEW_KEY_BYTES) {
        Ok(()) => key,
        Err(cause) => {
            error!(projection = P::NAME, %stream, %cause, "passed over a stream: its view key is invalid");
            None
        }
    }
}
