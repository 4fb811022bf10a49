//! The paths that every command, every record and every view go along, measured one at a time:
//!
//! ```sh
//! cargo bench -p headwater             # measures
//! cargo test -p headwater --bench hot  # runs each once
//! ```

#![allow(missing_docs, clippy::expect_used, reason = "benchmarks, as tests")]

use std::sync::Arc;

use divan::{Bencher, black_box, counter::BytesCount};
use headwater::{
    Aggregate, StoredEvent, StreamId, Version,
    consume::rule::judge,
    format::{
        commit::{Commit, Meta},
        head::Head,
        page::Page,
        record::Record,
        view::View,
    },
    schema::Schemas,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

fn main() {
    divan::main();
}

/// An account as small as it can be.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

#[derive(Serialize, Deserialize)]
enum Event {
    Credited { amount: i64, reference: String },
    Withdrawn { amount: i64, reference: String },
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = ();
    type Event = Event;
    type Rejection = std::convert::Infallible;

    fn decide(&self, (): &()) -> Result<Vec<Event>, Self::Rejection> {
        Ok(Vec::new())
    }

    fn evolve(&mut self, event: &Event) {
        self.balance += match event {
            Event::Credited { amount, .. } => *amount,
            Event::Withdrawn { amount, .. } => -*amount,
        };
    }
}

fn stream(number: u64) -> StreamId {
    format!("account/{number:012}").parse().expect("a stream")
}

/// The first `count` commits of a stream, of one event each.
fn commits(count: u64) -> Vec<Arc<Commit>> {
    let commit = |version| {
        let (amount, reference) = (i64::try_from(version).expect("small"), format!("invoice {version}"));
        let event = if version % 2 == 0 {
            Event::Credited { amount, reference }
        } else {
            Event::Withdrawn { amount, reference }
        };
        let version = Version::new(version);
        Arc::new(Commit {
            id: format!("{version:032}").parse().expect("an id"),
            first: version,
            last: version,
            at: Timestamp::constant(1_795_262_400, 123_000_000),
            events: vec![Schemas::of::<Account>().encode(&event).expect("an event")],
            meta: Meta::from_iter([("correlation".to_owned(), format!("{version:016}").into())]),
        })
    };
    (1..=count).map(commit).collect()
}

/// A head as it is before its commits go to a page, nearly.
fn head() -> Head {
    let mut head = Head::new(stream(1));
    head.push(commits(200));
    head
}

fn record() -> Record {
    Record::new(stream(1), commits(1))
}

fn page() -> Page {
    Page::new(stream(1), commits(200)).expect("it has commits")
}

/// A view of many streams.
fn view() -> View<Account> {
    let mut view = View::new(Account::default());
    view.applied.extend((0..1_000).map(|number| (stream(number), Version::new(number))));
    view
}

#[divan::bench]
fn head_encode(bencher: Bencher<'_, '_>) {
    let head = head();
    bencher.bench(|| black_box(&head).encode().expect("encodes"));
}

#[divan::bench]
fn head_decode(bencher: Bencher<'_, '_>) {
    let bytes = head().encode().expect("encodes");
    let bencher = bencher.counter(BytesCount::new(bytes.len()));
    bencher.bench(|| Head::decode(black_box(&bytes)).expect("decodes"));
}

#[divan::bench]
fn record_encode(bencher: Bencher<'_, '_>) {
    let record = record();
    bencher.bench(|| black_box(&record).encode().expect("encodes"));
}

#[divan::bench]
fn record_decode(bencher: Bencher<'_, '_>) {
    let bytes = record().encode().expect("encodes");
    let bencher = bencher.counter(BytesCount::new(bytes.len()));
    bencher.bench(|| Record::decode(black_box(&bytes)).expect("decodes"));
}

#[divan::bench]
fn page_encode(bencher: Bencher<'_, '_>) {
    let page = page();
    bencher.bench(|| black_box(&page).encode().expect("encodes"));
}

#[divan::bench]
fn page_decode(bencher: Bencher<'_, '_>) {
    let bytes = page().encode().expect("encodes");
    let bencher = bencher.counter(BytesCount::new(bytes.len()));
    bencher.bench(|| Page::decode(black_box(&bytes)).expect("decodes"));
}

#[divan::bench]
fn view_encode(bencher: Bencher<'_, '_>) {
    let view = view();
    bencher.bench(|| black_box(&view).encode().expect("encodes"));
}

#[divan::bench]
fn view_decode(bencher: Bencher<'_, '_>) {
    let bytes = view().encode().expect("encodes");
    let bencher = bencher.counter(BytesCount::new(bytes.len()));
    bencher.bench(|| View::<Account>::decode(black_box(&bytes)).expect("decodes"));
}

/// Whether every reader could read an event of `bytes` of data: what each commit pays before it is written.
#[divan::bench(args = [100, 10_000, 1_000_000])]
fn event_check(bencher: Bencher<'_, '_>, bytes: usize) {
    let line = r#"{"sku":"A-1","text":"a \u00e9 of some length","count":3,"price":12.50},"#;
    let data = format!("{{\"lines\":[{}null]}}", line.repeat(bytes / line.len()));
    let data = RawValue::from_string(data).expect("JSON");
    let bencher = bencher.counter(BytesCount::new(data.get().len()));
    let event = StoredEvent::new("Ordered", 1, data).expect("a name");
    bencher.bench(|| black_box(&event).check());
}

/// 1,000 stored events become a state.
#[divan::bench]
fn fold(bencher: Bencher<'_, '_>) {
    let (commits, schemas) = (commits(1_000), Schemas::of::<Account>());
    bencher.bench(|| {
        let mut account = Account::default();
        for event in commits.iter().flat_map(|commit| &commit.events) {
            account.evolve(&schemas.decode(event).expect("decodes"));
        }
        account.balance
    });
}

/// What the version rule says of 1,000 commits.
#[divan::bench]
fn rule(bencher: Bencher<'_, '_>) {
    let commits = commits(1_000);
    bencher.bench(|| {
        let mut applied = Version::ZERO;
        for commit in black_box(&commits) {
            black_box(judge(applied, commit.first, commit.last));
            applied = commit.last;
        }
        applied
    });
}
