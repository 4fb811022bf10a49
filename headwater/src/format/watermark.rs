//! The watermark: the time through which the relay has verified that every commit is published, at `relay/watermark`.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Format, FormatError};

const OBJECT: &str = "watermark";

/// Every commit of a head that S3 stored before `through` is in Kinesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    format: Format<1>,
    /// By S3's clock.
    pub through: Timestamp,
}

impl Watermark {
    /// The watermark `through`.
    pub fn new(through: Timestamp) -> Self {
        Self { format: Format, through }
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
            prop_assert_eq!(Watermark::decode(&mark.encode().expect("encodes")).expect("decodes"), mark);
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
