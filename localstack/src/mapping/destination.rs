//! What was given up, kept in a bucket as AWS keeps it.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::Source;
use super::event::{Record, event};

/// Why records are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// Writes the invocation record of a batch; without a destination it is only logged.
pub(crate) async fn keep(
    source: &Source,
    shard: &str,
    stream_arn: &str,
    batch: &[Record],
    cause: Cause,
    invoked: u32,
) {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
    let (stream, count) = (&source.options.stream, batch.len());
    tracing::warn!(%stream, %shard, from = %first.sequence, to = %last.sequence, count, "records were given up");
    let Some(bucket) = &source.options.on_failure_destination else { return };
    let now = Timestamp::now();
    let mut document = json!({
        "requestContext": {
            "requestId": uuid::Uuid::new_v4().to_string(),
            "functionArn": source.functions.arn(&source.options.function),
            "condition": cause.name(),
            "approximateInvokeCount": invoked,
        },
        "version": "1.0",
        "timestamp": format!("{now:.3}"),
        "KinesisBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": arrival(first),
            "approximateArrivalOfLastRecord": arrival(last),
            "batchSize": count,
            "streamArn": stream_arn,
        },
        "payload": String::from_utf8_lossy(&event(batch)),
    });
    if invoked > 0 {
        document["responseContext"] =
            json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" });
    }
    let (uuid, unique) = (source.progress.uuid(), uuid::Uuid::new_v4());
    let key = format!("aws/lambda/{uuid}/{shard}/{}-{unique}", now.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S"));
    let body = Bytes::from(document.to_string());
    if let Err(error) = source.services.put(bucket, &key, body).await {
        tracing::error!(%error, %bucket, "what was given up could not be kept");
    }
}

fn arrival(record: &Record) -> String {
    let seconds =
        Timestamp::try_from(std::time::UNIX_EPOCH + std::time::Duration::from_secs_f64(record.arrival));
    seconds.map(|time| format!("{time:.3}")).unwrap_or_default()
}
