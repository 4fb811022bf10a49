//! The floor of all that writes: the same clients, the same bytes, and nothing else.
//!
//! 1. [`Notes`] are taken at the ports while the work is done: the bytes of every PUT, and of every record of each
//!    `PutRecords`;
//! 2. [`Notes::take`] gives them as [`Written`];
//! 3. [`write()`] does the same PUTs, an object's one after another and each under the condition that it has in the work, and the
//!    same calls of `PutRecords`, each when as many PUTs are done as it has records.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_kinesis::{primitives::Blob, types::PutRecordsRequestEntry};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    aws::Clients,
    format::{
        identity::{Identity, Names},
        key,
        watermark::Watermark,
    },
    identity,
    port::{
        Batch, Clock, Cursor, ETag, Entropy, Entry, EntryError, Got, Keys, Listing, Log, LogError,
        ObjectError, Objects, Ports, Position, Precondition, Shard, Start, SystemClock, SystemEntropy, Token,
    },
    read::Reader,
};
use jiff::Timestamp;
use localstack::LocalAws;
use tokio::time::Instant;

use super::Error;

/// The bucket that the work writes to.
pub(super) const STORE: &str = "headwater-store";
/// The stream that the work publishes to.
pub(super) const STREAM: &str = "headwater-events";
/// Shards of each stream.
const SHARDS: u32 = 4;
/// The floor's own places, as large.
const BARE_STORE: &str = "bare-store";
const BARE_STREAM: &str = "bare-events";

/// A local AWS with the work's places and the floor's, and clients.
pub(super) async fn local() -> Result<(LocalAws, Clients), Error> {
    let aws = LocalAws::start(localstack::Options::for_test()).await?;
    for bucket in [STORE, BARE_STORE] {
        aws.create_bucket(bucket)?;
    }
    for stream in [STREAM, BARE_STREAM] {
        aws.create_stream(stream, SHARDS).await?;
    }
    let clients = headwater::aws::connect(&headwater::aws::Settings::local(aws.endpoint())).await?;
    let names = Names { store: STORE.to_owned(), stream: STREAM.to_owned(), archive: STORE.to_owned() };
    let store: Arc<dyn Objects> = Arc::new(clients.objects(STORE));
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    identity::create(&store, &store, &entropy, &names, SystemClock.now()).await?;
    Ok((aws, clients))
}

/// Whose the records are that rows make by hand.
pub(super) async fn identity(clients: &Clients, store: &str) -> Result<Option<Identity>, Error> {
    let reader = Reader::of(Arc::new(clients.objects(store)), Arc::new(SystemEntropy));
    Ok(identity::read(&reader, key::IDENTITY).await?)
}

/// The relay has verified everything up to then.
pub(super) async fn verified(objects: &dyn Objects, through: Timestamp) -> Result<(), Error> {
    objects.put(key::WATERMARK, Watermark::new(through).encode()?, Precondition::Absent).await?;
    Ok(())
}

/// What was written through ports.
#[derive(Debug, Default)]
pub(super) struct Notes {
    puts: Mutex<Vec<(String, usize)>>,
    calls: Mutex<Vec<Vec<usize>>>,
    gets: AtomicUsize,
}

/// What the floor is to write, in bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// The PUTs of each object, in their order.
    pub(super) objects: Vec<Vec<usize>>,
    /// The records of each call.
    pub(super) calls: Vec<Vec<usize>>,
    /// GETs, which the floor does not do.
    pub(super) gets: usize,
}

impl Written {
    /// PUTs in all.
    pub(super) fn puts(&self) -> usize {
        self.objects.iter().map(Vec::len).sum()
    }
}

impl Notes {
    /// The same ports, with notes taken.
    pub(super) fn of(ports: Ports) -> (Ports, Arc<Self>) {
        let notes = Arc::new(Self::default());
        let objects = Arc::new(Noted { inner: ports.objects, notes: Arc::clone(&notes) });
        let log = Arc::new(Noted { inner: ports.log, notes: Arc::clone(&notes) });
        (Ports { objects, log, ..ports }, notes)
    }

    /// What was written since this was asked last.
    pub(super) fn take(&self) -> Written {
        let mut objects: HashMap<String, Vec<usize>> = HashMap::new();
        for (key, bytes) in std::mem::take(&mut *lock(&self.puts)) {
            objects.entry(key).or_default().push(bytes);
        }
        Written {
            objects: objects.into_values().collect(),
            calls: std::mem::take(&mut *lock(&self.calls)),
            gets: self.gets.swap(0, Ordering::Relaxed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port with notes.
struct Noted<P: ?Sized> {
    inner: Arc<P>,
    notes: Arc<Notes>,
}

#[async_trait]
impl Objects for Noted<dyn Objects> {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        self.inner.now().await
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        self.notes.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get(key, known).await
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        lock(&self.notes.puts).push((key.to_owned(), body.len()));
        self.inner.put(key, body, only).await
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        self.inner.delete(key, only).await
    }

    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        self.inner.list(keys, from).await
    }
}

#[async_trait]
impl Log for Noted<dyn Log> {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        lock(&self.notes.calls).push(entries.iter().map(|entry| entry.data.len()).collect());
        self.inner.put(entries).await
    }

    async fn shards(&self) -> Result<Vec<Shard>, LogError> {
        self.inner.shards().await
    }

    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        self.inner.cursor(shard, start).await
    }

    async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
        self.inner.read(cursor, most).await
    }
}

/// Writes as much to fresh objects, so many of them at a time, and tells how long it took.
pub(super) async fn write(
    clients: &Clients,
    written: &Written,
    in_flight: usize,
    run: &str,
) -> Result<Duration, Error> {
    let largest = written.objects.iter().chain(&written.calls).flatten().copied().max().unwrap_or_default();
    let bare = Bare {
        clients: clients.clone(),
        // Text, as a head is.
        bytes: Bytes::from(vec![b'x'; largest]),
        due: due(written),
        done: AtomicUsize::new(0),
    };
    let bare = Arc::new(bare);
    let began = Instant::now();
    let objects = written.objects.iter().cloned().enumerate();
    let lanes = stream::iter(objects).map(|(number, puts)| {
        let (bare, key) = (Arc::clone(&bare), format!("{run}/{number}"));
        async move { tokio::spawn(async move { bare.object(&key, &puts).await }).await? }
    });
    lanes.buffer_unordered(in_flight).try_collect::<()>().await?;
    Ok(began.elapsed())
}

/// The calls of `PutRecords`, each with the number of the PUT after which it is made.
fn due(written: &Written) -> HashMap<usize, Vec<Vec<usize>>> {
    let (puts, records) = (written.puts(), written.calls.iter().map(Vec::len).sum::<usize>().max(1));
    let (mut due, mut before): (HashMap<usize, Vec<Vec<usize>>>, usize) = (HashMap::new(), 0);
    for call in &written.calls {
        before += call.len();
        due.entry((before * puts / records).clamp(1, puts.max(1))).or_default().push(call.clone());
    }
    due
}

struct Bare {
    clients: Clients,
    bytes: Bytes,
    due: HashMap<usize, Vec<Vec<usize>>>,
    done: AtomicUsize,
}

impl Bare {
    async fn object(&self, key: &str, puts: &[usize]) -> Result<(), Error> {
        let mut etag: Option<String> = None;
        for &bytes in puts {
            let put = self.clients.s3().put_object().bucket(BARE_STORE).key(key);
            let put = match etag.take() {
                None => put.if_none_match("*"),
                Some(etag) => put.if_match(etag),
            };
            etag = put.body(self.bytes.slice(..bytes).into()).send().await?.e_tag;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            for call in self.due.get(&done).into_iter().flatten() {
                self.records(key, call).await?;
            }
        }
        Ok(())
    }

    async fn records(&self, key: &str, call: &[usize]) -> Result<(), Error> {
        let record = |(number, bytes): (usize, &usize)| {
            let data = Blob::new(&self.bytes[..*bytes]);
            PutRecordsRequestEntry::builder().partition_key(format!("{key}/{number}")).data(data).build()
        };
        let records = call.iter().enumerate().map(record).collect::<Result<Vec<_>, _>>()?;
        let put = self.clients.kinesis().put_records().stream_name(BARE_STREAM).set_records(Some(records));
        put.send().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_due_when_its_share_of_the_puts_is_done() {
        let written =
            Written { objects: vec![vec![1, 1], vec![1, 1]], calls: vec![vec![9], vec![9, 9, 9]], gets: 0 };
        assert_eq!(due(&written), HashMap::from([(1, vec![vec![9]]), (4, vec![vec![9, 9, 9]])]));
        let written = Written { objects: vec![vec![1]], calls: vec![vec![9]; 3], gets: 0 };
        assert_eq!(due(&written).values().map(Vec::len).sum::<usize>(), 3, "many records for a PUT");
    }
}
