//! Kinesis: streams, shards and records, by the crate `ferrokinesis`, with what it lacks.
//!
//! - Writes queue behind one another. The crate gives a record its sequence number first and stores it later; two
//!   writes at once could be stored in the other order, and a reader that had seen the later one would never see
//!   the earlier.
//! - Changes of a stream are answered when they are done, so that a stream that was created can be written to.
//! - With a data directory, `journal` keeps streams and records, before the answer.
//! - A fault can refuse some entries of a `PutRecords`, which `partly` does.

pub(crate) mod journal;
pub(crate) mod partly;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::sequence::shard_ix_to_hex;
use ferrokinesis::store::{Store, StoreOptions};
use ferrokinesis::types::{StoredRecord, Stream, StreamStatus};
use tokio::sync::Mutex;
use tower::ServiceExt as _;

use journal::Journal;

/// How many records are looked at in one go.
const PAGE: usize = 1000;
/// The account that owns everything here.
pub(crate) const ACCOUNT: &str = "000000000000";

/// How strictly the limits of a shard are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShardLimits {
    /// As fast as the machine is.
    #[default]
    Unlimited,
    /// 1,000 records and 1 MiB a second per shard; above it `ProvisionedThroughputExceededException`.
    Aws,
}

/// The streams of this account.
pub(crate) struct Kinesis {
    router: Router,
    store: Store,
    writing: Mutex<Option<Journal>>,
}

impl Kinesis {
    pub(crate) async fn open(
        directory: Option<PathBuf>,
        region: &str,
        limits: ShardLimits,
    ) -> io::Result<Self> {
        let (router, store) = ferrokinesis::create_app(StoreOptions {
            create_stream_ms: 0,
            delete_stream_ms: 0,
            update_stream_ms: 0,
            shard_limit: 1000,
            retention_check_interval_secs: 60,
            enforce_limits: limits == ShardLimits::Aws,
            aws_account_id: ACCOUNT.to_owned(),
            aws_region: region.to_owned(),
            ..StoreOptions::default()
        });
        let journal = match directory {
            Some(directory) => Some(Journal::restore(&directory, &store).await?),
            None => None,
        };
        let router = router.layer(DefaultBodyLimit::max(crate::port::BODY_LIMIT));
        Ok(Self { router, store, writing: Mutex::new(journal) })
    }

    /// Does one request from outside. A write is in the journal when the answer is given.
    pub(crate) async fn answer(
        &self,
        operation: &str,
        stream: Option<&str>,
        request: http::Request<Body>,
    ) -> Response {
        if is_read(operation) {
            return self.route(request).await;
        }
        let mut journal = self.writing.lock().await;
        let response = self.route(request).await;
        if !response.status().is_success() {
            return response;
        }
        let written = match operation {
            "PutRecord" | "PutRecords" => match journal.as_mut() {
                Some(journal) => journal.records(&self.store, stream).await,
                None => Ok(()),
            },
            _ => self.settle(journal.as_mut()).await,
        };
        match written {
            Ok(()) => response,
            Err(error) => {
                tracing::error!(%error, "the data directory refused a write");
                let mut response = Response::new(Body::from(r#"{"__type":"InternalFailure"}"#));
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// Creates a stream unless it exists.
    pub(crate) async fn create_stream(&self, name: &str, shards: u32) -> Result<(), KinesisErrorResponse> {
        let mut journal = self.writing.lock().await;
        if self.store.contains_stream(name).await {
            return Ok(());
        }
        let request = serde_json::json!({ "StreamName": name, "ShardCount": shards });
        dispatch(&self.store, Operation::CreateStream, request).await?;
        self.settle(journal.as_mut())
            .await
            .map_err(|error| KinesisErrorResponse::server_error(None, Some(&error.to_string())))
    }

    /// The stream as it stands.
    pub(crate) async fn stream(&self, name: &str) -> Result<Stream, KinesisErrorResponse> {
        self.store.get_stream(name).await
    }

    /// The records of one shard after a sequence number, or from the first one, in order.
    pub(crate) async fn records(
        &self,
        stream: &str,
        shard: usize,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, StoredRecord)> {
        let index = i64::try_from(shard).unwrap_or(i64::MAX - 1);
        let hex = shard_ix_to_hex(index);
        // The zero makes the range begin behind the last sequence number and before any other.
        let begin = after.map_or_else(|| format!("{hex}/"), |last| format!("{hex}/{last}\0"));
        let end = shard_ix_to_hex(index + 1);
        let found = self.store.get_records_range_limited(stream, &begin, &end, limit).await;
        found
            .into_iter()
            .map(|(key, record)| (key.rsplit('/').next().unwrap_or_default().to_owned(), record))
            .collect()
    }

    /// The newest sequence number of one shard, if it is after the one given.
    pub(crate) async fn last_sequence(
        &self,
        stream: &str,
        shard: usize,
        after: Option<&str>,
    ) -> Option<String> {
        let mut last = None;
        loop {
            let from = last.as_deref().or(after);
            match self.records(stream, shard, from, PAGE).await.pop() {
                Some((newest, _)) => last = Some(newest),
                None => return last,
            }
        }
    }

    async fn route(&self, request: http::Request<Body>) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Waits until no stream is being changed, then keeps them as they are.
    async fn settle(&self, journal: Option<&mut Journal>) -> io::Result<()> {
        let mut streams = Vec::new();
        for name in self.store.list_stream_names().await {
            while let Ok(stream) = self.store.get_stream(&name).await {
                if stream.stream_status == StreamStatus::Active {
                    streams.push((name, stream));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        match journal {
            Some(journal) => journal.streams(&self.store, &streams).await,
            None => Ok(()),
        }
    }
}

fn is_read(operation: &str) -> bool {
    ["Get", "List", "Describe", "Subscribe"].iter().any(|prefix| operation.starts_with(prefix))
}
