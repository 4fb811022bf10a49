//! A segment comes back as it was, whatever it holds, and nothing that is no segment panics.

use headwater::{CommitId, Schemas, StoredEvent, Version, format::commit::Meta};
use jiff::civil::date;
use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer,
    de::{EnumAccess, VariantAccess as _, Visitor},
};
use serde_json::Value;

use super::*;
use crate::place::Place;

fn sequence(number: u64) -> Sequence {
    Sequence::try_from(format!("4965{number:052}")).expect("digits")
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).expect("a time")
}

pub(super) fn footer(records: u64) -> Footer {
    Footer {
        shard: "shardId-000000000003".to_owned(),
        place: Place { date: date(2026, 11, 21), ordinal: 7 },
        previous: Some(Previous { last: sequence(0), date: date(2026, 11, 20) }),
        parents: vec!["shardId-000000000001".to_owned()],
        first: sequence(1),
        last: sequence(records),
        arrived_last: at(1_700_000_000_000),
        rows: 0,
        commits: 0,
    }
}

/// Commits of few streams, several of them in one record.
fn commits() -> impl Strategy<Value = Vec<Archived>> {
    let events = proptest::collection::vec(("[A-Z][a-z]{0,9}", 0_u32..5, "\\PC{0,20}"), 1..5);
    let commit =
        (events, "[a-c]", "\\PC{1,9}", "[!-~]{1,40}", 0_i64..4_000_000_000_000, 1_u64..1 << 62, 0_u64..2);
    proptest::collection::vec(commit, 0..20).prop_map(|drawn| {
        let mut record = 1;
        let archived =
            |(events, kind, id, commit, millis, first, step): (Vec<_>, String, String, String, _, _, _)| {
                record += step;
                let event = |(name, schema, text): (String, u32, String)| {
                    let data = serde_json::value::to_raw_value(&text).expect("JSON");
                    StoredEvent::new(name, schema, data).expect("an event")
                };
                let events: Vec<StoredEvent> = events.into_iter().map(event).collect();
                let first = Version::new(first);
                let last = first.plus(events.len() as u64 - 1);
                let meta = Meta::from_iter([(id.clone(), Value::from(vec![id.clone(); 2]))]);
                let id_of: CommitId = commit.parse().expect("an id");
                Archived {
                    sequence: sequence(record),
                    arrived_at: at(millis),
                    stream: StreamId::new(&kind, &id)
                        .unwrap_or_else(|_| "other/1".parse().expect("a stream")),
                    commit: Arc::new(Commit { id: id_of, first, last, at: at(millis / 2), events, meta }),
                }
            };
        drawn.into_iter().map(archived).collect()
    })
}

/// An event of any type: its name and its data.
#[derive(Debug, Clone, PartialEq)]
struct Any(String, Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variant;
        impl<'de> Visitor<'de> for Variant {
            type Value = Any;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a variant")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Any, A::Error> {
                let (name, data) = access.variant()?;
                Ok(Any(name, data.newtype_variant()?))
            }
        }
        deserializer.deserialize_enum("Any", &[], Variant)
    }
}

/// The events of a commit, by way of the commit.
fn typed(row: &Archived) -> Vec<Event<Any>> {
    let event = |(version, stored)| {
        let (stream, at) = (row.stream.clone(), row.commit.at);
        Event { stream, version, at, event: Schemas::FIRST.decode(stored) }
    };
    row.commit.versioned().map(event).collect()
}

pub(super) fn golden_commits() -> Vec<Archived> {
    let archived = |number: u64, stream: &str, first: u64, events: &[(&str, u32, &str)]| {
        let event = |(name, schema, data): &(&str, u32, &str)| StoredEvent {
            name: (*name).to_owned(),
            schema: *schema,
            data: serde_json::value::RawValue::from_string((*data).to_owned()).expect("JSON"),
        };
        let first = Version::new(first);
        Archived {
            sequence: sequence(number),
            arrived_at: at(1_795_289_400_123),
            stream: stream.parse().expect("a stream"),
            commit: Arc::new(Commit {
                id: format!("commit-{number}").parse().expect("an id"),
                first,
                last: first.plus(events.len() as u64 - 1),
                at: at(1_795_289_399_000 + i64::try_from(number).expect("small")),
                events: events.iter().map(event).collect(),
                meta: Meta::from_iter([("correlation".to_owned(), Value::from("ü"))]),
            }),
        }
    };
    vec![
        archived(
            1,
            "account/42",
            1,
            &[("Opened", 1, r#"{"owner": "Ada"}"#), ("Credited", 2, r#"{"amount":5}"#)],
        ),
        archived(2, "user/a b", 17, &[("Closed", 1, "null")]),
        archived(4, "account/42", 3, &[("Credited", 2, r#"{"amount":1e2}"#)]),
    ]
}

fn golden_path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/segment.parquet")
}

fn read(bytes: impl Into<Bytes>) -> Result<(Footer, Vec<Archived>), SegmentError> {
    let segment = Segment::open(bytes.into())?;
    Ok((segment.footer().clone(), segment.commits()?))
}

use bytes::Bytes;

proptest! {
    #[test]
    fn a_segment_comes_back(commits in commits()) {
        let footer = footer(40);
        let bytes = encode(&footer, &commits).expect("encodes");
        let segment = Segment::open(bytes).expect("opens");
        let rows = commits.iter().map(|row| row.commit.events.len() as u64).sum();
        prop_assert_eq!(segment.footer(), &Footer { rows, commits: commits.len() as u64, ..footer });
        let spans: Vec<Span> = commits.iter().map(|row| Span {
            stream: row.stream.clone(),
            first: row.commit.first,
            last: row.commit.last,
            arrived_at: row.arrived_at,
        }).collect();
        prop_assert_eq!(segment.spans().expect("reads"), spans);
        let only: Vec<Archived> = commits.iter().filter(|row| row.stream.kind() == "a").cloned().collect();
        prop_assert_eq!(segment.select(|kind| kind == "a").expect("reads"), only);
        let events = |commits: &[Archived]| commits.iter().flat_map(typed).collect::<Vec<_>>();
        prop_assert_eq!(segment.events(Schemas::FIRST, |_, _| true).expect("reads"), events(&commits));
        let late: Vec<Archived> =
            commits.iter().filter(|row| row.stream.kind() == "a" && row.arrived_at >= at(2_000_000_000_000)).cloned().collect();
        let wanted = |kind: &str, arrived: i64| kind == "a" && arrived >= 2_000_000_000_000;
        prop_assert_eq!(segment.events(Schemas::FIRST, wanted).expect("reads"), events(&late));
        prop_assert_eq!(segment.commits().expect("reads"), commits);
    }

    #[test]
    fn a_damaged_segment_is_an_error_and_no_panic(
        commits in commits(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        behind in any::<bool>(),
    ) {
        let mut bytes = encode(&footer(40), &commits).expect("encodes").to_vec();
        let footer_begins = bytes.len() / 2;
        for (place, byte) in damage {
            let range = if behind { &mut bytes[footer_begins..] } else { &mut bytes[..] };
            let place = place.index(range.len());
            range[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let bytes = Bytes::from(bytes);
        let _ = read(bytes.clone());
        if let Ok(segment) = Segment::open(bytes) {
            let _ = segment.spans();
            // What stands in commits that are whole is the same by events.
            if let Ok(commits) = segment.commits() {
                let events = commits.iter().flat_map(typed).collect::<Vec<_>>();
                prop_assert_eq!(segment.events(Schemas::FIRST, |_, _| true), Ok(events));
            } else {
                let _ = segment.events::<Any>(Schemas::FIRST, |_, _| true);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = read(bytes);
    }
}

#[test]
fn the_golden_segment_still_reads_the_same() {
    let path = golden_path();
    let (footer, commits) = read(std::fs::read(path).expect("a golden file")).expect("reads");
    assert_eq!(commits, golden_commits());
    let expected = Footer { rows: 4, commits: 3, ..self::footer(5) };
    assert_eq!(footer, expected);
}

#[test]
fn what_is_out_of_order_is_read_by_nobody() {
    let mut commits = golden_commits();
    let read = |footer: &Footer, commits: &[Archived]| {
        let segment = Segment::open(encode(footer, commits).expect("encodes")).expect("opens");
        let events = segment.events::<Any>(Schemas::FIRST, |_, _| true).map(|events| events.len());
        let commits =
            segment.commits().map(|commits| commits.iter().map(|row| row.commit.events.len()).sum());
        assert_eq!(events.is_ok(), commits.is_ok());
        (events, commits)
    };
    assert_eq!(read(&footer(5), &commits), (Ok(4), Ok(4)));
    // Beyond what the footer covers, before it, and one before the other.
    read(&footer(3), &commits).0.expect_err("record 4 of 3");
    read(&Footer { first: sequence(2), ..footer(5) }, &commits).0.expect_err("record 1 of 2 to 5");
    commits.swap(0, 2);
    read(&footer(5), &commits).0.expect_err("record 4 before 1");
    let mut commits = golden_commits();
    Arc::make_mut(&mut commits[1].commit).first = Version::ZERO;
    read(&footer(5), &commits).0.expect_err("version 0");
}

#[test]
fn a_newer_format_is_refused() {
    let bytes = encode(&footer(5), &golden_commits()).expect("encodes").to_vec();
    let key = b"headwater.format";
    let place = bytes.windows(key.len()).position(|window| window == key).expect("stands in the footer");
    let digit = place + bytes[place..].iter().position(|byte| *byte == b'1').expect("its value");
    let mut newer = bytes;
    newer[digit] = b'2';
    let error = read(newer).expect_err("a newer format").to_string();
    assert!(error.contains("format 2"), "{error}");
}

#[test]
fn a_segment_without_rows_says_what_it_covers() {
    let (footer, commits) = read(encode(&footer(9), &[]).expect("encodes")).expect("reads");
    assert_eq!((footer.rows, footer.first, footer.last, commits), (0, sequence(1), sequence(9), vec![]));
}

#[test]
fn a_commit_that_does_not_fit_is_told() {
    let mut commits = golden_commits();
    let commit = Arc::make_mut(&mut commits[0].commit);
    commit.events[0].schema = u32::MAX;
    assert!(unstorable(commit).is_some());
    assert!(encode(&footer(5), &commits).is_err());
}

#[test]
fn a_time_that_cannot_be_read_again_is_not_written() {
    let mut commits = golden_commits();
    Arc::make_mut(&mut commits[0].commit).at = Timestamp::MAX;
    assert!(unstorable(&commits[0].commit).is_some());
    assert!(encode(&footer(5), &commits).is_err());
}

#[test]
fn a_shards_name_that_would_be_another_key_is_refused() {
    for shard in ["", "/shardId-000000000003", "../shard=x", "ü", &"x".repeat(129)] {
        let footers = [
            Footer { shard: shard.to_owned(), ..footer(5) },
            Footer { parents: vec![shard.to_owned()], ..footer(5) },
        ];
        for footer in footers {
            assert!(encode(&footer, &golden_commits()).is_err(), "{shard:?}");
        }
    }
}

#[test]
fn a_footer_that_is_larger_than_any_is_not_parsed() {
    let mut bytes = encode(&footer(5), &golden_commits()).expect("encodes").to_vec();
    let length = bytes.len() - 8;
    bytes[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = read(bytes).expect_err("4 GiB").to_string();
    assert!(error.contains("its footer has more than"), "{error}");
}

#[test]
fn a_long_meta_stands_once_however_many_events_share_it() {
    let mut commits = golden_commits();
    let commit = Arc::make_mut(&mut commits[0].commit);
    commit.events = vec![commit.events[0].clone(); 1_000];
    commit.last = commit.first.plus(999);
    let noise: String = (0..400_000_u64).map(|i| char::from(b'a' + (i * i % 7_919 % 26) as u8)).collect();
    commit.meta.insert("noise".to_owned(), Value::from(noise));
    let bytes = encode(&footer(5), &commits).expect("encodes");
    assert!(bytes.len() < 800_000, "{} bytes", bytes.len());
    assert_eq!(read(bytes).expect("reads").1, commits);
}
