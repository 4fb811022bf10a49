//! A record as an event source mapping hands it to a Lambda function.

use aws_lambda_events::kinesis::{KinesisEvent, KinesisEventRecord};
use bytes::Bytes;
use jiff::Timestamp;

use crate::port::{Arrival, Sequence};

/// A record of a Lambda event that lacks what every record of Kinesis has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record {event_id:?} has no {field} that can be read: is the function invoked by a Kinesis event source mapping?"
)]
pub struct InvalidRecord {
    /// The record's `eventID`; empty where it has none.
    pub event_id: String,
    /// What is missing, as `shard id`.
    pub field: &'static str,
}

/// Reads one record of a Lambda event; the shard stands in its `eventID`, `shardId-000000000000:sequence`.
pub fn arrival(record: KinesisEventRecord) -> Result<Arrival, InvalidRecord> {
    let event_id = record.event_id.unwrap_or_default();
    let invalid = |field| InvalidRecord { event_id: event_id.clone(), field };
    let kinesis = record.kinesis;
    let shard = event_id.split_once(':').map(|(shard, _)| shard).filter(|shard| is_name(shard));
    let shard = shard.ok_or_else(|| invalid("shard id"))?.to_owned();
    let sequence = Sequence::try_from(kinesis.sequence_number).map_err(|_| invalid("sequence number"))?;
    let millis = kinesis.approximate_arrival_timestamp.timestamp_millis();
    let at = Timestamp::from_millisecond(millis).map_err(|_| invalid("time of arrival"))?;
    if kinesis.partition_key.is_empty() {
        return Err(invalid("partition key"));
    }
    Ok(Arrival { shard, sequence, at, key: kinesis.partition_key, data: Bytes::from(kinesis.data.0) })
}

/// A record of a Lambda event that came by another stream than the function's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record {event_id:?} comes from {arn:?}, and this function reads the Kinesis stream {stream}: check its event source mapping"
)]
pub struct WrongStream {
    /// The record's `eventID`; empty where it has none.
    pub event_id: String,
    /// The record's `eventSourceARN`; empty where it has none.
    pub arn: String,
    /// The stream that the function is told to read.
    pub stream: String,
}

/// Checks that every record of an event came by the Kinesis stream of this name, or by a consumer of it.
///
/// # Errors
///
/// One came by another stream, or does not say by which.
pub fn check_stream(event: &KinesisEvent, stream: &str) -> Result<(), WrongStream> {
    for record in &event.records {
        let arn = record.event_source_arn.as_deref().unwrap_or_default();
        let name = arn.strip_prefix("arn:").and_then(|arn| arn.split_once(":stream/"));
        let name = name.map(|(_, name)| name.split_once('/').map_or(name, |(name, _)| name));
        if name != Some(stream) {
            let event_id = record.event_id.clone().unwrap_or_default();
            return Err(WrongStream { event_id, arn: arn.to_owned(), stream: stream.to_owned() });
        }
    }
    Ok(())
}

/// Whether Kinesis has shards of this name: it becomes a part of keys.
fn is_name(shard: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&shard.len()) && shard.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> serde_json::Value {
        serde_json::json!({
            "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            "eventSource": "aws:kinesis",
            "kinesis": {
                "approximateArrivalTimestamp": 1_545_084_650.987,
                "data": "e30=",
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "account/42",
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            },
        })
    }

    fn parse(record: serde_json::Value) -> Result<Arrival, InvalidRecord> {
        arrival(serde_json::from_value(record).expect("a record"))
    }

    #[test]
    fn a_record_of_a_mapping_is_an_arrival() {
        let arrival = parse(record()).expect("an arrival");
        assert_eq!(arrival.shard, "shardId-000000000006");
        assert_eq!(arrival.sequence.as_str().len(), 56);
        assert_eq!(arrival.at.as_millisecond(), 1_545_084_650_987);
        assert_eq!((arrival.key.as_str(), &*arrival.data), ("account/42", b"{}".as_slice()));
    }

    #[test]
    fn a_record_of_another_stream_is_refused() {
        let by = |arn: Option<&str>| {
            let mut record = record();
            record["eventSourceARN"] = arn.into();
            let event = serde_json::json!({"Records": [record]});
            check_stream(&serde_json::from_value(event).expect("an event"), "events")
        };
        for ours in [
            "arn:aws:kinesis:eu-central-1:111122223333:stream/events",
            "arn:aws-cn:kinesis:cn-north-1:111122223333:stream/events/consumer/balance:1545084650",
        ] {
            assert_eq!(by(Some(ours)), Ok(()), "{ours}");
        }
        for other in [
            "arn:aws:kinesis:eu-central-1:111122223333:stream/events2",
            "arn:aws:kinesis:eu-central-1:111122223333:stream/other/consumer/events",
            "arn:aws:dynamodb:eu-central-1:111122223333:table/events",
            "events",
        ] {
            let refused = by(Some(other)).expect_err(other).to_string();
            assert!(refused.contains(other) && refused.contains("the Kinesis stream events"), "{refused}");
        }
        assert!(by(None).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pointer, value, field) in [
            ("/eventID", "shardId-1", "shard id"),
            ("/eventID", "a/b:1", "shard id"),
            ("/kinesis/sequenceNumber", "x", "sequence number"),
            ("/kinesis/partitionKey", "", "partition key"),
        ] {
            let mut record = record();
            *record.pointer_mut(pointer).expect("a field") = value.into();
            assert_eq!(parse(record).expect_err(field).field, field);
        }
    }
}
