//! What a commit says, as a number: equal for two commits that say the same, and for no others (but one in 2^64).
//!
//! Said are the events (type, schema and data), the time and the meta. Data are compared as JSON: white space, the order of an
//! object's members, how a character is escaped and how a number is written make no difference. Numbers are compared digit by
//! digit, so that two large ones are never equal only because a double would be.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use headwater::{
    StoredEvent,
    format::commit::{Commit, Meta},
    ijson::decimal,
};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::line::Line;

/// How deep JSON is compared part by part; what is deeper, which no line is, is compared as text.
const DEPTH: usize = 128;

/// Tells what commits say. Numbers of two of these can't be compared.
#[derive(Debug, Default)]
pub(super) struct Contents(RandomState);

impl Contents {
    /// What this line says.
    pub(super) fn line(&self, line: &Line) -> u64 {
        self.of(line.at, &line.events, &line.meta)
    }

    /// What this commit says.
    pub(super) fn commit(&self, commit: &Commit) -> u64 {
        self.of(commit.at, &commit.events, &commit.meta)
    }

    fn of(&self, at: Timestamp, events: &[StoredEvent], meta: &Meta) -> u64 {
        let mut hasher = self.0.build_hasher();
        at.as_millisecond().hash(&mut hasher);
        let mut data = String::new();
        for event in events {
            data.clear();
            write(event.data.get(), DEPTH, &mut data);
            (&event.name, event.schema, &data).hash(&mut hasher);
        }
        // Its members are in order.
        serde_json::to_string(meta).unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    }
}

/// Writes JSON so that equal values are equal texts.
fn write(json: &str, depth: usize, to: &mut String) {
    let deeper = depth.saturating_sub(1);
    // Writing to a string does not fail.
    match json.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) {
                to.push('{');
                for (name, member) in members {
                    let _ = write!(to, "{name:?}:");
                    write(member.get(), deeper, to);
                    to.push(',');
                }
                return to.push('}');
            }
        }
        Some(b'[') if depth > 0 => {
            if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json) {
                to.push('[');
                for element in elements {
                    write(element.get(), deeper, to);
                    to.push(',');
                }
                return to.push(']');
            }
        }
        Some(b'"') if json.contains('\\') => {
            if let Ok(text) = serde_json::from_str::<String>(json)
                && let Ok(text) = serde_json::to_string(&text)
            {
                return to.push_str(&text);
            }
        }
        Some(b'-' | b'0'..=b'9') => {
            let (negative, digits, power) = decimal(json);
            let _ = write!(to, "{}{digits}e{power}", if negative { "-" } else { "" });
            return;
        }
        _ => {}
    }
    to.push_str(json);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> String {
        let mut text = String::new();
        write(json, DEPTH, &mut text);
        text
    }

    #[test]
    fn equal_json_is_equal_however_it_is_written() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true,\n null ], \"\\u0061\":1.0 }"),
            (r#""Zoë \n""#, r#""Zo\u00eb \u000a""#),
            ("[100, 0.5, -2e3, 0]", "[1e2,5E-1,-2000.0,0.00]"),
            (r#"[{},[],""]"#, r#"[ { }, [ ], "" ]"#),
        ] {
            assert_eq!(written(one), written(other), "{one}");
        }
    }

    #[test]
    fn other_json_is_other_even_where_a_double_is_the_same() {
        let values = [
            "null",
            "0",
            "-0",
            "1",
            "\"1\"",
            "true",
            "[1]",
            "[[1]]",
            "[]",
            "{}",
            "\"\"",
            "[1,1]",
            "[11]",
            "{\"a\":1}",
            "{\"a\":\"1\"}",
            "{\"b\":1}",
            "{\"a\":{\"b\":1}}",
            "{\"a:1,b\":1}",
            "{\"a\":1,\"b\":1}",
            "[{\"a\":1},{\"b\":1}]",
            "123456789012345678901234567890",
            "123456789012345678901234567891",
            "0.1",
            "0.10000000000000000001",
            "\"\\ud800\"",
            "\"\\ud801\"",
            "10",
            "100",
        ];
        let texts: std::collections::BTreeSet<_> = values.iter().map(|value| written(value)).collect();
        assert_eq!(texts.len(), values.len(), "{texts:?}");
    }
}
