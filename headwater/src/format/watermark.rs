//! The watermark: the time through which the relay has verified that every commit is published, at `relay/watermark`.
//!
//! Who has seen many watermarks knows since when one of them stands. Who has seen only the newest is told by it: no watermark
//! of the last hour was older than `hour_ago`. For that each watermark carries the one that will be the next hour's.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Format, FormatError};

const OBJECT: &str = "watermark";
/// How long a watermark must have stood, to be one that nobody has seen an older one for.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Every commit of a head that S3 stored before `through` is in Kinesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    format: Format<1>,
    /// By S3's clock.
    pub through: Timestamp,
    /// No watermark was older that stood in the hour before this one was stored; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour_ago: Option<Timestamp>,
    /// The watermark that will be `hour_ago` when it has stood for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Stood>,
}

/// A watermark, and a time from which on none was older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// The watermark.
    pub through: Timestamp,
    /// By S3's clock.
    pub since: Timestamp,
}

impl Watermark {
    /// The first watermark.
    pub fn new(through: Timestamp) -> Self {
        Self { format: Format, through, hour_ago: None, next: None }
    }

    /// The watermark `through` in the place of this one, which was stored at or before `stored`; it is `now`.
    #[must_use]
    pub fn moved(&self, through: Timestamp, stored: Timestamp, now: Timestamp) -> Self {
        let stands = Stood { through: self.through, since: stored };
        let next = self.next.unwrap_or(stands);
        let (hour_ago, next) = if now.duration_since(next.since) > HOUR {
            (Some(next.through), stands)
        } else {
            (self.hour_ago, next)
        };
        Self { format: Format, through, hour_ago, next: Some(next) }
    }

    /// Reads a watermark.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::parse(OBJECT, bytes)
    }

    /// The watermark's bytes.
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
        fn a_watermark_comes_back(millis in 0_i64..4_000_000_000_000) {
            let mark = Watermark::new(Timestamp::from_millisecond(millis).expect("a time"));
            prop_assert_eq!(&Watermark::decode(&mark.encode().expect("encodes")).expect("decodes"), &mark);
            let mark = mark.moved(mark.through, mark.through, mark.through);
            prop_assert_eq!(Watermark::decode(&mark.encode().expect("encodes")).expect("decodes"), mark);
        }

        #[test]
        fn no_watermark_of_the_last_hour_is_older_than_hour_ago(
            steps in proptest::collection::vec((1_i64..9_000, 0_i64..9_000), 1..60),
        ) {
            let at = |second| Timestamp::from_second(second).expect("a time");
            let (mut now, mut mark, mut stood) = (0, Watermark::new(at(0)), vec![(0, 0)]);
            for (pause, step) in steps {
                let stored = now;
                now += pause;
                mark = mark.moved(at(mark.through.as_second() + step), at(stored), at(now));
                // Each stood until the next one was stored.
                let ends = stood.iter().skip(1).map(|(since, _)| *since).chain([now]);
                let recent = stood.iter().zip(ends).filter(|(_, end)| *end >= now - 3_600);
                let oldest = recent.map(|((_, through), _)| *through).min();
                prop_assert!(mark.hour_ago.map(Timestamp::as_second) <= oldest);
                stood.push((now, mark.through.as_second()));
            }
            let calm = (0..200).fold(mark, |mark, minute| {
                let second = now + 60 * minute;
                mark.moved(at(second), at(second - 60), at(second))
            });
            prop_assert!(calm.hour_ago >= Some(at(now + 60 * 199 - 2 * 3_660)), "it goes on with time");
        }
    }

    #[test]
    fn the_golden_watermark_stands_and_a_newer_format_is_refused() {
        let golden = golden::read("watermark.json");
        golden::check(
            "watermark.json",
            &Watermark::decode(&golden).expect("decodes").encode().expect("encodes"),
        );
        let newer = String::from_utf8(golden).expect("UTF-8").replace(r#""format":1"#, r#""format":2"#);
        let error = Watermark::decode(newer.as_bytes()).expect_err("a newer format").to_string();
        assert!(error.contains("format 2"), "{error}");
    }
}
