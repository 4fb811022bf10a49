//! Quarantine: a record that is no commit, byte for byte, and why, at `quarantine/{stream}/{shard}/{sequence}` in the
//! archive's bucket.
//!
//! ```json
//! {"format":1,"shard":"shardId-000000000000","sequence":"49…","arrived_at":"2026-11-21T19:30:00.123Z","key":"account/42",
//!  "reason":"record cannot be read: …","data":"<base64>"}
//! ```
//!
//! It is created where nothing stands: a repeat finds it there, and the first reason stays.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use headwater::{
    format::Format,
    port::{Arrival, Sequence},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    format: Format<1>,
    /// Where it arrived.
    pub shard: String,
    /// Its place in the shard.
    pub sequence: Sequence,
    /// When, in milliseconds.
    pub arrived_at: Timestamp,
    /// Its partition key.
    pub key: String,
    /// Why it is no commit.
    pub reason: String,
    /// Its bytes, in base64.
    data: String,
}

/// A quarantine object that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("not a record in quarantine: {reason}")]
pub struct QuarantineError {
    /// What is wrong.
    pub reason: String,
}

impl Quarantined {
    /// Puts `arrival` into quarantine's form.
    pub fn new(arrival: &Arrival, reason: impl Into<String>) -> Self {
        Self {
            format: Format,
            shard: arrival.shard.clone(),
            sequence: arrival.sequence.clone(),
            arrived_at: arrival.at,
            key: arrival.key.clone(),
            reason: reason.into(),
            data: BASE64_STANDARD.encode(&arrival.data),
        }
    }

    /// Reads an object of quarantine.
    pub fn decode(bytes: &[u8]) -> Result<Self, QuarantineError> {
        serde_json::from_slice(bytes).map_err(|cause| QuarantineError { reason: cause.to_string() })
    }

    /// The object's bytes.
    pub fn encode(&self) -> Result<Bytes, QuarantineError> {
        let encoded = serde_json::to_vec(self);
        encoded.map(Into::into).map_err(|cause| QuarantineError { reason: cause.to_string() })
    }

    /// The record's bytes, as they arrived.
    pub fn data(&self) -> Result<Vec<u8>, QuarantineError> {
        let decoded = BASE64_STANDARD.decode(&self.data);
        decoded.map_err(|cause| QuarantineError { reason: cause.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrival(data: Vec<u8>, key: String) -> Arrival {
        Arrival {
            shard: "shardId-000000000000".to_owned(),
            sequence: Sequence::try_from("495".to_owned()).expect("digits"),
            at: Timestamp::from_millisecond(1_795_289_400_123).expect("a time"),
            key,
            data: data.into(),
        }
    }

    proptest! {
        #[test]
        fn a_record_comes_back_byte_for_byte(data: Vec<u8>, key: String, reason: String) {
            let quarantined = Quarantined::new(&arrival(data.clone(), key), reason);
            let read = Quarantined::decode(&quarantined.encode().expect("encodes")).expect("decodes");
            prop_assert_eq!(read.data().expect("base64"), data);
            prop_assert_eq!(read, quarantined);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Quarantined::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_object_stands() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quarantined.json");
        let golden = std::fs::read_to_string(path).expect("a golden file");
        let quarantined =
            Quarantined::new(&arrival(b"no \xff commit".to_vec(), "account/42".to_owned()), "because");
        assert_eq!(quarantined.encode().expect("encodes"), golden.trim_end().as_bytes());
        assert_eq!(Quarantined::decode(golden.as_bytes()).expect("decodes"), quarantined);
    }
}
