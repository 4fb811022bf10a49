//! Where a segment stands: `archive/{stream}/shard={shard}/dt={date}/{ordinal:012}.parquet`.
//!
//! Within a shard dates never go back ([`Place::next`]), so keys in order are ordinals in order. Kinesis allows only
//! letters, digits, `_`, `.` and `-` in the names of streams and shards: they need no encoding.

use std::fmt;

use headwater::format::key;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// A segment's place in the chain of its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The `dt` of its key.
    pub date: Date,
    /// Its number in the chain, from 1.
    pub ordinal: u64,
}

impl Place {
    /// The place of the segment that follows `last`, where the first record that it covers arrived at `arrived_at`.
    ///
    /// The date is that record's day in UTC, but never before the date of `last`: Kinesis does not promise that arrival
    /// times grow, and with a date that goes back the newest key would not be the newest segment.
    pub fn next(last: Option<Self>, arrived_at: Timestamp) -> Self {
        let day = day(arrived_at);
        match last {
            None => Self { date: day, ordinal: 1 },
            Some(last) => Self { date: day.max(last.date), ordinal: last.ordinal.saturating_add(1) },
        }
    }

    /// The place that `key` names under a shard's `prefix`; `None` where it is no segment's key.
    pub fn parse(prefix: &str, key: &str) -> Option<Self> {
        let (date, name) = key.strip_prefix(prefix)?.strip_prefix("dt=")?.split_once('/')?;
        let digits = name.strip_suffix(".parquet")?;
        if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let place = Self { date: date.parse().ok()?, ordinal: digits.parse().ok()? };
        // Years before 0 would not stand in the order of their keys.
        (place.ordinal > 0 && place.date.year() >= 0 && place.key(prefix) == key).then_some(place)
    }

    /// The key under a shard's `prefix`.
    pub fn key(&self, prefix: &str) -> String {
        format!("{prefix}{self}.parquet")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dt={}/{:012}", self.date, self.ordinal)
    }
}

/// Whether Kinesis has streams or shards of this name: what else would stand in a key, would be another key.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

/// The day of `at` in UTC.
pub fn day(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// The prefix of a Kinesis stream's archive: `archive/{stream}/`.
pub fn stream_prefix(stream: &str) -> String {
    format!("{}{stream}/", key::SEGMENTS)
}

/// The prefix of one shard's chain: `archive/{stream}/shard={shard}/`.
pub fn shard_prefix(stream: &str, shard: &str) -> String {
    format!("{}shard={shard}/", stream_prefix(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn keys_stand_where_the_design_says() {
        let prefix = shard_prefix("bank", "shardId-000000000001");
        let place = Place::next(None, at("2026-11-21T23:59:59.999Z"));
        let key = "archive/bank/shard=shardId-000000000001/dt=2026-11-21/000000000001.parquet";
        assert_eq!(place.key(&prefix), key);
        assert_eq!(Place::parse(&prefix, key), Some(place));
        for stray in [
            "dt=-000001-11-21/000000000001.parquet",
            "dt=2026-11-21/1.parquet",
            "dt=2026-11-21/000000000001.tmp",
            "dt=x/000000000001.parquet",
            "",
        ] {
            assert_eq!(Place::parse(&prefix, &format!("{prefix}{stray}")), None, "{stray}");
        }
    }

    #[test]
    fn a_date_never_goes_back() {
        let first = Place::next(None, at("2026-11-22T00:00:00Z"));
        let second = Place::next(Some(first), at("2026-11-21T23:59:59.999Z"));
        assert_eq!((second.date, second.ordinal), (first.date, 2));
        assert!(second > first);
    }
}
