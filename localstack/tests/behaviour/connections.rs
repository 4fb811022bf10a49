//! Connections that are cut, reset, slow or stalled, and writes that are done in part: as a bad network and a busy AWS.

use std::io::ErrorKind;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_s3::primitives::ByteStream;
use localstack::{Fault, Hook, LocalAws, Options, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::client::{kinesis, s3};

const BODY: &str = "0123456789abcdef";

async fn started(fault: Fault) -> (LocalAws, aws_sdk_s3::Client) {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    aws.create_bucket("bucket").unwrap();
    let client = s3(&aws);
    client
        .put_object()
        .bucket("bucket")
        .key("a")
        .body(ByteStream::from_static(BODY.as_bytes()))
        .send()
        .await
        .unwrap();
    aws.on_request(move |_: &Request| fault.clone());
    (aws, client)
}

/// Sends bytes on a connection of its own, and reads to its end: what came, and how it ended.
async fn raw(aws: &LocalAws, request: &str) -> (String, Option<ErrorKind>) {
    let mut connection = TcpStream::connect(aws.endpoint().trim_start_matches("http://")).await.unwrap();
    // It may be cut while the request is sent.
    let _ = connection.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let end = connection.read_to_end(&mut answer).await.err().map(|error| error.kind());
    (String::from_utf8(answer).unwrap(), end)
}

const GET: &str = "GET /bucket/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn put(key: &str) -> String {
    format!("PUT /bucket/{key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len())
}

async fn stands(aws: &LocalAws, key: &str) -> bool {
    aws.pass_requests();
    s3(aws).head_object().bucket("bucket").key(key).send().await.is_ok()
}

#[tokio::test]
async fn half_an_answer_is_half_of_it_and_the_write_is_done() {
    let (aws, client) = started(Fault::Pass).await;
    let (whole, end) = raw(&aws, GET).await;
    assert!(whole.ends_with(BODY) && end.is_none(), "{whole:?}, {end:?}");
    aws.on_request(|_: &Request| Fault::CutAnswer);
    let (half, end) = raw(&aws, GET).await;
    assert_eq!((half.len(), end), (whole.len().div_ceil(2), None));
    assert!(whole.starts_with(&half[.."HTTP/1.1 200 OK".len()]));
    client.put_object().bucket("bucket").key("b").send().await.unwrap_err();
    assert!(stands(&aws, "b").await);
}

#[tokio::test]
async fn half_of_a_large_body_is_no_body() {
    let (aws, client) = started(Fault::Pass).await;
    let large = ByteStream::from(vec![7; 4 << 20]);
    client.put_object().bucket("bucket").key("large").body(large).send().await.unwrap();
    aws.on_request(|_: &Request| Fault::CutAnswer);
    let read = client.get_object().bucket("bucket").key("large").send().await.unwrap();
    read.body.collect().await.unwrap_err();
    aws.pass_requests();
    let read = client.get_object().bucket("bucket").key("large").send().await.unwrap();
    assert_eq!(read.body.collect().await.unwrap().to_vec().len(), 4 << 20);
}

#[tokio::test]
async fn a_slow_answer_is_whole_and_the_next_one_is_not_slow() {
    let over = Duration::from_millis(400);
    let (aws, client) = started(Fault::SlowAnswer(over)).await;
    let begin = Instant::now();
    let read = client.get_object().bucket("bucket").key("a").send().await.unwrap();
    assert_eq!(read.body.collect().await.unwrap().to_vec(), BODY.as_bytes());
    assert!(begin.elapsed() >= over, "{:?}", begin.elapsed());
    // On the same connection; much longer than the test's own patience, were it slow too.
    aws.on_request(|_: &Request| Fault::SlowAnswer(Duration::from_hours(1)));
    let stalled = client.get_object().bucket("bucket").key("a").send();
    timeout(Duration::from_millis(200), stalled).await.expect_err("it stalls until the caller leaves");
    aws.pass_requests();
    client.get_object().bucket("bucket").key("a").send().await.unwrap();
}

#[tokio::test]
async fn a_reset_is_an_error_and_says_nothing_of_the_write() {
    for (fault, done) in [(Fault::ResetBefore, false), (Fault::ResetAfter, true)] {
        let (aws, _client) = started(fault).await;
        let (answer, end) = raw(&aws, &put("b")).await;
        assert_eq!((answer.as_str(), end), ("", Some(ErrorKind::ConnectionReset)));
        assert_eq!(stands(&aws, "b").await, done);
    }
    let (aws, _client) = started(Fault::DropAfter).await;
    assert_eq!(raw(&aws, &put("b")).await, (String::new(), None), "a close is no reset");
}

/// Cuts every PUT after so many bytes of its body.
struct CutAfter(usize);

impl Hook for CutAfter {
    fn on_request(&self, request: &Request) -> Fault {
        assert_ne!(request.operation, "s3:PutObject", "it was cut");
        Fault::Pass
    }

    fn cut_in_body(&self, head: &Request) -> Option<usize> {
        assert!(head.body.is_empty());
        (head.operation == "s3:PutObject").then_some(self.0)
    }
}

#[tokio::test]
async fn a_request_that_is_cut_in_the_middle_is_not_done() {
    let (aws, client) = started(Fault::Pass).await;
    aws.on_request(CutAfter(5));
    let half = put("b").replace("89abcdef", "");
    let (answer, end) = raw(&aws, &half).await;
    assert_eq!((answer.as_str(), end), ("", Some(ErrorKind::ConnectionReset)), "it waits for no more");
    let large = ByteStream::from(vec![7; 8 << 20]);
    client.put_object().bucket("bucket").key("c").body(large).send().await.unwrap_err();
    let cut = aws.counts().of_status("s3:PutObject", 0);
    assert_eq!(cut.requests, 2);
    assert!(cut.bytes_in < 4 << 20, "most of it was not read: {}", cut.bytes_in);
    assert!(!stands(&aws, "b").await && !stands(&aws, "c").await);
}

#[tokio::test]
async fn refused_entries_are_not_done_and_the_others_are() {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    aws.create_stream("stream", 1).await.unwrap();
    let client = kinesis(&aws);
    let entry = |data: &str| {
        let entry = PutRecordsRequestEntry::builder().partition_key("key").data(Blob::new(data));
        entry.build().unwrap()
    };
    let put = || {
        let entries = ["a", "b", "c", "d"].map(entry).to_vec();
        client.put_records().stream_name("stream").set_records(Some(entries)).send()
    };
    for (mask, expected) in [(0b0110, [false, true, true, false]), (u64::MAX, [true; 4]), (0, [false; 4])] {
        aws.on_request(move |_: &Request| {
            Fault::RefuseEntries(mask, "ProvisionedThroughputExceededException")
        });
        let answer = put().await.unwrap();
        let refused: Vec<bool> = answer.records().iter().map(|entry| entry.error_code().is_some()).collect();
        assert_eq!(refused, expected);
        assert_eq!(answer.failed_record_count(), i32::try_from(mask.count_ones().min(4)).ok());
        for entry in answer.records() {
            let code = entry.error_code();
            assert!(code.is_none_or(|code| code == "ProvisionedThroughputExceededException"), "{code:?}");
            assert_eq!(code.is_none(), entry.sequence_number().is_some());
        }
    }
    aws.pass_requests();
    let iterator = client.get_shard_iterator().stream_name("stream").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
    let read = client.get_records().shard_iterator(iterator).send().await.unwrap();
    let data: Vec<&[u8]> = read.records().iter().map(|record| record.data().as_ref()).collect();
    assert_eq!(data, [b"a", b"d", b"a", b"b", b"c", b"d"]);
}

#[tokio::test]
async fn what_the_buckets_hold_is_told() {
    let (aws, _client) = started(Fault::Pass).await;
    let stored = aws.stored();
    assert_eq!((stored.objects, stored.bytes), (1, BODY.len() as u64));
}
