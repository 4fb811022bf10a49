//! Faults and counts: lost requests, lost answers, held requests, made-up refusals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use http::StatusCode;
use localstack::{Fault, Gate, Hook, LocalAws, Options, Request};

use super::client::{kinesis_as, s3, s3_as};

async fn started() -> (LocalAws, aws_sdk_s3::Client) {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    aws.create_bucket("bucket").unwrap();
    let client = s3(&aws);
    (aws, client)
}

fn on_put(fault: Fault) -> impl Fn(&Request) -> Fault + Send + Sync + 'static {
    move |request| if request.operation == "s3:PutObject" { fault.clone() } else { Fault::Pass }
}

async fn stands(client: &aws_sdk_s3::Client, key: &str) -> bool {
    client.head_object().bucket("bucket").key(key).send().await.is_ok()
}

#[tokio::test]
async fn a_lost_answer_leaves_the_write_done() {
    let (aws, client) = started().await;
    aws.on_request(on_put(Fault::DropAfter));
    let lost = client.put_object().bucket("bucket").key("a").send().await.unwrap_err();
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    assert!(stands(&client, "a").await);
}

#[tokio::test]
async fn a_lost_request_leaves_nothing_done() {
    let (aws, client) = started().await;
    aws.on_request(on_put(Fault::DropBefore));
    let lost = client.put_object().bucket("bucket").key("a").send().await.unwrap_err();
    assert!(matches!(lost, SdkError::DispatchFailure(_)), "{lost:?}");
    assert!(!stands(&client, "a").await);
    assert_eq!(aws.counts().of_status("s3:PutObject", 0).requests, 1);
}

#[tokio::test]
async fn a_made_up_refusal_is_read_as_awss() {
    let (aws, client) = started().await;
    aws.on_request(on_put(Fault::Respond(StatusCode::CONFLICT, "ConditionalRequestConflict")));
    let refused = client.put_object().bucket("bucket").key("a").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ConditionalRequestConflict"));
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 409);
    aws.pass_requests();
    client.put_object().bucket("bucket").key("a").send().await.unwrap();
}

#[tokio::test]
async fn a_held_answer_comes_when_it_is_released() {
    let (aws, client) = started().await;
    let gate = Gate::new();
    aws.on_request(on_put(Fault::HoldAfter(gate.clone())));
    let put = tokio::spawn(client.put_object().bucket("bucket").key("a").send());
    gate.reached().await;
    assert!(stands(&client, "a").await);
    assert!(!put.is_finished());
    gate.release();
    put.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_held_request_is_given_up_when_its_caller_leaves() {
    let (aws, client) = started().await;
    let gate = Gate::new();
    aws.on_request(on_put(Fault::HoldBefore(gate.clone())));
    let left = tokio::spawn(client.put_object().bucket("bucket").key("left").send());
    gate.reached().await;
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    let stayed = tokio::spawn(client.put_object().bucket("bucket").key("stayed").send());
    gate.reached_by(2).await;
    assert!(!stands(&client, "stayed").await);
    gate.release();
    stayed.await.unwrap().unwrap();
    assert!(stands(&client, "stayed").await);
    assert!(!stands(&client, "left").await);
}

#[tokio::test]
async fn a_delay_delays() {
    let (aws, client) = started().await;
    aws.on_request(on_put(Fault::Delay(Duration::from_millis(50))));
    let begin = tokio::time::Instant::now();
    client.put_object().bucket("bucket").key("a").send().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(50));
}

/// Who asked, the actions, what they are for, and the status of the answer.
type Answered = (String, String, String, u16);

/// Keeps what it is told of every answer.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Answered>>>);

impl Hook for Told {
    fn on_request(&self, _: &Request) -> Fault {
        Fault::Pass
    }

    fn on_answer(&self, request: &Request, status: u16) {
        let what = [&request.bucket, &request.key, &request.prefix, &request.stream];
        let what = what.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
        let caller = request.caller.clone().unwrap_or_default();
        self.0.lock().unwrap().push((caller, request.actions().join(" "), what, status));
    }
}

#[tokio::test]
async fn a_hook_is_told_who_asks_and_what_iam_would_ask_for() {
    let (aws, _) = started().await;
    aws.create_stream("stream", 1).await.unwrap();
    let told = Told::default();
    aws.on_request(told.clone());
    let s3 = s3_as(&aws, "credit-limit", "secret");
    let put = s3.put_object().bucket("bucket").key("views/ä b").if_none_match("*").send().await.unwrap();
    let etag = put.e_tag.unwrap();
    s3.head_object().bucket("bucket").key("views/ä b").send().await.unwrap();
    s3.put_object().bucket("bucket").key("absent").if_match(&etag).send().await.unwrap_err();
    s3.delete_object().bucket("bucket").key("views/ä b").if_match(etag).send().await.unwrap();
    s3.get_object().bucket("bucket").key("absent").send().await.unwrap_err();
    s3.list_objects_v2().bucket("bucket").prefix("views/ä").send().await.unwrap();
    let kinesis = kinesis_as(&aws, "relay", "secret");
    let iterator = kinesis.get_shard_iterator().stream_name("stream").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type("TRIM_HORIZON".into()).send().await.unwrap().shard_iterator;
    kinesis.get_records().set_shard_iterator(iterator).send().await.unwrap();
    reqwest::get(format!("{}/bucket/absent", aws.endpoint())).await.unwrap();
    let expected = [
        ("credit-limit", "s3:PutObject", "bucket views/ä b", 200),
        ("credit-limit", "s3:GetObject", "bucket views/ä b", 200),
        ("credit-limit", "s3:PutObject s3:GetObject", "bucket absent", 404),
        ("credit-limit", "s3:DeleteObject s3:GetObject", "bucket views/ä b", 204),
        ("credit-limit", "s3:GetObject", "bucket absent", 404),
        ("credit-limit", "s3:ListBucket", "bucket views/ä", 200),
        ("relay", "kinesis:GetShardIterator", "stream", 200),
        ("relay", "kinesis:GetRecords", "stream", 200),
        ("", "s3:GetObject", "bucket absent", 404),
    ];
    let expected = expected.map(|(caller, actions, what, status)| {
        (caller.to_owned(), actions.to_owned(), what.to_owned(), status)
    });
    assert_eq!(*told.0.lock().unwrap(), expected);
}

#[tokio::test]
async fn requests_and_bytes_are_counted_by_operation_and_status() {
    let (aws, client) = started().await;
    let put = client.put_object().bucket("bucket").key("a").body(ByteStream::from_static(b"hello"));
    let etag = put.send().await.unwrap().e_tag.unwrap();
    let before = aws.counts();
    assert_eq!(before.of_status("s3:PutObject", 200).bytes_in, 5);
    client.get_object().bucket("bucket").key("a").send().await.unwrap();
    assert!(client.get_object().bucket("bucket").key("a").if_none_match(etag).send().await.is_err());
    let added = aws.counts().since(&before);
    assert_eq!(added.of("s3:GetObject").requests, 2);
    assert_eq!(added.of_status("s3:GetObject", 200).bytes_out, 5);
    assert_eq!(added.of_status("s3:GetObject", 304).bytes_out, 0);
    assert_eq!(added.of("s3:PutObject").requests, 0);
    aws.reset_counts();
    assert_eq!(aws.counts().total().requests, 0);
}
