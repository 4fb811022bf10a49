//! The program, killed in the middle of its work.

use std::process::Stdio;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use localstack::{LocalAws, Options};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::client::{kinesis, kinesis_at, s3, s3_at};

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_localstack"))
        .args(["--port", "0", "--bucket", "bucket", "--stream", "stream:1", "--data"])
        .arg(directory.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let endpoint = line.strip_prefix("AWS_ENDPOINT_URL=").unwrap();
    let (objects, streams) = (s3_at(endpoint, "test", "test"), kinesis_at(endpoint, "test", "test"));
    for index in 0..20 {
        let name = index.to_string();
        objects.put_object().bucket("bucket").key(&name).if_none_match("*").send().await.unwrap();
        let put = streams.put_record().stream_name("stream").partition_key(&name).data(Blob::new(name));
        put.send().await.unwrap();
    }
    program.kill().await.unwrap();

    let data = Some(directory.path().to_owned());
    let aws = LocalAws::start(Options { data, ..Options::for_test() }).await.unwrap();
    let listed = s3(&aws).list_objects_v2().bucket("bucket").send().await.unwrap();
    assert_eq!(listed.key_count(), Some(20));
    let client = kinesis(&aws);
    let iterator = client.get_shard_iterator().stream_name("stream").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let got = client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    let data: Vec<_> = got.records.into_iter().map(|record| record.data.into_inner()).collect();
    assert_eq!(data, (0..20).map(|index| index.to_string().into_bytes()).collect::<Vec<_>>());
}
