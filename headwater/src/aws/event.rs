//! A record as an event source mapping hands it to a Lambda function.

use aws_lambda_events::kinesis::KinesisEventRecord;
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
