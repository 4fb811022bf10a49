//! The Lambda function: one invocation is a batch of records, as a mapping hands it out.
//!
//! 1. Sort the records by shard; a mapping hands out one shard at a time.
//! 2. Archive each shard's batch.
//! 3. Where the world failed, report the first record that is not archived: the mapping begins there again. It must be
//!    set up with `ReportBatchItemFailures`, unlimited retries and age, without bisecting, without a filter, and with one
//!    batch per shard at a time ([`chain`](crate::chain) says what rests on it).
//!
//! An event that can't be read at all, or came by another stream, fails the invocation, and comes again whole; so does one whose shards can't be told
//! apart in a report.

use std::collections::BTreeMap;

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};
use headwater::{
    aws::{InvalidRecord, WrongStream, arrival, check_stream},
    port::Arrival,
    redact::json_fault,
};
use serde_json::value::RawValue;

use crate::archive::{Archiver, Interrupted};

/// Why an invocation failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// It is not what a mapping sends; what it holds is not said.
    #[error("the event is none of a Kinesis event source mapping: {0}")]
    Event(String),
    /// The event is not a mapping's.
    #[error(transparent)]
    Record(#[from] InvalidRecord),
    /// It came by another stream.
    #[error(transparent)]
    Stream(#[from] WrongStream),
    /// Not archived, and the event has more than one shard: a report can name a place in one only.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Reads what a mapping sends.
///
/// # Errors
///
/// It is something else.
pub fn read(payload: &RawValue) -> Result<KinesisEvent, HandlerError> {
    serde_json::from_str(payload.get()).map_err(|error| HandlerError::Event(json_fault(&error)))
}

/// Archives the records of one event.
pub async fn handle(archiver: &Archiver, event: KinesisEvent) -> Result<KinesisEventResponse, HandlerError> {
    check_stream(&event, archiver.stream())?;
    let mut shards: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for record in event.records {
        let arrival = arrival(record)?;
        shards.entry(arrival.shard.clone()).or_default().push(arrival);
    }
    let single = shards.len() == 1;
    let mut response = KinesisEventResponse::default();
    for (shard, batch) in shards {
        match archiver.archive(&shard, &batch).await {
            Ok(outcome) => tracing::info!(shard, ?outcome, "archived"),
            Err(interrupted) if single => {
                tracing::error!(shard, error = %interrupted, "not archived");
                response.add_failure(interrupted.from.as_str());
            }
            Err(interrupted) => return Err(interrupted.into()),
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headwater::{
        memory::{Fault, FaultyObjects, Operation, World},
        port::ObjectError,
    };

    use super::*;
    use crate::archive::lab::{SHARD, STREAM, archiver, arrival, at, bucket, chain, check, commit};

    #[test]
    fn what_no_mapping_sends_is_refused_without_what_is_in_it() {
        for payload in [r#""CANARY""#, r#"{"Records":"CANARY"}"#, r#"{"Records":[{"kinesis":"CANARY"}]}"#] {
            let payload = RawValue::from_string(payload.to_owned()).expect("JSON");
            let refused = read(&payload).expect_err("it is refused").to_string();
            assert!(refused.contains("invalid type: string") && !refused.contains("CANARY"), "{refused}");
        }
    }

    fn event(records: &[Arrival]) -> KinesisEvent {
        let base64 = |data: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, data);
        let record = |arrival: &Arrival| {
            serde_json::json!({
                "eventID": format!("{}:{}", arrival.shard, arrival.sequence),
                "eventSourceARN": format!("arn:aws:kinesis:eu-central-1:111122223333:stream/{STREAM}"),
                "kinesis": {
                    "approximateArrivalTimestamp": 1_795_262_400.5,
                    "data": base64(&arrival.data),
                    "partitionKey": arrival.key,
                    "sequenceNumber": arrival.sequence.as_str(),
                },
            })
        };
        let records: Vec<_> = records.iter().map(record).collect();
        serde_json::from_value(serde_json::json!({ "Records": records })).expect("an event")
    }

    fn records() -> Vec<Arrival> {
        let record =
            |number| arrival(number, at("2026-11-21T12:00:00Z"), "account/1", vec![commit(number, 1)]);
        (1..=3).map(record).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_archived_and_nothing_reported() {
        let world = World::new(1);
        let objects = bucket(&world);
        let response = handle(&archiver(&world, objects.clone()), event(&records())).await.expect("handles");
        assert!(response.batch_item_failures.is_empty());
        check(&objects, &records()).expect("H10");
        assert_eq!(chain(&objects, SHARD).expect("a chain").1.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_of_the_world_reports_the_first_record_that_is_not_archived() {
        let world = World::new(1);
        let objects = FaultyObjects::new(bucket(&world));
        let down = ObjectError::Unknown("down".into());
        objects.faults().hook(move |call| match call.operation {
            Operation::Put => Fault::Before(down.clone()),
            _ => Fault::None,
        });
        let archiver = archiver(&world, Arc::new(objects.clone()));
        let response = handle(&archiver, event(&records())).await.expect("reports");
        let reported: Vec<_> =
            response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect();
        assert_eq!(reported, [Some(records()[0].sequence.to_string())]);
        let mut two = records();
        two[2].shard = "shardId-000000000001".to_owned();
        handle(&archiver, event(&two)).await.expect_err("two shards can't be told apart");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_of_another_stream_is_refused_and_nothing_is_written() {
        let world = World::new(1);
        let objects = bucket(&world);
        let mut event = event(&records());
        event.records[2].event_source_arn = Some("arn:aws:kinesis:a:1:stream/another".to_owned());
        let error = handle(&archiver(&world, objects.clone()), event).await.expect_err("another stream");
        assert!(matches!(error, HandlerError::Stream(_)), "{error}");
        assert!(objects.all("").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_no_mappings_fails_as_a_whole() {
        let world = World::new(1);
        let mut event = event(&records());
        event.records[1].event_id = None;
        let error = handle(&archiver(&world, bucket(&world)), event).await.expect_err("no shard");
        assert!(matches!(error, HandlerError::Record(_)));
    }
}
