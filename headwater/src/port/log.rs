//! Kinesis, as far as the store needs it: records in shards, in the order of their arrival.

use std::{cmp::Ordering, fmt};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// A record's place in its shard: a decimal number of up to 129 digits, compared as a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequence(String);

/// Text that is no sequence number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sequence number is 1 to 129 digits, not {0:?}")]
pub struct InvalidSequence(String);

/// A [`Sequence`] in text that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits<'a>(&'a str);

impl<'a> TryFrom<&'a str> for Digits<'a> {
    type Error = InvalidSequence;

    fn try_from(text: &'a str) -> Result<Self, InvalidSequence> {
        // Without an early end, so that many are looked at at once.
        let digits = |text: &str| text.bytes().fold(true, |all, byte| all & byte.is_ascii_digit());
        if text.is_empty() || text.len() > 129 || !digits(text) {
            return Err(InvalidSequence(text.chars().take(140).collect()));
        }
        let zeros = text.bytes().take_while(|byte| *byte == b'0').count();
        // A zero alone stands for itself.
        Ok(Self(&text[zeros.min(text.len() - 1)..]))
    }
}

impl Ord for Digits<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(other.0))
    }
}

impl PartialOrd for Digits<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl TryFrom<String> for Sequence {
    type Error = InvalidSequence;

    fn try_from(text: String) -> Result<Self, InvalidSequence> {
        let digits = Digits::try_from(text.as_str())?.0;
        if digits.len() < text.len() {
            return Ok(Self(digits.to_owned()));
        }
        Ok(Self(text))
    }
}

impl From<Sequence> for String {
    fn from(sequence: Sequence) -> Self {
        sequence.0
    }
}

impl Sequence {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same where it stands.
    pub fn digits(&self) -> Digits<'_> {
        Digits(&self.0)
    }
}

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digits().cmp(&other.digits())
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record to put.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The partition key: records of one key stay in order.
    pub key: String,
    /// The record's bytes.
    pub data: Bytes,
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The shard's id.
    pub shard: String,
    /// Its place in the shard.
    pub sequence: Sequence,
}

/// A record that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The shard's id.
    pub shard: String,
    /// Its place in the shard.
    pub sequence: Sequence,
    /// When Kinesis took it, in milliseconds.
    pub at: Timestamp,
    /// The partition key.
    pub key: String,
    /// The record's bytes.
    pub data: Bytes,
}

/// One shard of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shards that it was split or merged from: read them to their end first.
    pub parents: Vec<String>,
    /// No more records will come.
    pub closed: bool,
}

/// Where to begin in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that Kinesis keeps.
    Oldest,
    /// The first record after this one.
    After(Sequence),
    /// Records that arrive from now on.
    Latest,
}

/// A reader's place in a shard: opaque, good for some minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The shard's id.
    pub shard: String,
    /// What the implementation needs to go on.
    pub token: String,
}

/// Some records of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In the order of their arrival.
    pub records: Vec<Arrival>,
    /// Where to go on; `None` at the end of a closed shard.
    pub next: Option<Cursor>,
    /// How far the reader is behind the newest record; zero at the tip.
    pub behind: std::time::Duration,
}

/// Why one entry was not put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct EntryError {
    /// The service's code, as `ProvisionedThroughputExceededException`.
    pub code: String,
    /// The service's words.
    pub message: String,
}

impl EntryError {
    /// The shard takes no more at the moment.
    pub fn throttled() -> Self {
        Self {
            code: "ProvisionedThroughputExceededException".to_owned(),
            message: "rate exceeded for shard".to_owned(),
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A time-out, a lost connection, throttling or a 5xx: whether records were put is unknown. A repeat is harmless.
    #[error("Kinesis did not answer: {0}")]
    Unknown(#[source] Reason),
    /// Kinesis understood and refused, as for a missing stream or permission; nothing happened, and a repeat will not help:
    /// the operator must act.
    #[error("Kinesis refused: {0}")]
    Refused(#[source] Reason),
    /// The cursor is too old; ask for a new one.
    #[error("the cursor has expired")]
    Expired,
}

/// A stream of records.
///
/// # Contract
///
/// - Records of one key go to one shard (a reshard aside, where the parent's come first) and arrive in the order in which
///   successful puts were answered.
/// - A put that failed with [`LogError::Unknown`] may have happened, whole or in part, and may happen yet.
/// - Sequence numbers grow within a shard.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Puts up to 500 entries; one result per entry, in their order. Entries of one call may be put in any order.
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError>;

    /// All shards that still hold records, closed ones too.
    async fn shards(&self) -> Result<Vec<Shard>, LogError>;

    /// A cursor at `start`.
    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError>;

    /// Up to `most` (1 to 10,000) records from the cursor on. None may come although there are more: go on with `next`.
    async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sequences_compare_as_numbers(a: u128, b: u128, zeros in 0_usize..5) {
            let sequence = |text: String| Sequence::try_from(text).expect("digits");
            let padded = sequence(format!("{}{a}", "0".repeat(zeros)));
            prop_assert_eq!(padded.cmp(&sequence(b.to_string())), a.cmp(&b));
        }
    }
}
