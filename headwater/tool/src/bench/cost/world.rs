//! An embedded AWS that counts.

use std::{sync::Arc, time::Duration};

use bank::Account;
use headwater::{
    Options, Settings, Store, StoredEvent, StreamId,
    aws::{self, Clients},
    format::identity::Names,
    identity::{self, IdentitySource},
    memory::ManualClock,
    port::{Arrival, Log, Objects, Ports, Start},
};
use jiff::Timestamp;
use localstack::LocalAws;
use serde_json::value::RawValue;

use super::{
    super::{
        Error,
        append::{self, credit},
        bare::verified,
    },
    item::{Counted, Item},
};

/// The store's bucket.
const STORE: &str = "store";
/// The archive's bucket.
const ARCHIVE: &str = "archive";
/// The stream.
pub(super) const STREAM: &str = "events";
/// Its only shard, so that its records are in one order.
pub(super) const SHARD: &str = "shardId-000000000000";
/// Most records of one read.
const READ: usize = 10_000;
/// Events of a commit of a long stream: two of them just fit into a head.
const EVENTS: usize = 500;
/// How long what is under way after an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store, an archive and a stream, all empty.
pub(super) struct World {
    pub(super) aws: LocalAws,
    pub(super) ports: Ports,
    pub(super) archive: Arc<dyn Objects>,
    clients: Clients,
}

impl World {
    pub(super) async fn new() -> Result<Self, Error> {
        let aws = LocalAws::start(localstack::Options::for_test()).await?;
        aws.create_bucket(STORE)?;
        aws.create_bucket(ARCHIVE)?;
        aws.create_stream(STREAM, 1).await?;
        let clients = aws::connect(&aws::Settings::local(aws.endpoint())).await?;
        // Times are written with as many digits as they need.
        let ports = Ports { clock: Arc::new(ManualClock::standing()), ..clients.ports(STORE, STREAM) };
        let archive: Arc<dyn Objects> = Arc::new(clients.objects(ARCHIVE));
        let names = Names { store: STORE.to_owned(), stream: STREAM.to_owned(), archive: ARCHIVE.to_owned() };
        let Ports { objects, entropy, clock, .. } = &ports;
        let identity = identity::create(objects, &archive, entropy, &names, clock.now()).await?;
        let ports = Ports { identity: IdentitySource::fixed(identity), ..ports };
        Ok(Self { aws, ports, archive, clients })
    }

    /// A process that has started, and knows nothing else yet.
    pub(super) fn process(&self) -> Store {
        Store::new(self.ports.clone(), Settings::default())
    }

    /// A process that starts now: it does not know yet which store it writes.
    pub(super) fn start(&self) -> Store {
        let ports = Ports { identity: IdentitySource::stored(STREAM), ..self.ports.clone() };
        Store::new(ports, Settings::default())
    }

    /// The relay verifies everything that was written and will be.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        verified(&*self.ports.objects, Timestamp::constant(4_000_000_000, 0)).await
    }

    /// Every record that was put.
    pub(super) async fn records(&self) -> Result<Vec<Arrival>, Error> {
        let log = self.clients.log(STREAM);
        let mut cursor = log.cursor(SHARD, &Start::Oldest).await?;
        let mut records = Vec::new();
        loop {
            let batch = log.read(&cursor, READ).await?;
            let end = batch.records.is_empty() && batch.behind.is_zero();
            records.extend(batch.records);
            match batch.next {
                Some(next) if !end => cursor = next,
                _ => return Ok(records),
            }
        }
    }

    /// Does so many of something, and counts.
    pub(super) async fn count(
        &self,
        what: &'static str,
        units: usize,
        work: impl Future<Output = Result<(), Error>>,
    ) -> Result<Item, Error> {
        let before = self.records().await?.len();
        self.aws.reset_counts();
        work.await?;
        let counts = self.aws.reset_counts();
        let put = self.records().await?.split_off(before);
        Ok(Item { what, units: units as u64, counted: Counted::new(&counts, &put)? })
    }
}

/// Opens accounts of these names.
pub(super) async fn open(store: &Store, ids: &[String]) -> Result<(), Error> {
    for id in ids {
        append::open(store, id).await?;
    }
    Ok(())
}

/// Credits an account.
pub(super) async fn credited(store: &Store, id: &str) -> Result<(), Error> {
    store.execute::<Account>(id, credit()?, Options::default()).await?;
    Ok(())
}

/// Appends so many commits to an account, each of [`EVENTS`].
pub(super) async fn lengthen(store: &Store, id: &str, commits: usize) -> Result<(), Error> {
    let data = RawValue::from_string(r#"{"amount":1}"#.to_owned())?;
    let event = StoredEvent::new("Credited", 1, data)?;
    let opened = RawValue::from_string(r#"{"overdraft_limit":0}"#.to_owned())?;
    let stream = StreamId::new("account", id)?;
    let mut events = vec![StoredEvent::new("Opened", 1, opened)?];
    for _ in 0..commits {
        events.resize(EVENTS, event.clone());
        store.append(&stream, std::mem::take(&mut events), Options::default()).await?;
    }
    Ok(())
}

/// So many names of one length.
pub(super) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number:04}")).collect()
}

/// Waits for what is still under way after the answers.
pub(super) async fn drained(store: &Store) -> Result<(), Error> {
    match store.drain(PATIENCE).await {
        0 => Ok(()),
        left => Err(format!("{left} streams are still being written").into()),
    }
}
