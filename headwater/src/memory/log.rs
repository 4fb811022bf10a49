//! Kinesis in memory: shards that own ranges of the MD5 of the partition key, as Kinesis' do, and can be split and merged.
//!
//! Sequence numbers grow over all shards. The first hundred have 56 digits, as on AWS, and the rest 57, so that whoever
//! compares them as text is found out. A cursor says which record it stands behind, and expires after five minutes.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use md5::{Digest, Md5};
use tokio::task::yield_now;

use crate::{
    limits,
    memory::lock,
    port::{
        Arrival, Batch, Clock, Cursor, Entry, EntryError, Log, LogError, Position, Sequence, Shard, Start,
    },
};

/// Most bytes that Kinesis takes in one call.
const CALL_BYTES: usize = 10 << 20;
/// Most records that Kinesis gives in one call.
const READ_RECORDS: usize = 10_000;
/// How long a cursor is good for.
const CURSOR_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// A Kinesis stream in memory, without limits of throughput.
pub struct MemoryLog {
    clock: Arc<dyn Clock>,
    stream: Mutex<Stream>,
}

#[derive(Default)]
struct Stream {
    shards: Vec<ShardState>,
    opened: usize,
    /// Records put so far: a record's number is its place in this count.
    put: u64,
}

struct ShardState {
    id: String,
    parents: Vec<String>,
    /// First and last key hash that it owns.
    hashes: (u128, u128),
    closed: bool,
    records: Vec<(u64, Arrival)>,
}

impl MemoryLog {
    /// An empty stream of at least one shard, which share the keys' hashes evenly.
    pub fn new(clock: Arc<dyn Clock>, shards: usize) -> Self {
        let mut stream = Stream::default();
        let count = shards.max(1) as u128;
        let width = u128::MAX / count;
        for index in 0..count {
            let last = if index + 1 == count { u128::MAX } else { (index + 1) * width - 1 };
            stream.open(Vec::new(), (index * width, last));
        }
        Self { clock, stream: Mutex::new(stream) }
    }

    /// Every record that is kept, over all shards in the order of arrival: for looking behind the port.
    pub fn records(&self) -> Vec<Arrival> {
        let stream = lock(&self.stream);
        let mut records: Vec<_> = stream.shards.iter().flat_map(|shard| shard.records.iter()).collect();
        records.sort_by_key(|(number, _)| *number);
        records.into_iter().map(|(_, arrival)| arrival.clone()).collect()
    }

    /// Splits an open shard into two that share its hashes, and tells their ids.
    pub fn split(&self, shard: &str) -> Result<[String; 2], LogError> {
        let mut stream = lock(&self.stream);
        let (first, last) = stream.open_shard(shard)?.hashes;
        let middle = first + (last - first) / 2;
        if middle == last {
            return Err(LogError::Refused(format!("{shard} owns one hash, and cannot be split").into()));
        }
        stream.open_shard(shard)?.closed = true;
        let parents = vec![shard.to_owned()];
        Ok([stream.open(parents.clone(), (first, middle)), stream.open(parents, (middle + 1, last))])
    }

    /// Merges two open shards whose hashes are adjacent, and tells the id of the one that they become.
    pub fn merge(&self, one: &str, other: &str) -> Result<String, LogError> {
        let mut stream = lock(&self.stream);
        let (a, b) = (stream.open_shard(one)?.hashes, stream.open_shard(other)?.hashes);
        let hashes = (a.0.min(b.0), a.1.max(b.1));
        if a.1.checked_add(1) != Some(b.0) && b.1.checked_add(1) != Some(a.0) {
            return Err(LogError::Refused(format!("{one} and {other} are not adjacent").into()));
        }
        stream.open_shard(one)?.closed = true;
        stream.open_shard(other)?.closed = true;
        Ok(stream.open(vec![one.to_owned(), other.to_owned()], hashes))
    }

    /// Forgets the records that arrived before `time`, and closed shards that hold no more: the end of their retention.
    pub fn trim(&self, time: Timestamp) {
        let mut stream = lock(&self.stream);
        for shard in &mut stream.shards {
            shard.records.retain(|(_, arrival)| arrival.at >= time);
        }
        stream.shards.retain(|shard| !shard.closed || !shard.records.is_empty());
    }

    fn put_now(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        check(entries)?;
        let at = self.clock.now();
        let mut stream = lock(&self.stream);
        entries.iter().map(|entry| stream.put(entry, at).map(Ok)).collect()
    }

    fn shards_now(&self) -> Vec<Shard> {
        let stream = lock(&self.stream);
        let shards = stream.shards.iter().map(|shard| Shard {
            id: shard.id.clone(),
            parents: shard.parents.clone(),
            closed: shard.closed,
        });
        shards.collect()
    }

    fn cursor_now(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        let stream = lock(&self.stream);
        let records = &stream.shard(shard)?.records;
        let behind = match start {
            Start::Oldest => 0,
            Start::After(sequence) => {
                let count = records.partition_point(|(_, arrival)| arrival.sequence <= *sequence);
                count.checked_sub(1).and_then(|last| records.get(last)).map_or(0, |(number, _)| *number)
            }
            Start::Latest => stream.put,
        };
        Ok(self.cursor_behind(shard, behind))
    }

    fn read_now(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
        if !(1..=READ_RECORDS).contains(&most) {
            return Err(LogError::Refused(format!("a read asks for 1 to 10,000 records, not {most}").into()));
        }
        let now = self.clock.now();
        let behind = place(cursor, now)?;
        let stream = lock(&self.stream);
        let shard = stream.shard(&cursor.shard)?;
        let begin = shard.records.partition_point(|(number, _)| *number <= behind);
        let end = shard.records.len().min(begin + most);
        let unread = shard.records.get(end).map(|(_, arrival)| now.duration_since(arrival.at));
        let taken = shard.records.get(begin..end).unwrap_or_default();
        let last = taken.last().map_or(behind, |(number, _)| *number);
        let next = (unread.is_some() || !shard.closed).then(|| self.cursor_behind(&cursor.shard, last));
        let behind = unread.map_or(Duration::ZERO, |age| {
            Duration::try_from(age).unwrap_or_default().max(Duration::from_millis(1))
        });
        Ok(Batch { records: taken.iter().map(|(_, arrival)| arrival.clone()).collect(), next, behind })
    }

    fn cursor_behind(&self, shard: &str, number: u64) -> Cursor {
        let token = format!("{number}@{}", self.clock.now().as_millisecond());
        Cursor { shard: shard.to_owned(), token }
    }
}

impl Stream {
    fn open(&mut self, parents: Vec<String>, hashes: (u128, u128)) -> String {
        let id = format!("shardId-{:012}", self.opened);
        self.opened += 1;
        let records = Vec::new();
        self.shards.push(ShardState { id: id.clone(), parents, hashes, closed: false, records });
        id
    }

    fn shard(&self, id: &str) -> Result<&ShardState, LogError> {
        self.shards.iter().find(|shard| shard.id == id).ok_or_else(|| no_shard(id))
    }

    fn open_shard(&mut self, id: &str) -> Result<&mut ShardState, LogError> {
        let open = |shard: &&mut ShardState| shard.id == id && !shard.closed;
        self.shards.iter_mut().find(open).ok_or_else(|| no_shard(id))
    }

    fn put(&mut self, entry: &Entry, at: Timestamp) -> Result<Position, LogError> {
        let hash = hash(&entry.key);
        let owns =
            |shard: &&mut ShardState| !shard.closed && (shard.hashes.0..=shard.hashes.1).contains(&hash);
        let shard = self.shards.iter_mut().find(owns).ok_or_else(|| no_shard(&entry.key))?;
        let sequence = sequence(self.put)?;
        self.put += 1;
        let position = Position { shard: shard.id.clone(), sequence: sequence.clone() };
        let (key, data) = (entry.key.clone(), entry.data.clone());
        shard.records.push((self.put, Arrival { shard: shard.id.clone(), sequence, at, key, data }));
        Ok(position)
    }
}

/// The limits of `PutRecords`, which refuses the whole call.
fn check(entries: &[Entry]) -> Result<(), LogError> {
    let refused = |reason: String| Err(LogError::Refused(reason.into()));
    if !(1..=limits::PUT_RECORDS).contains(&entries.len()) {
        return refused(format!("a call puts 1 to {} records, not {}", limits::PUT_RECORDS, entries.len()));
    }
    let sizes = || entries.iter().map(|entry| entry.key.len() + entry.data.len());
    if let Some(bytes) = sizes().find(|bytes| *bytes > limits::RECORD_BYTES) {
        return refused(format!("a record has at most {} bytes, not {bytes}", limits::RECORD_BYTES));
    }
    if sizes().sum::<usize>() > CALL_BYTES {
        return refused(format!("a call puts at most {CALL_BYTES} bytes"));
    }
    if entries.iter().any(|entry| !(1..=256).contains(&entry.key.chars().count())) {
        return refused("a partition key has 1 to 256 characters".to_owned());
    }
    Ok(())
}

/// The number of the record that a cursor stands behind.
fn place(cursor: &Cursor, now: Timestamp) -> Result<u64, LogError> {
    let parts = cursor.token.split_once('@');
    let parsed = parts.and_then(|(number, made)| {
        let made = Timestamp::from_millisecond(made.parse().ok()?).ok()?;
        Some((number.parse().ok()?, made))
    });
    match parsed {
        Some((_, made)) if now.duration_since(made) > CURSOR_LIFE => Err(LogError::Expired),
        Some((number, _)) => Ok(number),
        None => Err(LogError::Refused(format!("{:?} is no cursor", cursor.token).into())),
    }
}

/// MD5, as Kinesis takes it.
fn hash(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key.as_bytes()).into())
}

/// 10^56 - 100 + `number`.
fn sequence(number: u64) -> Result<Sequence, LogError> {
    let digits = match number.checked_sub(100) {
        None => format!("{}{number:02}", "9".repeat(54)),
        Some(over) => format!("1{over:056}"),
    };
    Sequence::try_from(digits).map_err(|error| LogError::Refused(error.into()))
}

fn no_shard(id: &str) -> LogError {
    LogError::Refused(format!("ResourceNotFoundException: no such shard here: {id}").into())
}

#[async_trait]
impl Log for MemoryLog {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        yield_now().await;
        let put = self.put_now(entries);
        yield_now().await;
        put
    }

    async fn shards(&self) -> Result<Vec<Shard>, LogError> {
        yield_now().await;
        Ok(self.shards_now())
    }

    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        yield_now().await;
        self.cursor_now(shard, start)
    }

    async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
        yield_now().await;
        let batch = self.read_now(cursor, most);
        yield_now().await;
        batch
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::ManualClock;

    fn log(shards: usize) -> (Arc<ManualClock>, MemoryLog) {
        let clock = Arc::new(ManualClock::standing());
        (clock.clone(), MemoryLog::new(clock, shards))
    }

    fn entry(key: &str) -> Entry {
        Entry { key: key.to_owned(), data: "{}".into() }
    }

    #[tokio::test]
    async fn the_hundredth_record_has_a_longer_sequence_number() {
        let (_, log) = log(1);
        let entries: Vec<Entry> = (0..300).map(|n| entry(&format!("a/{n}"))).collect();
        log.put(&entries).await.expect("put");
        let sequences: Vec<Sequence> = log.records().into_iter().map(|arrival| arrival.sequence).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b));
        assert_eq!((sequences[99].as_str().len(), sequences[100].as_str().len()), (56, 57));
    }

    #[tokio::test]
    async fn a_cursor_expires_and_a_new_one_goes_on() {
        let (clock, log) = log(1);
        log.put(&[entry("a/1"), entry("a/2")]).await.expect("put");
        let shard = log.shards().await.expect("shards").remove(0).id;
        let cursor = log.cursor(&shard, &Start::Oldest).await.expect("cursor");
        let first = log.read(&cursor, 1).await.expect("read");
        assert!(first.behind > Duration::ZERO);
        clock.advance(Duration::from_secs(301));
        let next = first.next.expect("more");
        assert_eq!(log.read(&next, 1).await, Err(LogError::Expired));
        let start = Start::After(first.records[0].sequence.clone());
        let cursor = log.cursor(&shard, &start).await.expect("cursor");
        assert_eq!(log.read(&cursor, 1).await.expect("read").records[0].key, "a/2");
    }

    #[tokio::test]
    async fn hashes_stay_owned_through_splits_and_merges() {
        let (clock, log) = log(3);
        let [left, right] = log.split("shardId-000000000001").expect("split");
        let merged = log.merge(&right, "shardId-000000000002").expect("merge");
        assert!(log.merge(&left, "shardId-000000000000").is_ok());
        assert!(log.split(&right).is_err(), "closed");
        let entries: Vec<Entry> = (0..500).map(|n| entry(&format!("a/{n}"))).collect();
        assert!(log.put(&entries).await.expect("put").iter().all(Result::is_ok));
        assert!(log.shards().await.expect("shards").iter().any(|shard| shard.id == merged && !shard.closed));
        clock.advance(Duration::from_secs(1));
        log.trim(clock.now());
        assert_eq!(log.shards().await.expect("shards").len(), 2, "closed and empty shards are gone");
        assert!(log.records().is_empty());
    }
}
