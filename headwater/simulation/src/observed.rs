//! The services with every effect traced and shown to the [watch](crate::watch): a call that fails on its way leaves no
//! line here, one that arrives twice leaves two.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use headwater::{
    memory::{MemoryLog, MemoryObjects},
    port::{
        Batch, Clock, Cursor, ETag, Entry, EntryError, Got, Keys, Listing, Log, LogError, ObjectError,
        Objects, Position, Precondition, Shard, Start, Token,
    },
};

use jiff::Timestamp;

use crate::{trace::digest, world::World};

/// The services as a process reaches them before its own faults: every effect is traced and watched.
pub(crate) struct Services {
    pub(crate) store: Arc<dyn Objects>,
    pub(crate) archive: Arc<dyn Objects>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) told: Arc<dyn Log>,
}

impl Services {
    /// The services of a world.
    pub(crate) fn of(world: &Arc<World>) -> Self {
        let objects = |name, inner: &Arc<MemoryObjects>| -> Arc<dyn Objects> {
            Arc::new(ObservedObjects { name, inner: Arc::clone(inner), world: Arc::clone(world) })
        };
        let log = |name, inner: &Arc<MemoryLog>| -> Arc<dyn Log> {
            Arc::new(ObservedLog { name, inner: Arc::clone(inner), world: Arc::clone(world) })
        };
        Self {
            store: objects("store", &world.store),
            archive: objects("archive", &world.archive),
            log: log("log", &world.log),
            told: log("told", &world.told),
        }
    }
}

/// A bucket.
struct ObservedObjects {
    name: &'static str,
    inner: Arc<MemoryObjects>,
    world: Arc<World>,
}

impl ObservedObjects {
    fn line<T>(&self, operation: &str, key: &str, end: &Result<T, ObjectError>, then: impl Fn(&T) -> String) {
        let end = match end {
            Ok(answer) => then(answer),
            Err(error) => error.to_string(),
        };
        self.world.note(format_args!("    {} {operation} {key}: {end}", self.name));
    }
}

#[async_trait]
impl Objects for ObservedObjects {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        let now = self.inner.now().await;
        self.line("TIME", "", &now, ToString::to_string);
        now
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        let got = self.inner.get(key, known).await;
        self.line("GET", key, &got, |got| match got {
            Got::Missing => "missing".to_owned(),
            Got::Unchanged => "unchanged".to_owned(),
            Got::Found { body, .. } => format!("{} bytes {:016x}", body.len(), digest(body)),
        });
        got
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        let put = self.inner.put(key, body.clone(), only).await;
        self.line("PUT", key, &put, |_| format!("{} bytes {:016x}", body.len(), digest(&body)));
        if put.is_ok() {
            let now = Clock::now(&*self.world.clock);
            let broken = self.world.watch().written(key, &body, now);
            self.world.find(broken);
        }
        put
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        let deleted = self.inner.delete(key, only).await;
        self.line("DELETE", key, &deleted, |()| "done".to_owned());
        if deleted.is_ok() {
            let found = self.world.watch().deleted(key);
            self.world.find(found);
        }
        deleted
    }

    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        let listing = self.inner.list(keys, from).await;
        self.line("LIST", &keys.prefix, &listing, |Listing { objects, next }| {
            format!("{} keys{}", objects.len(), if next.is_some() { ", and more" } else { "" })
        });
        listing
    }
}

/// A stream.
struct ObservedLog {
    name: &'static str,
    inner: Arc<MemoryLog>,
    world: Arc<World>,
}

#[async_trait]
impl Log for ObservedLog {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        let put = self.inner.put(entries).await;
        match &put {
            Ok(answers) => {
                for (entry, answer) in entries.iter().zip(answers) {
                    let Ok(Position { shard, sequence }) = answer else { continue };
                    let (key, data) = (&entry.key, &entry.data);
                    self.world.note(format_args!(
                        "    {} PUT {key} at {shard} {sequence}: {} bytes {:016x}",
                        self.name,
                        data.len(),
                        digest(data)
                    ));
                    let broken = self.world.watch().arrived(data, Clock::now(&*self.world.clock));
                    self.world.find(broken);
                }
            }
            Err(error) => self.world.note(format_args!("    {} PUT: {error}", self.name)),
        }
        put
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
