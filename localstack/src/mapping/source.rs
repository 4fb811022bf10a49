//! What a mapping reads and where it keeps what it gives up: in this process, or elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use ferrokinesis::types::StoredRecord;

use crate::elsewhere::Remote;
use crate::kinesis::Kinesis;
use crate::s3::objects::{Attributes, Buckets, Condition};

/// A stream as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) arn: String,
    pub(crate) shards: Vec<Shard>,
}

/// One of its shards.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) id: String,
    pub(crate) parents: Vec<String>,
    /// It gets no more records.
    pub(crate) closed: bool,
}

/// What one read gives.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Each with its sequence number, in order.
    pub(crate) records: Vec<(String, StoredRecord)>,
    /// The shard has no more, if it is closed.
    pub(crate) ended: bool,
    /// There are more, even if this page is empty.
    pub(crate) behind: bool,
}

/// Where streams and buckets are.
#[derive(Clone)]
pub(crate) enum Services {
    Here { kinesis: Arc<Kinesis>, buckets: Arc<Buckets> },
    Elsewhere(Arc<Remote>),
}

impl Services {
    /// A stream; the error says why there is none.
    pub(crate) async fn stream(&self, name: &str) -> Result<Stream, String> {
        match self {
            Self::Here { kinesis, .. } => {
                let stream = kinesis.stream(name).await.map_err(|error| error.to_string())?;
                let shards = stream.shards.into_iter().map(|shard| Shard {
                    id: shard.shard_id,
                    parents: shard
                        .parent_shard_id
                        .into_iter()
                        .chain(shard.adjacent_parent_shard_id)
                        .collect(),
                    closed: shard.sequence_number_range.ending_sequence_number.is_some(),
                });
                Ok(Stream { arn: stream.stream_arn, shards: shards.collect() })
            }
            Self::Elsewhere(remote) => remote.stream(name).await.map_err(|error| error.to_string()),
        }
    }

    /// The records of the shard at this index after a sequence number. A read that fails gives none, and is made again.
    pub(crate) async fn read(
        &self,
        name: &str,
        (index, shard): (usize, &Shard),
        after: Option<&str>,
        limit: usize,
    ) -> Page {
        match self {
            Self::Here { kinesis, .. } => {
                let records = kinesis.records(name, index, after, limit).await;
                Page { ended: records.is_empty(), behind: false, records }
            }
            Self::Elsewhere(remote) => {
                remote.read(name, &shard.id, after, limit).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, stream = name, shard = %shard.id, "a shard was not read");
                    Page::default()
                })
            }
        }
    }

    /// The newest sequence number of a shard, if it is after the one given.
    pub(crate) async fn last_sequence(
        &self,
        name: &str,
        (index, shard): (usize, &Shard),
        after: Option<&str>,
    ) -> Option<String> {
        let remote = match self {
            Self::Here { kinesis, .. } => return kinesis.last_sequence(name, index, after).await,
            Self::Elsewhere(remote) => remote,
        };
        let mut last = None;
        loop {
            let from = last.as_deref().or(after);
            match remote.read(name, &shard.id, from, usize::MAX).await {
                Ok(mut page) => match page.records.pop() {
                    Some((newest, _)) => last = Some(newest),
                    None if page.behind && !page.ended => {}
                    None => return last,
                },
                Err(error) => {
                    tracing::debug!(%error, stream = name, shard = %shard.id, "a shard was not read");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Keeps an object that is not there yet; the error says why not.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: Bytes) -> Result<(), String> {
        match self {
            Self::Here { buckets, .. } => {
                let put = buckets.put(bucket, key, &Condition::Always, body, Attributes::default());
                put.map(drop).map_err(|error| error.to_string())
            }
            Self::Elsewhere(remote) => remote.put(bucket, key, body).await.map_err(|error| error.to_string()),
        }
    }
}
