//! A process: a store of its own, with its own cache and queues, on a world that it shares.

use std::{sync::Arc, time::Duration};

use headwater::{
    ExecuteError, Executed, Options, Settings, Store, StreamId, Version,
    format::{head::Head, key, record::Record},
    memory::{FaultyLog, FaultyObjects, Operation, World},
    port::{ObjectError, Ports},
};

use crate::counter::{Command, Counter, TooMuch};

pub struct Process {
    pub objects: FaultyObjects,
    pub log: FaultyLog,
    pub store: Store,
}

pub type Answer = Result<Executed<Counter>, ExecuteError<TooMuch>>;

impl Process {
    pub fn new(world: &World) -> Self {
        Self::with(world, Settings::default())
    }

    pub fn with(world: &World, settings: Settings) -> Self {
        let objects = FaultyObjects::new(world.objects.clone());
        let log = FaultyLog::new(world.log.clone());
        let ports = Ports { objects: Arc::new(objects.clone()), log: Arc::new(log.clone()), ..world.ports() };
        Self { objects, log, store: Store::new(ports, settings) }
    }

    /// A process that gives up a command after `deadline`.
    pub fn hasty(world: &World, deadline: Duration) -> Self {
        Self::with(world, Settings { deadline, ..Settings::default() })
    }

    pub async fn run(&self, id: &str, command: Command) -> Executed<Counter> {
        self.try_run(id, command, Options::default()).await.expect("executed")
    }

    pub async fn try_run(&self, id: &str, command: Command, options: Options) -> Answer {
        self.store.execute::<Counter>(id, command, options).await
    }

    pub async fn sum(&self, id: &str) -> (i64, u64) {
        let loaded = self.store.load::<Counter>(id).await.expect("loads");
        (loaded.state.sum, loaded.version.get())
    }

    /// Calls of S3 so far: GETs, PUTs; and records put.
    pub fn counts(&self) -> (u64, u64, u64) {
        let faults = self.objects.faults();
        (faults.calls(Operation::Get), faults.calls(Operation::Put), self.log.records())
    }
}

pub fn named(id: &str) -> Options {
    Options { commit_id: Some(id.parse().expect("a commit id")), ..Options::default() }
}

pub fn stream(id: &str) -> StreamId {
    StreamId::new("counter", id).expect("a stream")
}

pub fn unknown() -> ObjectError {
    ObjectError::Unknown("injected".into())
}

/// The head that stands.
pub fn head(world: &World, id: &str) -> Head {
    let (_, body) = world.objects.all(&key::head(&stream(id))).remove(0);
    Head::decode(&body).expect("a head")
}

/// The versions of the records of a stream, in the order of their arrival.
pub fn published(world: &World, id: &str) -> Vec<(u64, u64)> {
    let records = world.log.records().into_iter().filter(|arrival| arrival.key == stream(id).as_str());
    let commits = records.flat_map(|arrival| Record::decode(&arrival.data).expect("a record").commits);
    commits.map(|commit| (commit.first.get(), commit.last.get())).collect()
}

/// Asserts H3 and H4 for one stream: every record is a commit that S3 holds, and the first arrivals are in order and
/// without a gap.
pub async fn assert_order(world: &World, process: &Process, id: &str) {
    let head = head(world, id);
    let commits = process.store.reader().commits(&head, Version::ZERO).await.expect("commits");
    let held: Vec<(u64, u64)> = commits.iter().map(|c| (c.first.get(), c.last.get())).collect();
    let mut first_arrivals: Vec<(u64, u64)> = Vec::new();
    for arrived in published(world, id) {
        assert!(held.contains(&arrived), "H3: {arrived:?} is not a commit of {held:?}");
        if !first_arrivals.contains(&arrived) {
            first_arrivals.push(arrived);
        }
    }
    assert_eq!(first_arrivals, held[..first_arrivals.len()], "H4: out of order");
    let unpublished = &held[first_arrivals.len()..];
    assert!(unpublished.iter().all(|(first, _)| *first >= head.newest_write.get()), "H5: {unpublished:?}");
}
