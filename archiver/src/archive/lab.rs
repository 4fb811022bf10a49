//! The laboratory of the archive's tests: records across midnight, a bucket that acts step by step, and what must hold.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use headwater::{
    StoredEvent, StreamId, Version,
    format::{
        commit::{Commit, Meta},
        record::Record,
    },
    memory::{MemoryObjects, World},
    port::{Arrival, ETag, Got, Keys, Listing, ObjectError, Objects, Precondition, Sequence, Token},
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::{Archiver, Bounds};
use crate::{
    chain::Tail,
    place::{Place, shard_prefix, stream_prefix},
    segment::{Archived, Segment},
};

pub(crate) const STREAM: &str = "bank";
pub(crate) const SHARD: &str = "shardId-000000000000";

pub(crate) fn sequence(number: u64) -> Sequence {
    Sequence::try_from(format!("4965{:052}", number * 7)).expect("digits")
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn commit(first: u64, events: u64) -> Arc<Commit> {
    let data = RawValue::from_string(format!(r#"{{"n": {first}}}"#)).expect("JSON");
    let event = StoredEvent::new("Credited", 1, data).expect("an event");
    let first = Version::new(first);
    Arc::new(Commit {
        id: format!("commit-{first}").parse().expect("an id"),
        first,
        last: first.plus(events - 1),
        at: at("2026-11-21T12:00:00Z"),
        events: vec![event; usize::try_from(events).expect("few")],
        meta: Meta::new(),
    })
}

/// The record number `number` of the shard, with commits of `stream`.
pub(crate) fn arrival(number: u64, at: Timestamp, stream: &str, commits: Vec<Arc<Commit>>) -> Arrival {
    let stream: StreamId = stream.parse().expect("a stream");
    let data = Record::new(stream.clone(), commits).encode().expect("encodes");
    let key = stream.as_str().to_owned();
    Arrival { shard: SHARD.to_owned(), sequence: sequence(number), at, key, data }
}

/// The same record in another shard.
pub(crate) fn into_shard(shard: &str, arrival: &Arrival) -> Arrival {
    Arrival { shard: shard.to_owned(), ..arrival.clone() }
}

/// An archiver of that bucket, cold.
pub(crate) fn archiver(world: &World, archive: Arc<dyn Objects>) -> Archiver {
    Archiver::new(world.ports(), archive, STREAM, Bounds::default())
}

pub(crate) fn bucket(world: &World) -> Arc<MemoryObjects> {
    Arc::new(MemoryObjects::new(world.clock.clone()))
}

/// The chain of a shard as it stands; tells the first thing that is wrong with it.
pub(crate) fn chain(bucket: &MemoryObjects, shard: &str) -> Result<(Option<Tail>, Vec<Archived>), String> {
    let prefix = shard_prefix(STREAM, shard);
    let (mut tail, mut commits): (Option<Tail>, Vec<Archived>) = (None, Vec::new());
    for (key, body) in bucket.all(&prefix) {
        let place = Place::parse(&prefix, &key).ok_or_else(|| format!("{key} is a stray"))?;
        let segment = Segment::open(body).map_err(|error| format!("{key}: {error}"))?;
        if segment.footer().place != place {
            return Err(format!("{key} says that it is {}", segment.footer().place));
        }
        super::check_next(tail.as_ref(), segment.footer())?;
        commits.extend(segment.commits().map_err(|error| error.to_string())?);
        tail = Some(Tail::from(segment.footer()));
    }
    Ok((tail, commits))
}

/// H10: the bucket's chains hold every commit of `records` exactly once, in order per stream.
pub(crate) fn check(bucket: &MemoryObjects, records: &[Arrival]) -> Result<(), String> {
    let mut expected: HashMap<StreamId, Vec<Arc<Commit>>> = HashMap::new();
    for record in records.iter().filter_map(|arrival| Record::decode(&arrival.data).ok()) {
        let commits = expected.entry(record.stream).or_default();
        for commit in record.commits {
            if !commits.contains(&commit) {
                commits.push(commit);
            }
        }
    }
    let mut shards: Vec<String> = Vec::new();
    for (key, _) in bucket.all(&stream_prefix(STREAM)) {
        let shard = key.split("shard=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if !shards.iter().any(|known| known == shard) {
            shards.push(shard.to_owned());
        }
    }
    let mut found: HashMap<StreamId, Vec<Arc<Commit>>> = HashMap::new();
    for shard in shards {
        for archived in chain(bucket, &shard)?.1 {
            found.entry(archived.stream).or_default().push(archived.commit);
        }
    }
    if found != expected {
        let versions = |commits: &HashMap<StreamId, Vec<Arc<Commit>>>| {
            let of = |(stream, commits): (&StreamId, &Vec<Arc<Commit>>)| {
                (stream.to_string(), commits.iter().map(|commit| commit.first.get()).collect::<Vec<_>>())
            };
            commits.iter().map(of).collect::<Vec<_>>()
        };
        return Err(format!("archived {:?}, expected {:?}", versions(&found), versions(&expected)));
    }
    Ok(())
}

/// What an archiver is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Take a batch.
    Take,
    /// Read or list.
    Read,
    /// Create an object.
    Put,
    /// It has done all that it had to.
    Done,
}

/// What shall become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It happens.
    Go,
    /// It happens, and the answer is lost.
    Lost,
    /// It does not happen, and the answer is lost.
    Fail,
    /// 409.
    Conflict,
    /// The batch that is taken.
    Batch(Vec<Arrival>),
}

/// How an archiver asks for its next step: who, what, and where to answer.
pub(crate) type Request = (usize, Step, oneshot::Sender<Verdict>);

/// A bucket that does nothing before it is told to.
pub(crate) struct Stepwise {
    pub(crate) inner: Arc<MemoryObjects>,
    pub(crate) name: usize,
    pub(crate) requests: mpsc::UnboundedSender<Request>,
    /// Writes without condition, as the design forbids.
    pub(crate) overwrite: bool,
}

pub(crate) async fn ask(requests: &mpsc::UnboundedSender<Request>, name: usize, step: Step) -> Verdict {
    let (answer, verdict) = oneshot::channel();
    let _ = requests.send((name, step, answer));
    verdict.await.unwrap_or(Verdict::Fail)
}

fn unknown<T>() -> Result<T, ObjectError> {
    Err(ObjectError::Unknown("no answer".into()))
}

#[async_trait]
impl Objects for Stepwise {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        self.inner.now().await
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        match ask(&self.requests, self.name, Step::Read).await {
            Verdict::Go => self.inner.get(key, known).await,
            _ => unknown(),
        }
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        match ask(&self.requests, self.name, Step::Put).await {
            Verdict::Conflict => Err(ObjectError::InFlight),
            Verdict::Fail | Verdict::Batch(_) => unknown(),
            verdict => {
                if self.overwrite {
                    self.inner.remove(key);
                }
                let put = self.inner.put(key, body, only).await;
                if verdict == Verdict::Lost { unknown() } else { put }
            }
        }
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        self.inner.delete(key, only).await
    }

    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        // A listing is one step, however many pages it has.
        if from.is_some() {
            return self.inner.list(keys, from).await;
        }
        match ask(&self.requests, self.name, Step::Read).await {
            Verdict::Go => self.inner.list(keys, from).await,
            _ => unknown(),
        }
    }
}

/// Every sequence of choices, one after another; or drawn ones.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    path: Vec<(usize, usize)>,
    at: usize,
    drawn: Option<u64>,
}

impl Choices {
    /// Choices drawn from a seed.
    pub(crate) fn drawn(seed: u64) -> Self {
        Self { drawn: Some(seed), ..Self::default() }
    }

    /// One of `of` (1 at least).
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        if let Some(state) = &mut self.drawn {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = (*state >> 33) as usize % of;
            self.path.push((drawn, of));
            return drawn;
        }
        if self.at == self.path.len() {
            self.path.push((0, of));
        }
        self.at += 1;
        self.path[self.at - 1].0
    }

    /// Goes to the next sequence; false after the last.
    pub(crate) fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}
