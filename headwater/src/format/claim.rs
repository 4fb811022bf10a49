//! A claim: which stream may hold a unique value, at `claims/{set}/{value}`.
//!
//! It is only as good as its owner's state: a claim whose owner does not hold the value was left behind, or is on its way.
//! Every write of it has a fresh attempt id, so that no two claims of a value ever have the same bytes.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Format, FormatError};
use crate::id::StreamId;

const OBJECT: &str = "claim";

/// A stream's claim to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredClaim {
    format: Format<1>,
    /// The stream that claims it.
    pub owner: StreamId,
    /// A fresh id of every attempt.
    pub attempt: String,
    /// When, by the writer's clock: for people, nothing is decided by it.
    pub at: Timestamp,
}

impl StoredClaim {
    /// The claim of `owner`.
    pub fn new(owner: StreamId, attempt: String, at: Timestamp) -> Self {
        Self { format: Format, owner, attempt, at }
    }

    /// Reads a claim.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::parse(OBJECT, bytes)
    }

    /// The claim's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::golden;

    proptest! {
        #[test]
        fn a_claim_comes_back(id in "[^\\p{Cc}]{1,20}", attempt: String, millis in 0_i64..4_000_000_000_000) {
            let Ok(owner) = StreamId::new("user", &id) else { return Ok(()) };
            let claim = StoredClaim::new(owner, attempt, Timestamp::from_millisecond(millis).expect("a time"));
            prop_assert_eq!(StoredClaim::decode(&claim.encode().expect("encodes")).expect("decodes"), claim);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = StoredClaim::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_claim_stands() {
        let golden = golden::read("claim.json");
        golden::check(
            "claim.json",
            &StoredClaim::decode(&golden).expect("decodes").encode().expect("encodes"),
        );
    }
}
