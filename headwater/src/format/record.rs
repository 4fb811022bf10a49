//! A record: what travels in Kinesis, one or more consecutive commits of one stream under the key of that stream.
//!
//! `kind` and `types` stand outside the commits, so that an event source mapping can filter on them. `store` is the id of the
//! store that holds the commits; records of before stores had one carry none.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Format, FormatError, commit,
    commit::Commit,
    head::Head,
    identity::{self, Foreign, Identity, StoreId},
};
use crate::id::StreamId;

const OBJECT: &str = "record";

/// Why what arrived is no record of this store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// It is no record.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It is another store's.
    #[error(transparent)]
    Foreign(#[from] Foreign),
}

/// Consecutive commits of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    format: Format<1>,
    /// The stream's kind.
    pub kind: String,
    /// The store that holds the commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
    /// The stream: also the partition key.
    pub stream: StreamId,
    /// The types of the events, each once, in order of appearance.
    pub types: Vec<String>,
    /// At least one commit.
    pub commits: Vec<Arc<Commit>>,
}

impl Record {
    /// The record of `commits`, of no store yet: see [`Self::of`].
    pub fn new(stream: StreamId, commits: Vec<Arc<Commit>>) -> Self {
        let mut types: Vec<String> = Vec::new();
        for event in commits.iter().flat_map(|commit| &commit.events) {
            if !types.contains(&event.name) {
                types.push(event.name.clone());
            }
        }
        Self { format: Format, kind: stream.kind().to_owned(), store: None, stream, types, commits }
    }

    /// The record as one of the store with this identity.
    #[must_use]
    pub fn of(self, store: Option<&Identity>) -> Self {
        Self { store: store.map(|store| store.id.clone()), ..self }
    }

    /// The record of a head's newest write; `None` where the head has no commits.
    pub fn newest(head: &Head) -> Option<Self> {
        let commits = head.newest_commits();
        (!commits.is_empty()).then(|| Self::new(head.stream.clone(), commits.to_vec()))
    }

    /// Reads and checks a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let record: Self = super::parse(OBJECT, bytes)?;
        commit::check_chain(OBJECT, record.commits.iter().map(AsRef::as_ref))?;
        if record.commits.is_empty() || record.kind != record.stream.kind() {
            return Err(FormatError::new(OBJECT, "needs a commit, and the kind of its stream"));
        }
        Ok(record)
    }

    /// Reads and checks a record, and that it is of the store with this identity.
    ///
    /// # Errors
    ///
    /// It is no record, or another store's: it must change nothing.
    pub fn decode_of(bytes: &[u8], ours: Option<&Identity>) -> Result<Self, NotOurs> {
        let record = Self::decode(bytes)?;
        identity::check(ours, &record)?;
        Ok(record)
    }

    /// The record's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::{commit::arbitrary::chain, golden};

    proptest! {
        #[test]
        fn a_record_comes_back(commits in chain(0)) {
            let record = Record::new("account/42".parse().expect("a stream"), commits);
            prop_assert_eq!(Record::decode(&record.encode().expect("encodes")).expect("decodes"), record);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_record_stands() {
        for name in ["record.json", "record-of-a-store.json"] {
            let golden = golden::read(name);
            golden::check(name, &Record::decode(&golden).expect("decodes").encode().expect("encodes"));
        }
    }

    #[test]
    fn commits_out_of_order_are_no_record() {
        let text = String::from_utf8(golden::read("record.json")).expect("UTF-8");
        let broken = text.replacen(r#""first":16,"last":17"#, r#""first":16,"last":18"#, 1);
        assert_ne!(text, broken);
        assert!(Record::decode(broken.as_bytes()).is_err());
    }
}
