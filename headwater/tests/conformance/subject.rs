//! What is tested: a bucket and a stream of two shards, in memory and on a local AWS of their own.

use std::{sync::Arc, time::Duration};

use headwater::{
    aws::{Clients, Settings, connect},
    memory::{MemoryLog, MemoryObjects},
    port::{Log, Objects, SystemClock},
};
use http::StatusCode;
use localstack::{Fault, LocalAws, Options, Request};

pub(crate) struct Bucket {
    pub(crate) objects: Arc<dyn Objects>,
    aws: Option<LocalAws>,
}

pub(crate) async fn memory_bucket() -> Bucket {
    Bucket { objects: Arc::new(MemoryObjects::new(Arc::new(SystemClock))), aws: None }
}

pub(crate) async fn aws_bucket() -> Bucket {
    let (aws, clients) = local_aws().await;
    aws.create_bucket("store").expect("a bucket");
    Bucket { objects: Arc::new(clients.objects("store")), aws: Some(aws) }
}

/// A bucket of an S3 that has no conditional DELETE.
pub(crate) async fn bucket_without_delete() -> Bucket {
    refusing_deletes(StatusCode::NOT_IMPLEMENTED, "NotImplemented").await
}

/// A bucket in which nobody may delete.
pub(crate) async fn bucket_without_leave_to_delete() -> Bucket {
    refusing_deletes(StatusCode::FORBIDDEN, "AccessDenied").await
}

async fn refusing_deletes(status: StatusCode, code: &'static str) -> Bucket {
    let bucket = aws_bucket().await;
    let aws = bucket.aws.as_ref().expect("a local AWS");
    aws.on_request(move |request: &Request| match request.operation.as_str() {
        "s3:DeleteObject" => Fault::Respond(status, code),
        _ => Fault::Pass,
    });
    bucket
}

pub(crate) struct Stream {
    pub(crate) log: Arc<dyn Log>,
    memory: Option<Arc<MemoryLog>>,
    aws: Option<(LocalAws, Clients)>,
}

pub(crate) async fn memory_stream() -> Stream {
    let memory = Arc::new(MemoryLog::new(Arc::new(SystemClock), 2));
    Stream { log: memory.clone(), memory: Some(memory), aws: None }
}

pub(crate) async fn aws_stream() -> Stream {
    let (aws, clients) = local_aws().await;
    aws.create_stream("commits", 2).await.expect("a stream");
    Stream { log: Arc::new(clients.log("commits")), memory: None, aws: Some((aws, clients)) }
}

impl Stream {
    /// Splits a shard in the middle of its hashes.
    pub(crate) async fn split(&self, shard: &str) {
        if let Some(memory) = &self.memory {
            memory.split(shard).expect("a split");
        }
        if let Some((_, clients)) = &self.aws {
            let list = clients.kinesis().list_shards().stream_name("commits").send();
            let shards = list.await.expect("shards").shards.expect("shards");
            let found = shards.iter().find(|candidate| candidate.shard_id() == shard).expect("the shard");
            let range = found.hash_key_range().expect("a range");
            let bound = |text: &str| text.parse::<u128>().expect("a hash");
            let (first, last) = (bound(range.starting_hash_key()), bound(range.ending_hash_key()));
            let middle = first + (last - first) / 2 + 1;
            let split = clients.kinesis().split_shard().stream_name("commits").shard_to_split(shard);
            split.new_starting_hash_key(middle.to_string()).send().await.expect("a split");
        }
    }

    /// Merges two adjacent shards.
    pub(crate) async fn merge(&self, one: &str, other: &str) {
        if let Some(memory) = &self.memory {
            memory.merge(one, other).expect("a merge");
        }
        if let Some((_, clients)) = &self.aws {
            let merge = clients.kinesis().merge_shards().stream_name("commits").shard_to_merge(one);
            merge.adjacent_shard_to_merge(other).send().await.expect("a merge");
        }
    }
}

async fn local_aws() -> (LocalAws, Clients) {
    let aws = LocalAws::start(Options::for_test()).await.expect("a local AWS");
    let clients = clients(aws.endpoint()).await;
    (aws, clients)
}

/// Clients of a local AWS, which any credentials will do for.
pub(crate) async fn clients(endpoint: &str) -> Clients {
    connect(&Settings::local(endpoint)).await.expect("clients")
}

/// Clients that give up soon.
pub(crate) async fn hasty_clients(endpoint: &str) -> Clients {
    let call_timeout = Duration::from_millis(300);
    connect(&Settings { call_timeout, ..Settings::local(endpoint) }).await.expect("clients")
}
