//! A timer: what a process wants to be told of later, at `timers/{process}/{due}/{stream}/{version}/{name}`.
//!
//! It is a function of the event that set it, so that setting it again changes nothing.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Format, FormatError, commit::Meta};
use crate::id::{StreamId, Version};

const OBJECT: &str = "timer";

/// When to tell a process of something, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timer {
    format: Format<1>,
    /// The stream whose event set it.
    pub stream: StreamId,
    /// The version of that event.
    pub version: Version,
    /// The process's own name for it.
    pub name: String,
    /// Not before this time, in milliseconds.
    pub due: Timestamp,
    /// What commands that follow from it carry beside their events.
    #[serde(default)]
    pub meta: Meta,
    /// What the process gave it along; null where that is nothing, as in every timer of an older version.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
}

impl Timer {
    /// The timer `name` that the event `version` of `stream` sets.
    pub fn new(
        stream: StreamId,
        version: Version,
        name: impl Into<String>,
        due: Timestamp,
        meta: Meta,
    ) -> Self {
        Self { format: Format, stream, version, name: name.into(), due, meta, payload: Value::Null }
    }

    /// The same timer with a payload.
    #[must_use]
    pub fn with_payload(self, payload: Value) -> Self {
        Self { payload, ..self }
    }

    /// Reads a timer.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::parse(OBJECT, bytes)
    }

    /// The timer's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::{golden, key};

    proptest! {
        #[test]
        fn a_timer_comes_back(id in "[a-z/ ü]{1,9}", version in 1_u64..99, name in "\\PC{1,9}", due in 0_i64..4_000_000_000_000) {
            let stream = StreamId::new("transfer", &id).expect("a stream");
            let due = Timestamp::from_millisecond(due).expect("a time");
            let meta = Meta::from_iter([("correlation".to_owned(), name.clone().into())]);
            let payload = serde_json::json!({ "amount": version, "text": name.clone() });
            let timer = Timer::new(stream, Version::new(version), name, due, meta).with_payload(payload);
            let key = key::timer("transfers", &timer);
            prop_assert_eq!(key::timer_due("transfers", &key), Some(due));
            prop_assert_eq!(Timer::decode(&timer.encode().expect("encodes")).expect("decodes"), timer);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Timer::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_timers_are_read_and_written() {
        for name in ["timer.json", "timer-with-payload.json"] {
            let golden = golden::read(name);
            golden::check(name, &Timer::decode(&golden).expect("decodes").encode().expect("encodes"));
        }
    }
}
