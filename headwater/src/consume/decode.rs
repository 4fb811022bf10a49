//! Decoding: arrivals become commits, grouped by the view that they feed, and events become the projection's own.
//!
//! What is no record of a known format is passed over with a warning: the archiver keeps it in quarantine, and if it held
//! a commit after all, the next record of its stream shows the gap.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor, value},
};
use tracing::{error, warn};

use super::{projection::Projection, rule::StreamCommit};
use crate::{
    format::record::Record,
    id::{StreamId, check_segment},
    limits,
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
pub(super) fn decode<P: Projection>(projection: &P, arrivals: &[Arrival]) -> BTreeMap<String, Feed> {
    let mut feeds: BTreeMap<String, Feed> = BTreeMap::new();
    for Arrival { shard, sequence, data, .. } in arrivals {
        let Record { stream, commits, .. } = match Record::decode(data) {
            Ok(record) => record,
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

/// The view that a stream feeds. A key that no object can stand under is the projection's fault: one stream's trouble must
/// not stop the shard, and a mended projection heals the view.
pub(super) fn view_key<P: Projection>(projection: &P, stream: &StreamId) -> Option<String> {
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

/// The event types that a projection reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Types(Option<&'static [&'static str]>);

impl Types {
    /// Asks the enum itself for its variants. One that does not tell, as an untagged enum, is taken to read all.
    pub(crate) fn of<E: DeserializeOwned>() -> Self {
        let mut variants = None;
        let _ = E::deserialize(Probe(&mut variants));
        Self(variants)
    }

    /// Their names; none where the enum does not tell.
    pub(crate) fn names(self) -> &'static [&'static str] {
        self.0.unwrap_or_default()
    }

    /// Whether events of this type are read.
    pub(super) fn contains(self, name: &str) -> bool {
        self.0.is_none_or(|variants| variants.contains(&name))
    }
}

/// A deserializer that holds no data and notes which variants it is asked for.
struct Probe<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(value::Error::custom("there is nothing to read"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(variants);
        Err(value::Error::custom("there is nothing to read"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn an_enum_tells_which_types_it_reads() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is asked for")]
        enum Named {
            Opened(u64),
            #[serde(rename = "shut", alias = "Shut")]
            Closed,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        #[expect(dead_code, reason = "only its shape is asked for")]
        enum Untold {
            Number(u64),
        }
        let types = Types::of::<Named>();
        let read = ["Opened", "shut", "Shut", "Closed", "Renamed"].map(|name| types.contains(name));
        assert_eq!(read, [true, true, true, false, false]);
        assert!(Types::of::<Untold>().contains("Anything"));
    }
}
