//! A stream of Kinesis as the [`Log`] port.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_kinesis::{
    operation::get_records::GetRecordsOutput,
    primitives::Blob,
    types::{
        PutRecordsRequestEntry, PutRecordsResultEntry, Record, Shard as KinesisShard, ShardIteratorType,
    },
};
use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    aws::{Clients, failure::Failure},
    port::{Arrival, Batch, Cursor, Entry, EntryError, Log, LogError, Position, Sequence, Shard, Start},
};

/// Most bytes that Kinesis gives in one call.
const READ_BYTES: usize = 10 << 20;

/// A Kinesis stream; cheap to clone.
#[derive(Debug, Clone)]
pub struct AwsLog {
    clients: Clients,
    stream: Arc<str>,
}

impl AwsLog {
    pub(super) fn new(clients: &Clients, stream: String) -> Self {
        Self { clients: clients.clone(), stream: stream.into() }
    }

    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    fn failed(&self, failure: Failure) -> LogError {
        match failure {
            Failure::Unknown(reason) => LogError::Unknown(reason),
            Failure::Refused { code, .. } if code == "ExpiredIteratorException" => LogError::Expired,
            Failure::Refused { status, code, message, source } => {
                let what = format!("stream {} at {}", self.stream, self.clients.place);
                LogError::Refused(Failure::refusal(&what, status, (&code, &message), source))
            }
        }
    }

    fn batch(shard: &str, answer: GetRecordsOutput) -> Result<Batch, LogError> {
        let records = answer.records.into_iter().map(|record| arrival(shard, record));
        let behind = answer.millis_behind_latest.and_then(|behind| u64::try_from(behind).ok());
        Ok(Batch {
            records: records.collect::<Result<_, _>>()?,
            next: answer.next_shard_iterator.map(|token| Cursor { shard: shard.to_owned(), token }),
            behind: Duration::from_millis(behind.unwrap_or_default()),
        })
    }
}

fn unreadable(operation: &str, field: &str) -> LogError {
    LogError::Unknown(format!("{operation} was answered without a {field} that can be read").into())
}

fn request(entry: &Entry) -> Result<PutRecordsRequestEntry, LogError> {
    let data = Blob::new(entry.data.to_vec());
    let built = PutRecordsRequestEntry::builder().partition_key(&entry.key).data(data).build();
    built.map_err(|error| LogError::Refused(error.into()))
}

fn position(answer: PutRecordsResultEntry) -> Result<Result<Position, EntryError>, LogError> {
    if let Some(code) = answer.error_code {
        return Ok(Err(EntryError { code, message: answer.error_message.unwrap_or_default() }));
    }
    let shard = answer.shard_id.ok_or_else(|| unreadable("PutRecords", "shard id"))?;
    let sequence = answer.sequence_number.and_then(|digits| Sequence::try_from(digits).ok());
    let sequence = sequence.ok_or_else(|| unreadable("PutRecords", "sequence number"))?;
    Ok(Ok(Position { shard, sequence }))
}

fn arrival(shard: &str, record: Record) -> Result<Arrival, LogError> {
    let at = record.approximate_arrival_timestamp.and_then(|time| time.to_millis().ok());
    let at = at.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let sequence = Sequence::try_from(record.sequence_number);
    Ok(Arrival {
        shard: shard.to_owned(),
        sequence: sequence.map_err(|_| unreadable("GetRecords", "sequence number"))?,
        at: at.ok_or_else(|| unreadable("GetRecords", "time of arrival"))?,
        key: record.partition_key.ok_or_else(|| unreadable("GetRecords", "partition key"))?,
        data: Bytes::from(record.data.into_inner()),
    })
}

fn shard(shard: KinesisShard) -> Shard {
    let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
    let closed = shard.sequence_number_range.is_some_and(|range| range.ending_sequence_number.is_some());
    Shard { id: shard.shard_id, parents: parents.into_iter().flatten().collect(), closed }
}

#[async_trait]
impl Log for AwsLog {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        let bytes = entries.iter().map(|entry| entry.key.len() + entry.data.len()).sum();
        let records = entries.iter().map(request).collect::<Result<Vec<_>, _>>()?;
        let call = self.clients.kinesis.put_records().stream_name(&*self.stream).set_records(Some(records));
        let answer = self.clients.ask(bytes, call.send()).await.map_err(|failure| self.failed(failure))?;
        if answer.records.len() != entries.len() {
            return Err(unreadable("PutRecords", "result per entry"));
        }
        answer.records.into_iter().map(position).collect()
    }

    async fn shards(&self) -> Result<Vec<Shard>, LogError> {
        let mut shards = Vec::new();
        let mut more = None;
        loop {
            let call = self.clients.kinesis.list_shards();
            let call = match more {
                // The token stands for the stream; Kinesis refuses both together.
                Some(token) => call.next_token(token),
                None => call.stream_name(&*self.stream),
            };
            let answer = self.clients.ask(0, call.send()).await.map_err(|failure| self.failed(failure))?;
            shards.extend(answer.shards.unwrap_or_default().into_iter().map(shard));
            more = answer.next_token;
            if more.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        let call = self.clients.kinesis.get_shard_iterator().stream_name(&*self.stream).shard_id(shard);
        let call = match start {
            Start::Oldest => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Start::Latest => call.shard_iterator_type(ShardIteratorType::Latest),
            Start::After(sequence) => call
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(sequence.as_str()),
        };
        let token =
            self.clients.ask(0, call.send()).await.map_err(|failure| self.failed(failure))?.shard_iterator;
        let token = token.ok_or_else(|| unreadable("GetShardIterator", "iterator"))?;
        Ok(Cursor { shard: shard.to_owned(), token })
    }

    async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
        let limit = i32::try_from(most).unwrap_or(i32::MAX);
        let call = self.clients.kinesis.get_records().shard_iterator(&cursor.token).limit(limit);
        let answer =
            self.clients.ask(READ_BYTES, call.send()).await.map_err(|failure| self.failed(failure))?;
        Self::batch(&cursor.shard, answer)
    }
}
