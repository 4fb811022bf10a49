//! Batches of records as an event source mapping hands them to a function, as large as Lambda takes them.

use std::sync::Arc;

use aws_lambda_events::streams::KinesisEventResponse;
use base64::{Engine, prelude::BASE64_STANDARD};
use headwater::{
    StoredEvent, StreamId, Version,
    aws::Clients,
    format::{
        commit::{Commit, Meta},
        identity::Identity,
        key,
        record::Record,
        view::View,
    },
    port::{Got, Objects},
};
use jiff::{Timestamp, ToSpan};
use localstack::PAYLOAD_LIMIT;
use serde_json::{Value, json, value::to_raw_value};

use super::{Error, bare::STORE};
use crate::cluster;

/// The shard that all of them arrive in.
const SHARD: &str = "shardId-000000000000";
/// When the first commit is decided; each is a millisecond later than the one before.
pub(super) const BEGIN: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// What stands around the records of an event.
const FRAME: usize = r#"{"Records":[]}"#.len();

/// As a caller sends it that traces.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// An event of a stream: its type and its data, of schema 1.
pub(super) type Happened = (&'static str, Value);

/// Streams of one kind that are written in turn, and what their records are like.
pub(super) struct Source {
    kind: &'static str,
    /// What the streams' ids begin with.
    pub(super) prefix: String,
    streams: u64,
    /// Commits of a record.
    commits: u64,
    /// Events of a commit.
    events: u64,
    /// The event of a version.
    event: fn(u64) -> Happened,
    /// Whose they are.
    store: Option<Identity>,
    /// Records so far.
    records: u64,
}

/// What one invocation gets.
pub(super) struct Batch {
    /// The event, as JSON.
    pub(super) payload: Vec<u8>,
    /// How many records are in it.
    pub(super) records: usize,
}

impl Source {
    /// Streams whose records hold one commit of one event.
    pub(super) fn new(kind: &'static str, prefix: &str, streams: usize, event: fn(u64) -> Happened) -> Self {
        let (prefix, streams) = (prefix.to_owned(), streams as u64);
        Self { kind, prefix, streams, commits: 1, events: 1, event, store: None, records: 0 }
    }

    /// With so many commits in a record, and so many events in each.
    pub(super) fn with(self, commits: u64, events: u64) -> Self {
        Self { commits, events, ..self }
    }

    /// Records that carry this store's id.
    pub(super) fn of(self, store: Option<Identity>) -> Self {
        Self { store, ..self }
    }

    /// As many batches as `records` need.
    pub(super) fn batches(&mut self, records: usize) -> Result<Vec<Batch>, Error> {
        let mut batches = Vec::new();
        let mut left = records;
        while left > 0 {
            let batch = self.batch(left)?;
            left -= batch.records;
            batches.push(batch);
        }
        Ok(batches)
    }

    /// A batch of so many records, or of as many as an invocation takes.
    pub(super) fn batch(&mut self, most: usize) -> Result<Batch, Error> {
        let begun = self.records;
        let records = (begun..).map(|number| {
            let (stream, record) = self.record(number)?;
            Ok(arrived(number, BEGIN, &stream, &record.encode()?))
        });
        let batch = full(most, PAYLOAD_LIMIT, records)?;
        self.records += batch.records as u64;
        Ok(batch)
    }

    /// An error unless the views of a projection hold all that was made so far: nothing is measured that was passed over.
    pub(super) async fn check(&self, clients: &Clients, projection: &str) -> Result<(), Error> {
        let bucket = clients.objects(STORE);
        for place in 0..self.streams.min(self.records) {
            let stream = self.stream(place)?;
            let turns = (self.records - place).div_ceil(self.streams);
            let last = Version::new(turns * self.commits * self.events);
            let Got::Found { body, .. } = bucket.get(&key::view(projection, stream.id()), None).await? else {
                return Err(format!("there is no view of {stream} in {projection}").into());
            };
            let view = View::<Value>::decode(&body)?;
            if view.applied(&stream) != last || !view.parked.is_empty() {
                let (applied, parked) = (view.applied(&stream), view.parked);
                return Err(
                    format!("{projection} has {stream} at {applied} of {last}, parked: {parked:?}").into()
                );
            }
        }
        Ok(())
    }

    fn stream(&self, place: u64) -> Result<StreamId, Error> {
        Ok(StreamId::new(self.kind, &format!("{}-{place}", self.prefix))?)
    }

    fn record(&self, number: u64) -> Result<(StreamId, Record), Error> {
        let (stream, turn) = (self.stream(number % self.streams)?, number / self.streams);
        let commits = (0..self.commits).map(|place| self.commit(&stream, turn * self.commits + place));
        let commits = commits.collect::<Result<_, Error>>()?;
        Ok((stream.clone(), Record::new(stream, commits).of(self.store.as_ref())))
    }

    fn commit(&self, stream: &StreamId, number: u64) -> Result<Arc<Commit>, Error> {
        let first = number * self.events + 1;
        let versions = first..first + self.events;
        let last = Version::new(versions.end - 1);
        let events = versions.map(|version| {
            let (name, data) = (self.event)(version);
            Ok(StoredEvent::new(name, 1, to_raw_value(&data)?)?)
        });
        Ok(Arc::new(Commit {
            id: format!("{}-{number:016}", stream.id()).parse()?,
            first: Version::new(first),
            last,
            at: BEGIN.checked_add(i64::try_from(number)?.milliseconds())?,
            events: events.collect::<Result<_, Error>>()?,
            meta: Meta::from_iter([("traceparent".to_owned(), Value::from(TRACEPARENT))]),
        }))
    }
}

/// A batch of the first of these records: of so many at most, and of as many bytes. The one that finds no room is lost.
pub(super) fn full(
    most: usize,
    bytes: usize,
    records: impl Iterator<Item = Result<String, Error>>,
) -> Result<Batch, Error> {
    let mut free = bytes.saturating_sub(FRAME);
    let mut fitting = Vec::new();
    for record in records.take(most) {
        let record = record?;
        if record.len() + 1 > free {
            break;
        }
        free -= record.len() + 1;
        fitting.push(record);
    }
    Ok(batch(&fitting))
}

/// The event of a batch.
pub(super) fn batch(records: &[String]) -> Batch {
    Batch {
        payload: format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes(),
        records: records.len(),
    }
}

/// One record of the event, as AWS writes it, with its number in the shard.
pub(super) fn arrived(number: u64, at: Timestamp, stream: &StreamId, data: &[u8]) -> String {
    let sequence = format!("49590338271490256608559692{number:030}");
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": stream.as_str(),
            "sequenceNumber": sequence,
            "data": BASE64_STANDARD.encode(data),
            "approximateArrivalTimestamp": at.as_millisecond() as f64 / 1e3,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{SHARD}:{sequence}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/local",
        "awsRegion": "us-east-1",
        "eventSourceARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", cluster::STREAM),
    })
    .to_string()
}

/// An error where anything must come again: a measurement is of batches that are taken in whole.
pub(super) fn taken(answer: &KinesisEventResponse) -> Result<(), Error> {
    match answer.batch_item_failures.as_slice() {
        [] => Ok(()),
        failures => Err(format!("a batch must come again: {failures:?}").into()),
    }
}
