//! A view: the document that a projection keeps, at `views/{projection}/{key}`, with the versions that it reflects in
//! the same object, so that the two cannot come apart (H11).

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Format, FormatError};
use crate::id::{StreamId, Version};

const OBJECT: &str = "view";

/// A projection's state, and how far each stream is folded into it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View<S> {
    format: Format<1>,
    /// The projection's own.
    pub state: S,
    /// The version through which each stream is applied.
    pub applied: BTreeMap<StreamId, Version>,
    /// The streams that stand still, and why.
    #[serde(default)]
    pub parked: BTreeMap<StreamId, Parked>,
}

/// Why a stream stands still in a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The version of the event that could not be applied.
    pub version: Version,
    /// What went wrong.
    pub error: String,
    /// Since when.
    pub at: Timestamp,
}

impl<S> View<S> {
    /// A view of nothing yet.
    pub fn new(state: S) -> Self {
        Self { format: Format, state, applied: BTreeMap::new(), parked: BTreeMap::new() }
    }

    /// The version through which `stream` is applied.
    pub fn applied(&self, stream: &StreamId) -> Version {
        self.applied.get(stream).copied().unwrap_or_default()
    }
}

impl<S: Serialize + DeserializeOwned> View<S> {
    /// Reads a view.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::parse(OBJECT, bytes)
    }

    /// The view's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::format::golden;

    proptest! {
        #[test]
        fn a_view_comes_back(state: String, applied in proptest::collection::btree_map("[a-z]{1,5}", 0_u64..99, 0..5)) {
            let mut view = View::new(state);
            for (id, version) in applied {
                let stream = StreamId::new("account", &id).expect("a stream");
                let parked = Parked { version: Version::new(version), error: id, at: Timestamp::UNIX_EPOCH };
                view.parked.insert(stream.clone(), parked);
                view.applied.insert(stream, Version::new(version));
            }
            prop_assert_eq!(View::decode(&view.encode().expect("encodes")).expect("decodes"), view);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = View::<Value>::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_view_stands() {
        let golden = golden::read("view.json");
        golden::check(
            "view.json",
            &View::<Value>::decode(&golden).expect("decodes").encode().expect("encodes"),
        );
    }
}
