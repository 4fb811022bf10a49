//! What a command costs, counted at the other end of the wire: a warm command is one PUT and one record.

#![allow(clippy::expect_used, reason = "a test")]

use bank::{Account, AccountCommand, Amount, OverdraftLimit};
use headwater::{
    Options, Settings, Store,
    aws::{self, Clients},
    format::{key, watermark::Watermark},
    port::{Clock, Objects, Precondition, SystemClock},
};
use localstack::{Counts, LocalAws};

const BUCKET: &str = "store";
const STREAM: &str = "events";

async fn local_aws() -> (LocalAws, Clients) {
    let aws = LocalAws::start(localstack::Options::for_test()).await.expect("it starts");
    aws.create_bucket(BUCKET).expect("a bucket");
    aws.create_stream(STREAM, 2).await.expect("a stream");
    let clients = aws::connect(&aws::Settings::local(aws.endpoint())).await.expect("clients");
    (aws, clients)
}

fn process(clients: &Clients) -> Store {
    Store::new(clients.ports(BUCKET, STREAM), Settings::default())
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
