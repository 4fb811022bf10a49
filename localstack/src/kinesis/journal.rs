//! Streams and records on disk: one line of JSON for each change, appended before the answer.
//!
//! The crate that holds the streams can keep them itself, but writes its whole state for every record. Here:
//!
//! 1. after a write, everything that the store holds and the journal does not is appended;
//! 2. at the start the journal is read back: streams, records with their own sequence numbers, and the counters
//!    from which the next sequence numbers come;
//! 3. then it is written anew without what retention has expired, and renamed into place.
//!
//! A last line that was cut short by a crash was never answered, and is left out.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::Path;

use ferrokinesis::persistence::PersistentStream;
use ferrokinesis::sequence::{parse_sequence, shard_ix_to_hex};
use ferrokinesis::store::Store;
use ferrokinesis::types::{StoredRecordRef, Stream};
use serde::{Deserialize, Serialize};

const FILE: &str = "journal.jsonl";
const WRITING: &str = "journal.jsonl.writing";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Stream(Box<PersistentStream>),
    Deleted(String),
    Record(Record),
}

/// One record, under the key that orders it within its stream: `{shard}/{sequence number}`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    stream: String,
    key: String,
    partition_key: String,
    data: String,
    arrival: f64,
}

/// The open journal and how far it goes.
pub(crate) struct Journal {
    file: BufWriter<File>,
    /// Every stream as it was written last.
    streams: BTreeMap<String, String>,
    /// The last key written per stream and shard.
    last: BTreeMap<(String, String), String>,
}

impl Journal {
    /// Reads the journal into an empty store and goes on with a fresh one.
    pub(crate) async fn restore(directory: &Path, store: &Store) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let (streams, records) = read(&directory.join(FILE))?;
        for (name, persistent) in streams {
            let (_, stream, counters) = persistent.into_parts();
            store.put_stream(&name, stream.clone()).await.map_err(io::Error::other)?;
            let no_records = BTreeMap::new();
            let records = records.get(&name).unwrap_or(&no_records);
            for (key, record) in records {
                let stored = StoredRecordRef {
                    partition_key: &record.partition_key,
                    data: &record.data,
                    approximate_arrival_timestamp: record.arrival,
                };
                store.put_record(&name, key, &stored).await.map_err(io::Error::other)?;
            }
            continue_counters(store, &name, &stream, &counters, records).await?;
            store.delete_expired_records(&name, stream.retention_period_hours).await;
        }

        let writing = directory.join(WRITING);
        let mut journal = Self {
            file: BufWriter::new(OpenOptions::new().create(true).write(true).truncate(true).open(&writing)?),
            streams: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        let mut streams = Vec::new();
        for name in store.list_stream_names().await {
            if let Ok(stream) = store.get_stream(&name).await {
                streams.push((name, stream));
            }
        }
        journal.streams(store, &streams).await?;
        journal.records(store, None).await?;
        fs::rename(writing, directory.join(FILE))?;
        Ok(journal)
    }

    /// Appends what changed in the streams; a stream that is not given was deleted.
    pub(crate) async fn streams(&mut self, store: &Store, streams: &[(String, Stream)]) -> io::Result<()> {
        let gone: Vec<String> = self
            .streams
            .keys()
            .filter(|name| !streams.iter().any(|(kept, _)| kept == *name))
            .cloned()
            .collect();
        for name in gone {
            self.streams.remove(&name);
            self.last.retain(|(stream, _), _| *stream != name);
            self.append(&Line::Deleted(name))?;
        }
        for (name, stream) in streams {
            let mut counters = Vec::new();
            for shard in 0..stream.shards.len() {
                counters.push(store.current_shard_seq(name, i64::try_from(shard).unwrap_or(i64::MAX)).await);
            }
            let line = Line::Stream(Box::new(PersistentStream::from_stream(name.clone(), stream, counters)));
            let text = serde_json::to_string(&line)?;
            if self.streams.get(name) != Some(&text) {
                writeln!(self.file, "{text}")?;
                self.streams.insert(name.clone(), text);
            }
        }
        self.file.flush()
    }

    /// Appends the new records of one stream, or of all.
    pub(crate) async fn records(&mut self, store: &Store, stream: Option<&str>) -> io::Result<()> {
        let names = match stream {
            Some(name) => vec![name.to_owned()],
            None => store.list_stream_names().await,
        };
        for name in names {
            let Ok(stream) = store.get_stream(&name).await else { continue };
            for shard in 0..stream.shards.len() {
                let index = i64::try_from(shard).unwrap_or(i64::MAX - 1);
                let hex = shard_ix_to_hex(index);
                let position = (name.clone(), hex);
                let begin = match self.last.get(&position) {
                    Some(last) => format!("{last}\0"),
                    None => format!("{}/", position.1),
                };
                let found = store.get_records_range(&name, &begin, &shard_ix_to_hex(index + 1)).await;
                let newest = found.last().map(|(key, _)| key.clone());
                for (key, record) in found {
                    self.append(&Line::Record(Record {
                        stream: name.clone(),
                        key,
                        partition_key: record.partition_key,
                        data: record.data,
                        arrival: record.approximate_arrival_timestamp,
                    }))?;
                }
                if let Some(newest) = newest {
                    self.last.insert(position, newest);
                }
            }
        }
        self.file.flush()
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }
}

type Streams = BTreeMap<String, PersistentStream>;
type Records = BTreeMap<String, BTreeMap<String, Record>>;

fn read(path: &Path) -> io::Result<(Streams, Records)> {
    let (mut streams, mut records) = (Streams::new(), Records::new());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((streams, records)),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::new(file).lines().peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_str(&line?) {
            Ok(Line::Stream(stream)) => {
                streams.insert(stream.name.clone(), *stream);
            }
            Ok(Line::Deleted(name)) => {
                streams.remove(&name);
                records.remove(&name);
            }
            Ok(Line::Record(record)) => {
                let of_stream = records.entry(record.stream.clone()).or_default();
                of_stream.insert(record.key.clone(), record);
            }
            Err(_) if lines.peek().is_none() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((streams, records))
}

/// Makes the store give sequence numbers above every one that it gave before.
async fn continue_counters(
    store: &Store,
    name: &str,
    stream: &Stream,
    counters: &[u64],
    records: &BTreeMap<String, Record>,
) -> io::Result<()> {
    for (shard, facts) in stream.shards.iter().enumerate() {
        if facts.sequence_number_range.ending_sequence_number.is_some() {
            continue;
        }
        let index = i64::try_from(shard).unwrap_or(i64::MAX - 1);
        let range = format!("{}/", shard_ix_to_hex(index))..format!("{}0", shard_ix_to_hex(index));
        let newest = records.range(range).next_back();
        let used = newest
            .and_then(|(key, _)| parse_sequence(key.rsplit('/').next()?).ok()?.seq_ix)
            .map_or(0, |counter| counter + 1);
        let next = counters.get(shard).copied().unwrap_or_default().max(used);
        let missing = next.saturating_sub(store.current_shard_seq(name, index).await);
        let hash = facts.hash_key_range.start_u128();
        // The store has no way to set a counter, so numbers are drawn and thrown away.
        let mut missing = usize::try_from(missing).unwrap_or(usize::MAX);
        while missing > 0 {
            let batch = missing.min(10_000);
            store.allocate_sequences_batch(name, &vec![hash; batch]).await.map_err(io::Error::other)?;
            missing -= batch;
        }
    }
    Ok(())
}
