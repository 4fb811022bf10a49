//! One line of an import: `{"stream","id","at","events":[{"type","data"}]}` becomes a commit to be made.
//!
//! `schema` (1) beside an event's type and `meta` beside the events may be given. Everything is checked here, before
//! anything is committed: a bad line is refused as a whole, with its number, the field and the limit.

use std::fmt;

use headwater::{
    CommitId, InvalidName, StoredEvent, StreamId,
    format::commit::{Meta, check_meta},
    limits,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest line, in bytes: what is longer can't be a record anyway.
pub const LINE_BYTES: usize = 2 * limits::RECORD_BYTES;
/// Most bytes of the input that an error repeats.
const QUOTED_BYTES: usize = 100;

/// A commit to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its place in the input, from 1.
    pub number: u64,
    /// The bytes of its text.
    pub bytes: u64,
    /// The stream.
    pub stream: StreamId,
    /// The commit's id.
    pub id: CommitId,
    /// The commit's time, in milliseconds.
    pub at: Timestamp,
    /// At least one event.
    pub events: Vec<StoredEvent>,
    /// What travels beside the events.
    pub meta: Meta,
}

/// A line that is no commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {}{rule}", Field(.field))]
pub struct BadLine {
    /// The line's place in the input, from 1.
    pub number: u64,
    /// The field, as `events[0].type`; empty where it is the whole line.
    pub field: String,
    /// The rule that it breaks, with its limit.
    pub rule: String,
}

struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{} ", self.0) }
    }
}

impl BadLine {
    pub(super) fn new(number: u64, field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { number, field: field.into(), rule: rule.into() }
    }
}

/// The line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    stream: String,
    id: String,
    at: String,
    events: Vec<WrittenEvent>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEvent {
    r#type: String,
    #[serde(default = "first")]
    schema: u32,
    data: Box<RawValue>,
}

fn first() -> u32 {
    1
}

/// Reads line `number`.
pub fn parse(number: u64, text: &[u8]) -> Result<Line, BadLine> {
    let bad = |field: &str, rule: String| BadLine::new(number, field, rule);
    let bytes = text.len() as u64;
    if text.len() > LINE_BYTES {
        return Err(too_long(number, text.len() as u64));
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| bad("", format!("is not UTF-8 at byte {}", error.valid_up_to() + 1)))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let written: Written = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        bad(if field == "." { "" } else { clip(&field) }, words(error.inner()))
    })?;
    json.end().map_err(|error| bad("", words(&error)))?;

    let stream: StreamId =
        written.stream.parse().map_err(|error: InvalidName| bad(error.field, error.rule))?;
    let id: CommitId = written.id.parse().map_err(|error: InvalidName| bad("id", error.rule))?;
    let at: Timestamp = written.at.parse().map_err(|_| {
        let rule = "must be an RFC 3339 time with an offset, as 2026-11-21T19:30:00+01:00, and not";
        bad("at", format!("{rule} {:?}", clip(&written.at)))
    })?;
    // Stored times have milliseconds, everywhere.
    let at = Timestamp::from_millisecond(at.as_millisecond())
        .map_err(|_| bad("at", format!("must be a time in milliseconds, is {at}")))?;
    if written.events.is_empty() || written.events.len() > limits::COMMIT_EVENTS {
        let rule = format!("must be 1 to {}, are {}", limits::COMMIT_EVENTS, written.events.len());
        return Err(bad("events", rule));
    }
    let events = written.events.into_iter().enumerate().map(|(index, event)| {
        if event.schema == 0 {
            return Err(bad(&format!("events[{index}].schema"), "must be 1 or more, is 0".to_owned()));
        }
        StoredEvent::new(event.r#type, event.schema, event.data)
            .map_err(|error| bad(&format!("events[{index}].type"), error.rule))
    });
    let events = events.collect::<Result<_, _>>()?;
    check_meta(&written.meta).map_err(|error| bad(error.field, error.rule))?;
    Ok(Line { number, bytes, stream, id, at, events, meta: written.meta })
}

/// A line of more bytes than any may have.
pub(super) fn too_long(number: u64, bytes: u64) -> BadLine {
    BadLine::new(number, "", format!("has {bytes} bytes, the most is {LINE_BYTES}"))
}

/// What the JSON reader says; a line is all that it saw, so that only the column tells something.
fn words(error: &serde_json::Error) -> String {
    let (words, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    let words = clip(words.strip_suffix(&place).unwrap_or(&words)).to_owned();
    if error.column() == 0 { words } else { format!("{words} (column {})", error.column()) }
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(QUOTED_BYTES)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"{"stream":"permit/1","id":"a-1","at":"2010-10-02T09:20:39.266123+02:00","events":[{"type":"Sent","data":{"to": "x"}},{"type":"Seen","schema":3,"data":null}],"meta":{"by":"me"}}"#;

    fn refused(text: &str) -> String {
        parse(7, text.as_bytes()).expect_err("a bad line").to_string()
    }

    #[test]
    fn a_line_is_a_commit_with_its_time_in_milliseconds() {
        let line = parse(7, GOOD.as_bytes()).expect("a line");
        assert_eq!((line.number, line.stream.as_str(), line.id.as_str()), (7, "permit/1", "a-1"));
        assert_eq!(line.at.to_string(), "2010-10-02T07:20:39.266Z");
        let events: Vec<_> = line.events.iter().map(|e| (e.name.as_str(), e.schema, e.data.get())).collect();
        assert_eq!(events, [("Sent", 1, r#"{"to": "x"}"#), ("Seen", 3, "null")]);
        assert_eq!(line.meta["by"], "me");
    }

    fn deep(levels: usize) -> String {
        format!(r#"{{"x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn a_bad_line_is_named_by_number_field_and_limit() {
        let long = "x".repeat(129);
        for (right, wrong, says) in [
            ("permit/1", "permit", "line 7: stream must read kind/id, as account/42"),
            (
                "permit/1",
                "Permit/1",
                "line 7: stream kind must be 1 to 40 lower-case letters, digits and dashes and begin with a letter",
            ),
            ("permit/1", &format!("permit/{long}"), "line 7: stream id must have 1 to 128 bytes, has 129"),
            ("a-1", &long, "line 7: id must be 1 to 128 visible ASCII characters without spaces"),
            (
                "+02:00",
                "",
                r#"line 7: at must be an RFC 3339 time with an offset, as 2026-11-21T19:30:00+01:00, and not "2010-10-02T09:20:39.266123""#,
            ),
            ("Seen", "", "line 7: events[1].type must have 1 to 128 bytes, has 0"),
            (r#""schema":3"#, r#""schema":0"#, "line 7: events[1].schema must be 1 or more, is 0"),
            (
                r#""schema":3"#,
                r#""schema":"3""#,
                "line 7: events[1].schema invalid type: string \"3\", expected u32 (column 144)",
            ),
            (r#","data":null"#, "", "line 7: events[1] missing field `data` (column 143)"),
            (
                r#""meta""#,
                r#""mata""#,
                "line 7: mata unknown field `mata`, expected one of `stream`, `id`, `at`, `events`, `meta` (column 163)",
            ),
            (r#"{"by":"me"}"#, &deep(33), "line 7: meta must be nested at most 32 deep"),
            ("null}]", "null]", "line 7: events[1].? expected `,` or `}` (column 155)"),
        ] {
            let wrong = GOOD.replacen(right, wrong, 1);
            let said = refused(&wrong);
            assert!(said.starts_with(says), "{said}\n{says}");
        }
        assert!(parse(7, GOOD.replacen(r#"{"by":"me"}"#, &deep(32), 1).as_bytes()).is_ok());
        assert_eq!(refused(&format!("{GOOD}{{}}")), "line 7: trailing characters (column 177)");
        assert_eq!(
            refused(r#"{"stream":"a/1","id":"1","at":"2010-10-02T09:20:39Z","events":[]}"#),
            "line 7: events must be 1 to 1000, are 0"
        );
        let much = format!("{{{}}}", " ".repeat(LINE_BYTES));
        assert_eq!(refused(&much), "line 7: has 2097154 bytes, the most is 2097152");
        assert_eq!(
            parse(7, b"{\"stream\":\"\xff\"}").expect_err("no UTF-8").to_string(),
            "line 7: is not UTF-8 at byte 12"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(1, &bytes);
        }

        #[test]
        fn no_broken_line_panics(place in 0..GOOD.len(), byte: u8, cut: bool) {
            let mut bytes = GOOD.as_bytes().to_vec();
            bytes[place] = byte;
            if cut {
                bytes.truncate(place);
            }
            if let Err(error) = parse(9, &bytes) {
                prop_assert!(error.to_string().starts_with("line 9: "));
                prop_assert!(error.to_string().len() < 1_000);
            }
        }

        #[test]
        fn a_written_line_comes_back(kind in "[a-z][a-z0-9-]{0,20}", id in "[^\\p{Cc}]{2,30}", commit in "[!-~]{1,128}",
            names in proptest::collection::vec("[^\\p{Cc}]{3,20}", 1..5), at in -60_000_000_000_000_i64..250_000_000_000_000, text: String) {
            let at = Timestamp::from_millisecond(at).expect("a time");
            let events: Vec<_> = names.iter().map(|name| serde_json::json!({"type": name, "data": text})).collect();
            let written = serde_json::json!({"stream": format!("{kind}/{id}"), "id": commit, "at": at, "events": events, "meta": {"x": text}});
            let line = parse(3, written.to_string().as_bytes()).expect("a line");
            prop_assert_eq!((line.stream.kind(), line.stream.id()), (kind.as_str(), id.as_str()));
            prop_assert_eq!((line.id.as_str(), line.at), (commit.as_str(), at));
            prop_assert_eq!(line.events.iter().map(|event| event.name.clone()).collect::<Vec<_>>(), names);
            let data: String = serde_json::from_str(line.events[0].data.get()).expect("a string");
            prop_assert_eq!(data, text);
        }
    }
}
