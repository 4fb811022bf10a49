//! Event source mappings, with real processes: order, failures, retries, what is given up, splits, restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use localstack::{
    FunctionOptions, LocalAws, MappingOptions, OnError, Options, ResponseType, StartingPosition,
};
use serde_json::Value;

use super::client::{eventually, kinesis, s3};
use super::worker::Worker;

async fn started(shards: u32) -> (LocalAws, Worker, Client) {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    let worker = Worker::new();
    aws.function(worker.function());
    aws.create_stream("stream", shards).await.unwrap();
    aws.create_bucket("failures").unwrap();
    let client = kinesis(&aws);
    (aws, worker, client)
}

fn options() -> MappingOptions {
    MappingOptions {
        response_type: ResponseType::ReportBatchItemFailures,
        retry_delay: Duration::from_millis(10),
        ..MappingOptions::new("stream", "worker")
    }
}

async fn put(client: &Client, key: &str, data: &str) {
    let put = client.put_record().stream_name("stream").partition_key(key).data(Blob::new(data.as_bytes()));
    put.send().await.unwrap();
}

async fn put_all(client: &Client, data: &[&str]) {
    for data in data {
        put(client, "key", data).await;
    }
}

async fn drained(mapping: &localstack::Mapping) {
    tokio::time::timeout(Duration::from_secs(20), mapping.drain()).await.unwrap();
}

/// The documents in the bucket for what was given up, with their keys.
async fn given_up(aws: &LocalAws) -> Vec<(String, Value)> {
    let client = s3(aws);
    let mut documents = Vec::new();
    for object in client.list_objects_v2().bucket("failures").send().await.unwrap().contents() {
        let key = object.key().unwrap().to_owned();
        let got = client.get_object().bucket("failures").key(&key).send().await.unwrap();
        let document = got.body.collect().await.unwrap().into_bytes();
        documents.push((key, serde_json::from_slice(&document).unwrap()));
    }
    documents
}

#[tokio::test]
async fn records_of_a_key_stay_in_order_over_lanes_and_shards() {
    let (aws, worker, client) = started(2).await;
    for index in 0..20 {
        for key in 0..8 {
            put(&client, &key.to_string(), &format!("{key}:{index}")).await;
        }
    }
    let mapping =
        aws.mapping(MappingOptions { batch_size: 7, parallelization_factor: 3, ..options() }).await.unwrap();
    drained(&mapping).await;
    let mut seen: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for record in worker.records() {
        let (key, index) = record.split_once(':').unwrap();
        seen.entry(key.to_owned()).or_default().push(index.parse().unwrap());
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.values().all(|indexes| *indexes == (0..20).collect::<Vec<_>>()), "{seen:?}");
    assert!(worker.batches().iter().all(|batch| batch.len() <= 7));
    assert!(mapping.status().iter().all(|shard| shard.outstanding == 0));
}

#[tokio::test]
async fn a_partial_failure_comes_again_from_its_first_record() {
    let (aws, worker, client) = started(1).await;
    put_all(&client, &["0", "1", "fail-once-2", "3", "fail-once-4"]).await;
    let mapping = aws.mapping(options()).await.unwrap();
    drained(&mapping).await;
    let expected: [&[&str]; 3] =
        [&["0", "1", "fail-once-2", "3", "fail-once-4"], &["fail-once-2", "3", "fail-once-4"], &[]];
    assert_eq!(worker.batches(), expected[..2]);
}

#[tokio::test]
async fn without_reports_an_answer_is_success() {
    let (aws, worker, client) = started(1).await;
    put_all(&client, &["0", "poison"]).await;
    let mapping =
        aws.mapping(MappingOptions { response_type: ResponseType::Ignored, ..options() }).await.unwrap();
    drained(&mapping).await;
    assert_eq!(worker.batches(), [["0", "poison"]]);
}

#[tokio::test]
async fn an_exhausted_batch_is_kept_as_aws_keeps_it() {
    let (aws, worker, client) = started(1).await;
    put_all(&client, &["0", "throw", "2"]).await;
    let mapping = aws.mapping(MappingOptions {
        maximum_retry_attempts: Some(1),
        on_failure_destination: Some("failures".to_owned()),
        ..options()
    });
    let mapping = mapping.await.unwrap();
    drained(&mapping).await;
    put(&client, "key", "3").await;
    drained(&mapping).await;
    assert_eq!(worker.batches(), [vec!["0", "throw", "2"], vec!["0", "throw", "2"], vec!["3"]]);
    let (key, document) = given_up(&aws).await.remove(0);
    let parts: Vec<&str> = key.split('/').collect();
    assert_eq!(
        (parts[0], parts[1], parts[3], parts.len()),
        ("aws", "lambda", "shardId-000000000000", 8),
        "{key}"
    );
    assert_eq!(document["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(document["KinesisBatchInfo"]["batchSize"], 3);
    let payload: Value = serde_json::from_str(document["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["Records"].as_array().unwrap().len(), 3);
    assert_eq!(
        document["KinesisBatchInfo"]["endSequenceNumber"],
        payload["Records"][2]["kinesis"]["sequenceNumber"]
    );
}

#[tokio::test]
async fn bisecting_leaves_only_the_bad_record_behind() {
    for bad in ["throw", "poison"] {
        let (aws, worker, client) = started(1).await;
        put_all(&client, &["0", "1", "2", bad, "4", "5", "6"]).await;
        let mapping = aws.mapping(MappingOptions {
            on_error: OnError::Bisect,
            maximum_retry_attempts: Some(2),
            on_failure_destination: Some("failures".to_owned()),
            ..options()
        });
        drained(&mapping.await.unwrap()).await;
        let documents = given_up(&aws).await;
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].1["KinesisBatchInfo"]["batchSize"], 1);
        assert_eq!(documents[0].1["requestContext"]["approximateInvokeCount"], 3);
        let batches = worker.batches();
        let last: Vec<_> =
            batches.iter().filter(|batch| !batch.contains(&bad.to_owned())).flatten().collect();
        assert!(["4", "5", "6"].iter().all(|good| last.iter().any(|seen| seen == good)), "{batches:?}");
    }
}

#[tokio::test]
async fn a_crash_and_a_timeout_are_tried_again() {
    let (aws, worker, client) = started(1).await;
    let mut function = worker.function();
    function.timeout = Duration::from_millis(700);
    aws.function(function);
    put_all(&client, &["0", "crash-once", "sleep-once"]).await;
    let mapping = aws.mapping(options()).await.unwrap();
    drained(&mapping).await;
    assert_eq!(worker.batches(), vec![vec!["0", "crash-once", "sleep-once"]; 3]);
    assert!(mapping.status().iter().all(|shard| shard.retries == 0));
}

/// The worker as a function of so much concurrency.
fn allowed(worker: &Worker, concurrency: usize) -> FunctionOptions {
    FunctionOptions { concurrency, ..worker.function() }
}

#[tokio::test]
async fn shards_share_a_functions_concurrency_and_wait_for_it() {
    let (aws, worker, client) = started(2).await;
    aws.function(allowed(&worker, 1));
    // A key of each shard.
    put(&client, "0", "wait-0").await;
    put(&client, "6", "wait-1").await;
    let mapping = aws.mapping(options()).await.unwrap();
    eventually("a throttle", async || (aws.invocations("worker").throttles > 0).then_some(())).await;
    // The other shard is throttled while the process of the first one still starts.
    eventually("the first batch", async || (!worker.batches().is_empty()).then_some(())).await;
    assert_eq!(worker.batches().len(), 1);
    worker.go();
    drained(&mapping).await;
    assert_eq!(mapping.status().len(), 2, "a shard each");
    assert_eq!(worker.batches().len(), 2);
}

#[tokio::test]
async fn a_throttle_is_no_retry() {
    let (aws, worker, client) = started(1).await;
    aws.function(allowed(&worker, 0));
    put_all(&client, &["0", "fail-once-1", "2"]).await;
    let mapping = aws.mapping(MappingOptions {
        maximum_retry_attempts: Some(1),
        on_failure_destination: Some("failures".to_owned()),
        ..options()
    });
    let mapping = mapping.await.unwrap();
    let throttled = async |more| {
        let throttles = aws.invocations("worker").throttles;
        let enough = async || (aws.invocations("worker").throttles >= throttles + more).then_some(());
        eventually("throttles", enough).await;
    };
    throttled(4).await;
    assert_eq!(mapping.status()[0].retries, 0);
    aws.function(worker.function());
    drained(&mapping).await;
    assert_eq!(worker.batches(), [vec!["0", "fail-once-1", "2"], vec!["fail-once-1", "2"]]);
    assert_eq!(given_up(&aws).await, []);
}

#[tokio::test]
async fn what_is_throttled_for_too_long_is_given_up_by_its_age() {
    let (aws, worker, client) = started(1).await;
    aws.function(allowed(&worker, 0));
    put_all(&client, &["0", "1"]).await;
    let mapping = aws.mapping(MappingOptions {
        maximum_record_age: Some(Duration::from_secs(2)),
        on_failure_destination: Some("failures".to_owned()),
        ..options()
    });
    drained(&mapping.await.unwrap()).await;
    let documents = given_up(&aws).await;
    let batches = documents.iter().map(|(_, document)| document["KinesisBatchInfo"]["batchSize"].as_u64());
    assert_eq!(batches.flatten().sum::<u64>(), 2);
    for (_, document) in documents {
        assert_eq!(document["requestContext"]["condition"], "RecordAgeExceeded");
        assert_eq!(document["requestContext"]["approximateInvokeCount"], 0);
        assert_eq!(document.get("responseContext"), None, "nothing was invoked");
    }
    assert_eq!(worker.records(), [""; 0]);
}

#[tokio::test]
async fn children_are_read_after_their_parents() {
    let (aws, worker, client) = started(1).await;
    let mapping = aws.mapping(MappingOptions { batch_size: 1, ..options() }).await.unwrap();
    put_all(&client, &["wait-0", "1"]).await;
    let split = client.split_shard().stream_name("stream").shard_to_split("shardId-000000000000");
    split.new_starting_hash_key((u128::MAX / 2 + 1).to_string()).send().await.unwrap();
    put_all(&client, &["2", "3"]).await;
    let merge = client.merge_shards().stream_name("stream").shard_to_merge("shardId-000000000001");
    merge.adjacent_shard_to_merge("shardId-000000000002").send().await.unwrap();
    put_all(&client, &["4", "5"]).await;
    eventually("the first record is under way", async || (!worker.records().is_empty()).then_some(())).await;
    let reading = |status: Vec<localstack::ShardStatus>| {
        status.into_iter().map(|shard| shard.shard).collect::<Vec<_>>()
    };
    assert_eq!(reading(mapping.status()), ["shardId-000000000000"], "no child is looked at before");
    worker.go();
    drained(&mapping).await;
    assert_eq!(worker.records(), ["wait-0", "1", "2", "3", "4", "5"]);
    eventually("the closed shards are finished", async || {
        (mapping.status().iter().filter(|shard| shard.finished).count() == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restart_goes_on_from_the_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let aws_options = Options { data: Some(directory.path().to_owned()), ..Options::for_test() };
    let worker = Worker::new();
    for round in 0..3 {
        let aws = LocalAws::start(aws_options.clone()).await.unwrap();
        aws.function(worker.function());
        aws.create_stream("stream", 2).await.unwrap();
        let client = kinesis(&aws);
        for key in 0..5 {
            put(&client, &key.to_string(), &format!("{round}:{key}")).await;
        }
        let mapping = aws.mapping(options()).await.unwrap();
        drained(&mapping).await;
        assert_eq!(worker.records().len(), 5 * (round + 1), "nothing comes twice, nothing is left out");
        aws.shutdown().await;
    }
}

#[tokio::test]
async fn only_wanted_records_invoke_the_function() {
    let (aws, worker, client) = started(1).await;
    let filters =
        vec![r#"{"data":[{"prefix":"a"}]}"#.to_owned(), r#"{"partitionKey":["wanted"]}"#.to_owned()];
    let mapping = aws.mapping(MappingOptions { filters, ..options() }).await.unwrap();
    put_all(&client, &["b0", "a1", "b2"]).await;
    put(&client, "wanted", "b3").await;
    put(&client, "key", "b4").await;
    drained(&mapping).await;
    assert_eq!(worker.records(), ["a1", "b3"]);
    assert!(aws.mapping(MappingOptions { filters: vec!["[]".to_owned()], ..options() }).await.is_err());
}

#[tokio::test]
async fn latest_begins_behind_what_is_there() {
    let (aws, worker, client) = started(1).await;
    put_all(&client, &["old"]).await;
    let latest = MappingOptions { starting_position: StartingPosition::Latest, ..options() };
    let mapping = aws.mapping(latest).await.unwrap();
    put_all(&client, &["new"]).await;
    drained(&mapping).await;
    assert_eq!(worker.records(), ["new"]);
}

#[tokio::test]
async fn a_window_gathers_records_until_the_batch_is_full() {
    let (aws, worker, client) = started(1).await;
    let window = MappingOptions { batching_window: Duration::from_mins(1), batch_size: 3, ..options() };
    let mapping = aws.mapping(window).await.unwrap();
    put_all(&client, &["0", "1", "2"]).await;
    drained(&mapping).await;
    assert_eq!(worker.batches(), [["0", "1", "2"]]);
}

#[tokio::test]
async fn a_batch_is_no_larger_than_a_payload() {
    let (aws, worker, client) = started(1).await;
    let large = "x".repeat(900_000);
    put_all(&client, &[large.as_str(); 8]).await;
    let mapping = aws.mapping(options()).await.unwrap();
    drained(&mapping).await;
    let sizes: Vec<usize> = worker.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [5, 3], "1.2 MB of base64 each, 6 MB at most");
}

#[tokio::test]
async fn records_that_are_too_old_are_given_up() {
    let (aws, worker, client) = started(1).await;
    put_all(&client, &["throw"]).await;
    let mapping = aws.mapping(MappingOptions {
        maximum_record_age: Some(Duration::from_secs(2)),
        on_failure_destination: Some("failures".to_owned()),
        ..options()
    });
    let mapping = mapping.await.unwrap();
    drained(&mapping).await;
    put_all(&client, &["next"]).await;
    drained(&mapping).await;
    assert_eq!(worker.records().last().map(String::as_str), Some("next"));
    assert_eq!(given_up(&aws).await[0].1["requestContext"]["condition"], "RecordAgeExceeded");
}
