//! What a command costs, counted at the other end of the wire: a warm command is one PUT and one record.

#![allow(clippy::expect_used, reason = "a test")]

use bank::{Account, AccountCommand, Amount, OverdraftLimit};
use headwater::{
    Options, Settings, Store, StoredEvent, StreamId,
    aws::{self, Clients},
    format::{key, watermark::Watermark},
    memory,
    port::{Clock, Objects, Ports, Precondition, SystemClock},
};
use headwater_tests::PATIENCE;
use localstack::{Counts, Fault, Gate, LocalAws, Request};
use serde_json::value::RawValue;
use tokio::time::timeout;

const BUCKET: &str = "store";
const STREAM: &str = "events";

async fn local_aws() -> (LocalAws, Clients) {
    let aws = LocalAws::start(localstack::Options::for_test()).await.expect("it starts");
    aws.create_bucket(BUCKET).expect("a bucket");
    aws.create_stream(STREAM, 2).await.expect("a stream");
    let clients = aws::connect(&aws::Settings::local(aws.endpoint())).await.expect("clients");
    (aws, clients)
}

/// A process that has started: it knows which store it writes.
fn process(clients: &Clients) -> Store {
    let ports = Ports { identity: memory::identity(), ..clients.ports(BUCKET, STREAM) };
    Store::new(ports, Settings::default())
}

async fn open(store: &Store, id: &str) {
    let command = AccountCommand::Open { overdraft_limit: OverdraftLimit::default(), holder: None };
    store.execute::<Account>(id, command, Options::default()).await.expect("executed");
}

async fn credit(store: &Store, id: &str) {
    let command = AccountCommand::Credit {
        amount: Amount::try_from(5).expect("an amount"),
        reference: None,
        transfer: None,
    };
    store.execute::<Account>(id, command, Options::default()).await.expect("executed");
}

/// Requests by operation: PUT and GET of S3, and calls of Kinesis.
fn requests(counts: &Counts) -> (u64, u64, u64) {
    let of = |operation| counts.of(operation).requests;
    assert_eq!(counts.total().requests, of("s3:PutObject") + of("s3:GetObject") + of("kinesis:PutRecords"));
    (of("s3:PutObject"), of("s3:GetObject"), of("kinesis:PutRecords"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_command_is_one_put_and_one_record_and_a_cold_one_has_one_get_more() {
    let (aws, clients) = local_aws().await;
    let store = process(&clients);
    open(&store, "warm").await;
    assert_eq!(requests(&aws.reset_counts()), (1, 1, 1), "a stream that nobody knows: one GET more");
    for _ in 0..5 {
        credit(&store, "warm").await;
    }
    assert_eq!(requests(&aws.reset_counts()), (5, 0, 5), "warm");

    // The relay has verified everything up to now.
    let through = SystemClock.now().saturating_add(jiff::SignedDuration::from_secs(5)).expect("a time");
    let body = Watermark::new(through).encode().expect("encodes");
    clients.objects(BUCKET).put(key::WATERMARK, body, Precondition::Absent).await.expect("put");
    let cold = process(&clients);
    open(&cold, "elsewhere").await;
    let known = process(&clients);
    aws.reset_counts();
    credit(&known, "warm").await;
    assert_eq!(requests(&aws.reset_counts()), (1, 2, 1), "cold: the head, and once in 30 s the watermark");
    credit(&known, "elsewhere").await;
    assert_eq!(requests(&aws.reset_counts()), (1, 1, 1), "cold: one GET more, and no repeat");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_stream_that_is_read_again_has_no_body() {
    let (aws, clients) = local_aws().await;
    let store = process(&clients);
    open(&store, "42").await;
    aws.reset_counts();
    for _ in 0..3 {
        store.load::<Account>("42").await.expect("loads");
    }
    let counts = aws.counts();
    let unchanged = counts.of_status("s3:GetObject", 304);
    assert_eq!((counts.total().requests, unchanged.requests, unchanged.bytes_out), (3, 3, 0));
}

/// Appends so many commits to an account of which a head holds one, and the next moves it to a page.
async fn lengthen(store: &Store, id: &str, commits: usize) {
    let stream = StreamId::new("account", id).expect("a stream");
    let credit = RawValue::from_string(r#"{"amount":1}"#.to_owned()).expect("JSON");
    let credit = StoredEvent::new("Credited", 1, credit).expect("an event");
    for _ in 0..commits {
        let events = vec![credit.clone(); 900];
        store.append(&stream, events, Options::default()).await.expect("appended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_without_a_snapshot_reads_sixteen_pages_at_once_and_with_one_reads_none() {
    let (aws, clients) = local_aws().await;
    let store = process(&clients);
    open(&store, "long").await;
    lengthen(&store, "long", 21).await;
    let (gate, cold) = (Gate::new(), process(&clients));
    let hold = gate.clone();
    aws.on_request(move |request: &Request| match &request.key {
        Some(key) if key.starts_with("pages/") => Fault::HoldBefore(hold.clone()),
        _ => Fault::Pass,
    });
    aws.reset_counts();
    let load = tokio::spawn(async move { cold.load::<Account>("long").await });
    timeout(PATIENCE, gate.reached_by(16)).await.expect("sixteen are under way before one is answered");
    gate.release();
    assert_eq!(load.await.expect("joins").expect("loads").version.get(), 1 + 21 * 900);
    assert_eq!(requests(&aws.reset_counts()), (0, 1 + 20, 0), "the head, and each page once");

    credit(&store, "long").await;
    aws.reset_counts();
    process(&clients).load::<Account>("long").await.expect("loads");
    assert_eq!(requests(&aws.reset_counts()), (0, 1, 0), "the head has a snapshot now");
}
