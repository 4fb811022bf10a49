//! S3 and Kinesis of another program, while functions, mappings and schedules run here.
//!
//! Functions are told where they are, mappings read their records there, and what is given up is kept there. The port here then answers
//! `lambda:Invoke` alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials as Key, Region};
use aws_sdk_kinesis::types::ShardIteratorType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ferrokinesis::types::StoredRecord;
use tokio::time::Instant;

use crate::mapping::source::{Page, Shard, Stream};
use crate::signature::Credentials;

/// How long what is known of a stream's shards is taken to hold.
const FRESH: Duration = Duration::from_secs(1);
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most records that Kinesis gives at once.
const MOST: usize = 10_000;

/// Where S3 and Kinesis are that another program provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Where S3 listens, as `http://127.0.0.1:9000`.
    pub s3: String,
    /// Where Kinesis listens.
    pub kinesis: String,
    /// Who asks there: mappings do. `None` is a pair that nobody knows.
    pub credentials: Option<Credentials>,
}

/// Stream, shard, and the sequence number that was read last.
type Position = (String, String, Option<String>);

/// The clients.
pub(crate) struct Remote {
    kinesis: aws_sdk_kinesis::Client,
    s3: aws_sdk_s3::Client,
    /// Where to go on in a shard, by what was read of it last.
    iterators: Mutex<BTreeMap<Position, String>>,
    streams: Mutex<BTreeMap<String, (Instant, Stream)>>,
}

/// What could not be done there, in the words of the other program.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RemoteError(String);

impl RemoteError {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

impl Remote {
    pub(crate) fn new(elsewhere: &Elsewhere, region: &str) -> Self {
        let Credentials { access_key_id, secret_access_key } =
            elsewhere.credentials.clone().unwrap_or_else(Credentials::any);
        let key = Key::new(access_key_id, secret_access_key, None, None, "elsewhere");
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let kinesis = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(&elsewhere.kinesis)
            .credentials_provider(key.clone())
            .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
            .http_client(http.clone());
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(&elsewhere.s3)
            .credentials_provider(key)
            .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
            .force_path_style(true)
            .http_client(http);
        Self {
            kinesis: aws_sdk_kinesis::Client::from_conf(kinesis.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            iterators: Mutex::default(),
            streams: Mutex::default(),
        }
    }

    /// A stream with its shards, as of a second ago at most.
    pub(crate) async fn stream(&self, name: &str) -> Result<Stream, RemoteError> {
        if let Some((at, stream)) = lock(&self.streams).get(name)
            && at.elapsed() < FRESH
        {
            return Ok(stream.clone());
        }
        let described = self.kinesis.describe_stream().stream_name(name);
        let (mut shards, mut after) = (Vec::new(), None);
        let arn = loop {
            let page = described.clone().set_exclusive_start_shard_id(after).send().await;
            let page = page.map_err(|error| RemoteError::of(&error))?;
            let Some(page) = page.stream_description else {
                return Err(RemoteError("the stream is not described".to_owned()));
            };
            after = page.shards.last().map(|shard| shard.shard_id.clone());
            shards.extend(page.shards.into_iter().map(|shard| Shard {
                id: shard.shard_id,
                parents: shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect(),
                closed:
                    shard.sequence_number_range.is_some_and(|range| range.ending_sequence_number.is_some()),
            }));
            if !page.has_more_shards || after.is_none() {
                break page.stream_arn;
            }
        };
        let stream = Stream { arn, shards };
        lock(&self.streams).insert(name.to_owned(), (Instant::now(), stream.clone()));
        Ok(stream)
    }

    /// The records of a shard after a sequence number, or from the first one. There may be none and still more to come.
    pub(crate) async fn read(
        &self,
        stream: &str,
        shard: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, RemoteError> {
        let place = (stream.to_owned(), shard.to_owned(), after.map(str::to_owned));
        let known = lock(&self.iterators).remove(&place);
        let iterator = match known {
            Some(iterator) => iterator,
            None => self.iterator(stream, shard, after).await?,
        };
        // An iterator that is too old fails once, and the next read takes a new one.
        let limit = i32::try_from(limit.min(MOST)).unwrap_or(i32::MAX);
        let answer = self.kinesis.get_records().shard_iterator(iterator).limit(limit).send().await;
        let answer = answer.map_err(|error| RemoteError::of(&error))?;
        let records: Vec<_> = answer
            .records
            .into_iter()
            .map(|record| {
                let arrival = record.approximate_arrival_timestamp.map_or(0.0, |time| time.as_secs_f64());
                let stored = StoredRecord {
                    partition_key: record.partition_key.unwrap_or_default(),
                    data: STANDARD.encode(record.data),
                    approximate_arrival_timestamp: arrival,
                };
                (record.sequence_number, stored)
            })
            .collect();
        let ended = answer.next_shard_iterator.is_none();
        if let Some(next) = answer.next_shard_iterator {
            let last = records.last().map(|(sequence, _)| sequence.clone()).or(place.2);
            lock(&self.iterators).insert((place.0, place.1, last), next);
        }
        Ok(Page { records, ended, behind: answer.millis_behind_latest.unwrap_or_default() > 0 })
    }

    async fn iterator(&self, stream: &str, shard: &str, after: Option<&str>) -> Result<String, RemoteError> {
        let request = self.kinesis.get_shard_iterator().stream_name(stream).shard_id(shard);
        let request = match after {
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Some(after) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(after),
        };
        let answer = request.send().await.map_err(|error| RemoteError::of(&error))?;
        answer.shard_iterator.ok_or_else(|| RemoteError("there is no such shard".to_owned()))
    }

    /// Puts an object.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: Bytes) -> Result<(), RemoteError> {
        let put = self.s3.put_object().bucket(bucket).key(key).body(body.into()).if_none_match("*");
        put.send().await.map(drop).map_err(|error| RemoteError::of(&error))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
