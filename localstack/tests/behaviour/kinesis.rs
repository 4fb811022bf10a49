//! Kinesis: what this crate adds to the streams of another one.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use localstack::{Credentials, LocalAws, Options};

use super::client::{kinesis, kinesis_as};

async fn put(client: &Client, key: &str, data: &str) -> String {
    let put = client.put_record().stream_name("stream").partition_key(key).data(Blob::new(data.as_bytes()));
    put.send().await.unwrap().sequence_number
}

/// Every record of a shard: sequence number and data.
async fn records(client: &Client, shard: &str) -> Vec<(String, Vec<u8>)> {
    let iterator = client.get_shard_iterator().stream_name("stream").shard_id(shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let got = client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    got.records.into_iter().map(|record| (record.sequence_number, record.data.into_inner())).collect()
}

async fn shards(client: &Client) -> Vec<String> {
    let listed = client.list_shards().stream_name("stream").send().await.unwrap();
    listed.shards.unwrap().into_iter().map(|shard| shard.shard_id).collect()
}

#[tokio::test]
async fn a_created_stream_takes_records_at_once() {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    let client = kinesis(&aws);
    client.create_stream().stream_name("stream").shard_count(3).send().await.unwrap();
    let entry = |index: u32| {
        let entry = PutRecordsRequestEntry::builder().partition_key(index.to_string());
        entry.data(Blob::new(vec![0; 100_000])).build().unwrap()
    };
    let put = client.put_records().stream_name("stream").set_records(Some((0..40).map(entry).collect()));
    assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
    let mut found = 0;
    for shard in shards(&client).await {
        found += records(&client, &shard).await.len();
    }
    assert_eq!(found, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_follows_racing_writers_misses_nothing() {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    aws.create_stream("stream", 1).await.unwrap();
    let client = kinesis(&aws);
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let client = client.clone();
            tokio::spawn(async move {
                for index in 0..100 {
                    put(&client, "key", &format!("{writer}/{index}")).await;
                }
            })
        })
        .collect();
    let first = client.get_shard_iterator().stream_name("stream").shard_id("shardId-000000000000");
    let first = first.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let (mut iterator, mut seen) = (first.shard_iterator, 0);
    while seen < 800 {
        // Asked before the read: what is written during it may be in the next one.
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let got = client.get_records().set_shard_iterator(iterator).send().await.unwrap();
        seen += got.records.len();
        assert!(!(done && got.records.is_empty() && seen < 800), "only {seen} of 800 records were seen");
        iterator = got.next_shard_iterator;
    }
}

#[tokio::test]
async fn a_restart_keeps_records_and_goes_on_above_them() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { data: Some(directory.path().to_owned()), ..Options::for_test() };
    let aws = LocalAws::start(options.clone()).await.unwrap();
    aws.create_stream("stream", 1).await.unwrap();
    aws.create_stream("gone", 1).await.unwrap();
    let client = kinesis(&aws);
    client.delete_stream().stream_name("gone").send().await.unwrap();
    put(&client, "a", "parent").await;
    let middle = (u128::MAX / 2 + 1).to_string();
    let split = client.split_shard().stream_name("stream").shard_to_split("shardId-000000000000");
    split.new_starting_hash_key(middle).send().await.unwrap();
    for index in 0..10 {
        put(&client, &index.to_string(), "child").await;
    }
    let before_shards = shards(&client).await;
    let mut before = Vec::new();
    for shard in &before_shards {
        before.push(records(&client, shard).await);
    }
    aws.shutdown().await;
    drop(aws);

    for _ in 0..2 {
        let aws = LocalAws::start(options.clone()).await.unwrap();
        let client = kinesis(&aws);
        assert_eq!(shards(&client).await, before_shards);
        assert_eq!(before_shards.len(), 3);
        for (shard, before) in before_shards.iter().zip(&mut before) {
            assert_eq!(records(&client, shard).await, *before);
        }
        let newest = before.iter().flatten().map(|(sequence, _)| sequence.clone()).collect::<Vec<_>>();
        for index in 0..10 {
            let sequence = put(&client, &index.to_string(), "after").await;
            assert!(!newest.contains(&sequence));
        }
        for (shard, before) in before_shards.iter().zip(&mut before) {
            let now = records(&client, shard).await;
            assert_eq!(now[..before.len()], before[..], "what is new comes last");
            *before = now;
        }
        assert_eq!(client.list_streams().send().await.unwrap().stream_names, ["stream"]);
    }
}

#[tokio::test]
async fn a_demanded_key_pair_keeps_others_out() {
    let credentials = Credentials { access_key_id: "me".into(), secret_access_key: "secret".into() };
    let aws =
        LocalAws::start(Options { credentials: Some(credentials), ..Options::for_test() }).await.unwrap();
    aws.create_stream("stream", 1).await.unwrap();
    put(&kinesis_as(&aws, "me", "secret"), "a", "1").await;
    let other = kinesis_as(&aws, "you", "secret").list_streams().send().await.unwrap_err();
    assert_eq!(other.code(), Some("UnrecognizedClientException"));
    let wrong = kinesis_as(&aws, "me", "wrong").list_streams().send().await.unwrap_err();
    assert_eq!(wrong.code(), Some("InvalidSignatureException"));
}
