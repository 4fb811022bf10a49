//! What binds a snapshot to the events that it was made from.
//!
//! A state is believed only where it fits: a hash over the state, its schema and version, the stream, and the newest of its
//! events, those that the head still held when it was made. It costs one hash for each snapshot that is written, which is one
//! for each page, and one for each head that is read with a snapshot. What does not fit is passed over and the events are folded;
//! so is a snapshot without a binding, as older versions wrote it. The next write replaces it.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::head::{Head, Snapshot};
use crate::id::Version;

/// What a snapshot was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The first version that the hash covers: the first in the head at that time.
    pub from: Version,
    /// SHA-256 over all of it, in hexadecimal digits.
    pub hash: String,
}

impl Snapshot {
    /// The same snapshot, bound to the events that `head` holds. It is the state at the head's version.
    #[must_use]
    pub fn bound_to(self, head: &Head) -> Self {
        let from = head.first_in_head();
        let binding = Binding { from, hash: self.hash(head, from) };
        Self { binding: Some(binding), ..self }
    }

    /// Whether it was made from the events that `head` says, as far as the head holds them. Those that the hash covers must all
    /// be there: what has moved to a page since is not read for it.
    pub fn fits(&self, head: &Head) -> bool {
        let fits = |binding: &Binding| {
            let held = head.first_in_head() <= binding.from && binding.from <= self.version;
            held && binding.hash == self.hash(head, binding.from)
        };
        self.binding.as_ref().is_some_and(fits)
    }

    fn hash(&self, head: &Head, from: Version) -> String {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        text(head.stream.as_str());
        text(self.state.get());
        text(&format!("{} {} {from}", self.schema, self.version));
        let covered =
            head.commits.iter().filter(|commit| from <= commit.first && commit.last <= self.version);
        for commit in covered {
            text(commit.id.as_str());
            text(&format!("{} {}", commit.first, commit.last));
            for event in &commit.events {
                text(&event.name);
                text(&event.schema.to_string());
                text(event.data.get());
            }
        }
        let mut digits = String::with_capacity(64);
        for byte in hash.finalize() {
            // Writing to a string does not fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::{event::StoredEvent, format::golden};

    fn golden_head() -> Head {
        Head::decode(&golden::read("head-bound.json")).expect("decodes")
    }

    #[test]
    fn a_bound_snapshot_stays_as_it_is() {
        let golden = golden::read("head-bound.json");
        golden::check("head-bound.json", &golden_head().encode().expect("encodes"));
        assert_eq!(
            Head::decode(&golden).expect("decodes").snapshot.expect("one").binding.expect("bound").from,
            Version::new(16)
        );
    }

    #[test]
    fn a_snapshot_fits_what_it_was_made_from_and_nothing_else() {
        let head = golden_head();
        let snapshot = head.snapshot.clone().expect("one");
        assert!(snapshot.fits(&head));
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let other = [
            Snapshot { state: raw(r#"{"balance":777777}"#), ..snapshot.clone() },
            Snapshot { schema: 2, ..snapshot.clone() },
            Snapshot { version: Version::new(16), ..snapshot.clone() },
            Snapshot { binding: None, ..snapshot.clone() },
        ];
        assert!(other.iter().all(|snapshot| !snapshot.fits(&head)));
        let mut changed = head.clone();
        let commit = std::sync::Arc::make_mut(&mut changed.commits[0]);
        commit.events[0] = StoredEvent::new("Credited", 1, raw(r#"{"amount":777777}"#)).expect("an event");
        assert!(!snapshot.fits(&changed), "an event is another");
        let mut renamed = head.clone();
        renamed.stream = "account/43".parse().expect("a stream");
        assert!(!snapshot.fits(&renamed), "it is another stream's");
        let mut longer = head;
        let next = longer.version.next();
        let mut commit = (*longer.commits[0]).clone();
        (commit.first, commit.last) = (next, next.plus(commit.events.len() as u64 - 1));
        longer.push([std::sync::Arc::new(commit)]);
        assert!(snapshot.fits(&longer), "later events change nothing");
        longer.commits.remove(0);
        assert!(!snapshot.fits(&longer), "what it was made from is not here any more");
    }
}
