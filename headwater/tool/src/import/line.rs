//! One line of an import: `{"stream","id","at","events":[{"type","data"}]}` becomes a commit to be made.
//!
//! `schema` (1) beside an event's type and `meta` beside the events may be given, and so may the versions `first` and `last`
//! that the commit has in its stream, as `headwater replay --commits` gives them. Everything is checked here, before anything
//! is committed: a bad line is refused as a whole, with its number, the field and the limit. What is taken is kept as it is:
//! data as text, numbers in `meta` only where 64 bits hold them; of a time its milliseconds, and a leap second, which no clock
//! of a computer has, as the second before it.

use std::fmt;

use headwater::{
    CommitId, InvalidName, StoredEvent, StreamId, Version,
    format::commit::{Meta, check_at},
    ijson::{self, InvalidPart, Numbers},
    limits,
};
use jiff::{Timestamp, fmt::temporal::Pieces};
use serde::{Deserialize, Deserializer};
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
    /// The version of the first event, where the line says which the commit must have.
    pub first: Option<Version>,
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
    #[serde(default, deserialize_with = "some")]
    meta: Option<Box<RawValue>>,
    #[serde(default)]
    first: Option<u64>,
    #[serde(default)]
    last: Option<u64>,
}

/// What is there, `null` as well.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
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
    let at = at(&written.at).map_err(|rule| bad("at", rule))?;
    if written.events.is_empty() || written.events.len() > limits::COMMIT_EVENTS {
        let rule = format!("must be 1 to {}, are {}", limits::COMMIT_EVENTS, written.events.len());
        return Err(bad("events", rule));
    }
    let first = first_version(&written).map_err(|(field, rule)| bad(field, rule))?;
    let events = written.events.into_iter().enumerate().map(|(index, event)| {
        let event = StoredEvent { name: event.r#type, schema: event.schema, data: event.data };
        match event.check() {
            Ok(()) => Ok(event),
            Err(InvalidPart { path, rule }) => Err(bad(&format!("events[{index}]{path}"), rule)),
        }
    });
    let events = events.collect::<Result<_, _>>()?;
    let meta = match written.meta {
        Some(meta) => {
            read_meta(&meta).map_err(|InvalidPart { path, rule }| bad(&format!("meta{path}"), rule))?
        }
        None => Meta::new(),
    };
    Ok(Line { number, bytes, stream, id, at, events, meta, first })
}

/// The time of a commit; or the rule that it breaks.
fn at(text: &str) -> Result<Timestamp, String> {
    let bounds = |at: &dyn fmt::Display| {
        let (first, last) = (limits::AT.start(), limits::AT.end());
        format!("must be a time from {first} to {last}, is {at}")
    };
    let Ok(at) = text.parse() else {
        // A time, and one that there is nowhere here.
        let is_time = Pieces::parse(text).is_ok_and(|at| at.time().is_some() && at.offset().is_some());
        return Err(if is_time {
            bounds(&clip(text))
        } else {
            let rule = "must be an RFC 3339 time with an offset, as 2026-11-21T19:30:00+01:00, and not";
            format!("{rule} {:?}", clip(text))
        });
    };
    check_at(at).map_err(|error| error.rule)
}

/// The version of the first event, if the line gives it; or a field, and the rule that it breaks.
fn first_version(written: &Written) -> Result<Option<Version>, (&'static str, String)> {
    let events = written.events.len() as u64;
    let Some(first) = written.first else {
        let alone = written.last.map(|_| ("last", "needs a first beside it".to_owned()));
        return alone.map_or(Ok(None), Err);
    };
    let most = limits::VERSION + 1 - events;
    if first == 0 || first > most {
        return Err(("first", format!("must be 1 to {most}, is {first}")));
    }
    let last = first + events - 1;
    match written.last {
        Some(other) if other != last => Err(("last", format!("must be {last}, is {other}"))),
        _ => Ok(Some(Version::new(first))),
    }
}

/// What travels beside the events, with every value as it is written.
fn read_meta(text: &RawValue) -> Result<Meta, InvalidPart> {
    ijson::check(text, limits::META_DEPTH, Numbers::Values)?;
    serde_json::from_str(text.get()).map_err(|error| InvalidPart { path: String::new(), rule: words(&error) })
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
            ("a-1", &"x".repeat(193), "line 7: id must be 1 to 192 visible ASCII characters without spaces"),
            (
                "+02:00",
                "",
                r#"line 7: at must be an RFC 3339 time with an offset, as 2026-11-21T19:30:00+01:00, and not "2010-10-02T09:20:39.266123""#,
            ),
            ("Seen", "", "line 7: events[1].type must have 1 to 128 bytes, has 0"),
            (r#""schema":3"#, r#""schema":0"#, "line 7: events[1].schema must be 1 to 2147483647, is 0"),
            (
                r#""schema":3"#,
                r#""schema":2147483648"#,
                "line 7: events[1].schema must be 1 to 2147483647, is 2147483648",
            ),
            (r#"{"by":"me"}"#, "null", "line 7: meta invalid type: null, expected a map"),
            (r#""meta""#, r#""last":2,"meta""#, "line 7: last needs a first beside it"),
            (r#""meta""#, r#""first":0,"meta""#, "line 7: first must be 1 to 9007199254740990, is 0"),
            (
                r#""meta""#,
                r#""first":9007199254740991,"meta""#,
                "line 7: first must be 1 to 9007199254740990, is 90071",
            ),
            (r#""meta""#, r#""first":5,"last":7,"meta""#, "line 7: last must be 6, is 7"),
            (
                r#""schema":3"#,
                r#""schema":"3""#,
                "line 7: events[1].schema invalid type: string \"3\", expected u32 (column 144)",
            ),
            (r#","data":null"#, "", "line 7: events[1] missing field `data` (column 143)"),
            (
                r#""meta""#,
                r#""mata""#,
                "line 7: mata unknown field `mata`, expected one of `stream`, `id`, `at`, `events`, `meta`, `first`, `last` (column 163)",
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

    #[test]
    fn what_not_every_reader_could_read_is_refused_with_its_field_and_rule() {
        let deep = deep(64);
        for (right, wrong, says) in [
            (
                r#""to": "x""#,
                r#""to": 1e400"#,
                "line 7: events[0].data.to must be a number within a double's range",
            ),
            (r#""to": "x""#, r#""to": "\ud800""#, "line 7: events[0].data.to must hold no lone surrogate"),
            (
                r#""to": "x""#,
                r#""to": 1, "t\u006f": 2"#,
                "line 7: events[0].data.to must occur once in its object",
            ),
            (r#"{"to": "x"}"#, &deep, "line 7: events[0].data must be nested at most 63 deep"),
            (
                r#""me""#,
                "123456789012345678901234567890",
                "line 7: meta.by must be a number that 64 bits hold",
            ),
            (r#""me""#, r#"[{"a":1,"a":2}]"#, "line 7: meta.by[0].a must occur once in its object"),
            (r#""me""#, "1e400", "line 7: meta.by must be a number within a double's range"),
            (r#""me""#, r#""\udfff""#, "line 7: meta.by must hold no lone surrogate"),
        ] {
            let said = refused(&GOOD.replacen(right, wrong, 1));
            assert!(said.starts_with(says), "{said}\n{says}");
        }
        for (right, kept) in [
            (r#""to": "x""#, r#""to": 12345678901234567890123"#),
            (r#"{"to": "x"}"#, &self::deep(63)),
            (r#""me""#, "18446744073709551615"),
        ] {
            parse(7, GOOD.replacen(right, kept, 1).as_bytes()).expect(kept);
        }
    }

    #[test]
    fn a_time_is_within_its_bounds_or_they_are_named() {
        let at = |text: &str| {
            let line = GOOD.replacen("2010-10-02T09:20:39.266123+02:00", text, 1);
            parse(7, line.as_bytes()).map(|line| line.at.to_string()).map_err(|bad| bad.to_string())
        };
        for (text, kept) in [
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-30T22:00:00Z", "9999-12-30T22:00:00Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("2024-06-30T12:00:00+14:00", "2024-06-29T22:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(kept));
        }
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-30T22:00:00.001Z",
            "0000-12-31T23:59:59.999Z",
            "0000-01-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
        ] {
            let said = at(text).expect_err(text);
            let bounds = "line 7: at must be a time from 0001-01-01T00:00:00Z to 9999-12-30T22:00:00Z, is ";
            assert!(said.starts_with(bounds), "{said}");
        }
        for text in ["2010-10-02T09:20:39", "2010-10-02", "yesterday", ""] {
            let said = at(text).expect_err(text);
            assert!(said.starts_with("line 7: at must be an RFC 3339 time with an offset"), "{said}");
        }
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
