//! A commit: the events of one decision, written together or not at all.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FormatError;
use crate::{
    event::StoredEvent,
    id::{CommitId, InvalidName, Version},
    limits,
};

/// What travels beside the events: `traceparent`, `correlation` and `causation`, and what a caller adds.
pub type Meta = Map<String, Value>;

/// The member of [`Meta`] that names what a commit follows from: the event, as `account/42@17`, where it is a process's.
pub const CAUSATION: &str = "causation";

/// The events of one decision, of versions `first..=last`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The caller's name for it.
    pub id: CommitId,
    /// The version of its first event.
    pub first: Version,
    /// The version of its last event.
    pub last: Version,
    /// When it was decided, in milliseconds, by the writer's clock.
    pub at: Timestamp,
    /// At least one event.
    pub events: Vec<StoredEvent>,
    /// What travels beside the events.
    #[serde(default)]
    pub meta: Meta,
}

impl Commit {
    /// Each event with its version.
    pub fn versioned(&self) -> impl Iterator<Item = (Version, &StoredEvent)> {
        (self.first.get()..).map(Version::new).zip(&self.events)
    }

    fn check(&self, object: &'static str) -> Result<(), FormatError> {
        let events = self.events.len() as u64;
        if self.last.get() > limits::VERSION || in_milliseconds(self.at).is_none() {
            let reason =
                format!("commit {}: version {} or time {} is out of range", self.id, self.last, self.at);
            return Err(FormatError { object, reason });
        }
        if events == 0 || self.first == Version::ZERO || self.first.plus(events - 1) != self.last {
            let reason =
                format!("commit {}: {events} events are not {}..={}", self.id, self.first, self.last);
            return Err(FormatError { object, reason });
        }
        Ok(())
    }
}

/// Refuses `meta` that is nested deeper than [`limits::META_DEPTH`]: it could be written, and not be read again.
pub fn check_meta(meta: &Meta) -> Result<(), InvalidName> {
    fn fits(value: &Value, depth: usize) -> bool {
        match value {
            Value::Array(values) => depth > 0 && values.iter().all(|value| fits(value, depth - 1)),
            Value::Object(members) => depth > 0 && members.values().all(|value| fits(value, depth - 1)),
            _ => true,
        }
    }
    if meta.values().all(|value| fits(value, limits::META_DEPTH)) {
        return Ok(());
    }
    Err(InvalidName::new("meta", format!("must be nested at most {} deep", limits::META_DEPTH)))
}

/// A time as it is stored, in milliseconds; refused outside of [`limits::AT`].
pub fn check_at(at: Timestamp) -> Result<Timestamp, InvalidName> {
    let milliseconds = in_milliseconds(at).filter(|at| limits::AT.contains(at));
    milliseconds.ok_or_else(|| {
        let (first, last) = (limits::AT.start(), limits::AT.end());
        InvalidName::new("at", format!("must be a time from {first} to {last}, is {at}"))
    })
}

/// A time as it is stored; `None` where milliseconds cannot say it, in the last of the year 9999.
pub fn in_milliseconds(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.as_millisecond()).ok()
}

/// Checks that `commits` are whole and follow one another without a gap.
pub(super) fn check_chain<'a>(
    object: &'static str,
    commits: impl IntoIterator<Item = &'a Commit>,
) -> Result<(), FormatError> {
    let mut expected = None;
    for commit in commits {
        commit.check(object)?;
        if expected.is_some_and(|version| version != commit.first) {
            let reason = format!("commit {} begins at {}, out of order", commit.id, commit.first);
            return Err(FormatError { object, reason });
        }
        expected = Some(commit.last.next());
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod arbitrary {
    //! Commits as property tests draw them.

    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// A chain of commits that begins after `base`.
    pub(crate) fn chain(base: u64) -> impl Strategy<Value = Vec<Arc<Commit>>> {
        let commit = ("[!-~]{1,40}", 1_u64..4, "[A-Z][a-z]{0,10}", "\\PC{0,20}", 0_i64..4_000_000_000_000);
        proptest::collection::vec(commit, 1..6).prop_map(move |drawn| {
            let mut last = Version::new(base);
            let commit = |(id, events, name, text, at): (String, u64, String, String, i64)| {
                let first = last.next();
                last = last.plus(events);
                let data = serde_json::value::to_raw_value(&text).expect("JSON");
                let event = StoredEvent::new(name, 1, data).expect("a name");
                let meta = Meta::from_iter([("correlation".to_owned(), Value::from(text))]);
                let events = vec![event; usize::try_from(events).expect("few")];
                let at = Timestamp::from_millisecond(at).expect("a time");
                Arc::new(Commit { id: id.parse().expect("an id"), first, last, at, events, meta })
            };
            drawn.into_iter().map(commit).collect()
        })
    }
}
