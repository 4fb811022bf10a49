//! S3 and Kinesis of another program, which a second local AWS is here: functions and mappings run in the first.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use localstack::{Elsewhere, LocalAws, MappingError, MappingOptions, Options, ResponseType};

use super::client::{eventually, kinesis, s3};
use super::worker::Worker;

/// What provides S3 and Kinesis, and what runs functions.
async fn started() -> (LocalAws, LocalAws, Worker) {
    let other = LocalAws::start(Options::for_test()).await.unwrap();
    other.create_stream("stream", 2).await.unwrap();
    other.create_bucket("failures").unwrap();
    let endpoint = other.endpoint().to_owned();
    let elsewhere = Some(Elsewhere { s3: endpoint.clone(), kinesis: endpoint, credentials: None });
    let aws = LocalAws::start(Options { elsewhere, ..Options::for_test() }).await.unwrap();
    let worker = Worker::new();
    aws.function(worker.function());
    (other, aws, worker)
}

fn options() -> MappingOptions {
    MappingOptions {
        response_type: ResponseType::ReportBatchItemFailures,
        maximum_retry_attempts: Some(1),
        retry_delay: Duration::from_millis(10),
        on_failure_destination: Some("failures".to_owned()),
        ..MappingOptions::new("stream", "worker")
    }
}

#[tokio::test]
async fn records_of_another_kinesis_come_in_order_across_a_split() {
    let (other, aws, worker) = started().await;
    let client = kinesis(&other);
    let put = async |data: String| {
        let put = client.put_record().stream_name("stream").partition_key("key").data(Blob::new(data));
        put.send().await.unwrap().shard_id
    };
    let shard = put("0".to_owned()).await;
    let mapping = aws.mapping(options()).await.unwrap();
    eventually("the first record comes", async || (worker.records().len() == 1).then_some(())).await;
    let middle = if shard.ends_with('0') { 1_u128 << 126 } else { 3_u128 << 126 };
    let split = client.split_shard().stream_name("stream").shard_to_split(&shard);
    split.new_starting_hash_key(middle.to_string()).send().await.unwrap();
    for number in 1..20 {
        put(number.to_string()).await;
    }
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    eventually("all come", async || (worker.records().len() >= expected.len()).then_some(())).await;
    assert_eq!(worker.records(), expected);
    tokio::time::timeout(Duration::from_secs(20), mapping.drain()).await.unwrap();
    let ended = mapping.status().into_iter().find(|status| status.shard == shard).unwrap();
    assert!(ended.finished, "the parent is done");
}

#[tokio::test]
async fn what_is_given_up_is_kept_in_the_other_s3() {
    let (other, aws, _worker) = started().await;
    let put = kinesis(&other).put_record().stream_name("stream").partition_key("key");
    put.data(Blob::new("poison")).send().await.unwrap();
    let _mapping = aws.mapping(options()).await.unwrap();
    let objects = s3(&other);
    eventually("it is kept", async || {
        let listed = objects.list_objects_v2().bucket("failures").send().await.unwrap();
        (listed.key_count() == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_said_and_the_own_port_has_no_s3() {
    let (_other, aws, _worker) = started().await;
    let refused = aws.mapping(MappingOptions::new("nowhere", "worker")).await.err().unwrap();
    assert!(matches!(refused, MappingError::NoSuchStream(name) if name == "nowhere"));
    let put = s3(&aws).put_object().bucket("failures").key("a").send().await.unwrap_err();
    assert_eq!(put.raw_response().unwrap().status().as_u16(), 501);
}
