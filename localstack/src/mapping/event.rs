//! What a function gets: the Kinesis event, exactly as AWS writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferrokinesis::types::StoredRecord;
use serde::Serialize;
use serde_json::value::RawValue;

/// The largest event, in bytes of JSON.
pub(crate) const EVENT_LIMIT: usize = crate::lambda::PAYLOAD_LIMIT;
/// What stands around the records.
const FRAME: usize = r#"{"Records":[]}"#.len();

/// One record, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) sequence: String,
    /// Where it stands in the order of reading (`progress`).
    pub(crate) place: u64,
    pub(crate) partition_key: String,
    /// Seconds since 1970.
    pub(crate) arrival: f64,
    json: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord<'a> {
    kinesis: KinesisPart<'a>,
    event_source: &'a str,
    event_version: &'a str,
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: &'a str,
    invoke_identity_arn: String,
    aws_region: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KinesisPart<'a> {
    kinesis_schema_version: &'a str,
    partition_key: &'a str,
    sequence_number: &'a str,
    data: &'a str,
    approximate_arrival_timestamp: f64,
}

/// Where a record comes from.
pub(crate) struct Origin<'a> {
    pub(crate) shard: &'a str,
    pub(crate) stream_arn: &'a str,
    pub(crate) region: &'a str,
}

impl Record {
    pub(crate) fn new(
        sequence: String,
        stored: StoredRecord,
        place: u64,
        origin: &Origin<'_>,
    ) -> Result<Self, serde_json::Error> {
        let json = serde_json::value::to_raw_value(&EventRecord {
            kinesis: KinesisPart {
                kinesis_schema_version: "1.0",
                partition_key: &stored.partition_key,
                sequence_number: &sequence,
                data: &stored.data,
                approximate_arrival_timestamp: stored.approximate_arrival_timestamp,
            },
            event_source: "aws:kinesis",
            event_version: "1.0",
            event_id: format!("{}:{sequence}", origin.shard),
            event_name: "aws:kinesis:record",
            invoke_identity_arn: format!("arn:aws:iam::{}:role/local", crate::kinesis::ACCOUNT),
            aws_region: origin.region,
            event_source_arn: origin.stream_arn,
        })?;
        let arrival = stored.approximate_arrival_timestamp;
        Ok(Self { sequence, place, partition_key: stored.partition_key, arrival, json })
    }

    /// Its share of an event, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.json.get().len() + 1
    }
}

/// What the records of a batch may add up to.
pub(crate) fn room() -> usize {
    EVENT_LIMIT - FRAME
}

/// The event of a batch.
pub(crate) fn event(batch: &[Record]) -> Vec<u8> {
    let records: Vec<&str> = batch.iter().map(|record| record.json.get()).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
}

/// A record's data; `None` if it is no base64, which Kinesis never gives.
pub(crate) fn data(stored: &StoredRecord) -> Option<Vec<u8>> {
    STANDARD.decode(&stored.data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::event::kinesis::KinesisEvent;

    #[test]
    fn an_event_is_read_as_awss() {
        let stored = StoredRecord {
            partition_key: "account/42".to_owned(),
            data: STANDARD.encode("hello"),
            approximate_arrival_timestamp: 1_795_289_400.0,
        };
        let stream_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/events";
        let origin = Origin { shard: "shardId-000000000000", stream_arn, region: "us-east-1" };
        let record = Record::new("4955".to_owned(), stored, 0, &origin).unwrap();
        let event = event(&[record.clone(), record]);
        let event: KinesisEvent = serde_json::from_slice(&event).unwrap();
        let read = &event.records[1];
        assert_eq!(read.event_id.as_deref(), Some("shardId-000000000000:4955"));
        assert_eq!(read.event_source_arn.as_deref(), Some(stream_arn));
        assert_eq!(read.kinesis.sequence_number, "4955");
        assert_eq!(read.kinesis.partition_key, "account/42");
        assert_eq!(read.kinesis.data.as_slice(), b"hello");
    }
}
