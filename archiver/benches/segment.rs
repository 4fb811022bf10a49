//! A segment of 6,000 commits, as a batch of 6 MB becomes, written and read:
//!
//! ```sh
//! cargo bench -p archiver                 # measures
//! cargo test -p archiver --bench segment  # runs each once
//! ```

#![allow(missing_docs, clippy::expect_used, reason = "benchmarks, as tests")]

use std::sync::Arc;

use archiver::{
    place::Place,
    segment::{Archived, Footer, Segment, encode},
};
use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use headwater::{
    StoredEvent, Version,
    format::commit::{Commit, Meta},
    port::Sequence,
};
use jiff::{Timestamp, civil::date};
use serde_json::value::RawValue;

/// Commits of the segment, of one event each.
const COMMITS: u64 = 6_000;
/// Their streams.
const STREAMS: u64 = 1_000;

fn main() {
    divan::main();
}

fn sequence(number: u64) -> Sequence {
    Sequence::try_from(format!("4965{number:052}")).expect("digits")
}

fn commits() -> Vec<Archived> {
    let archived = |number: u64| {
        let data = format!(r#"{{"amount":{number},"reference":"invoice {number}"}}"#);
        let data = RawValue::from_string(data).expect("JSON");
        let version = Version::new(number / STREAMS + 1);
        Archived {
            sequence: sequence(number + 1),
            arrived_at: Timestamp::constant(1_795_262_400, 123_000_000),
            stream: format!("account/{:012}", number % STREAMS).parse().expect("a stream"),
            commit: Arc::new(Commit {
                id: format!("{number:032}").parse().expect("an id"),
                first: version,
                last: version,
                at: Timestamp::constant(1_795_262_399, 456_000_000),
                events: vec![StoredEvent::new("Credited", 1, data).expect("an event")],
                meta: Meta::from_iter([("correlation".to_owned(), format!("{number:016}").into())]),
            }),
        }
    };
    (0..COMMITS).map(archived).collect()
}

fn footer() -> Footer {
    Footer {
        shard: "shardId-000000000000".to_owned(),
        place: Place { date: date(2026, 11, 21), ordinal: 1 },
        previous: None,
        parents: Vec::new(),
        first: sequence(1),
        last: sequence(COMMITS),
        arrived_last: Timestamp::constant(1_795_262_400, 123_000_000),
        rows: 0,
        commits: 0,
    }
}

fn segment() -> Bytes {
    encode(&footer(), &commits()).expect("encodes")
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    let (footer, commits) = (footer(), commits());
    let bencher = bencher.counter(ItemsCount::new(COMMITS));
    bencher.bench(|| encode(&footer, black_box(&commits)).expect("encodes"));
}

#[divan::bench]
fn read_commits(bencher: Bencher<'_, '_>) {
    let bytes = segment();
    let read = || Segment::open(black_box(&bytes).clone()).and_then(|segment| segment.commits());
    bencher.counter(ItemsCount::new(COMMITS)).bench(|| read().expect("it is a segment"));
}

#[divan::bench]
fn read_spans(bencher: Bencher<'_, '_>) {
    let bytes = segment();
    let read = || Segment::open(black_box(&bytes).clone()).and_then(|segment| segment.spans());
    bencher.counter(ItemsCount::new(COMMITS)).bench(|| read().expect("it is a segment"));
}
