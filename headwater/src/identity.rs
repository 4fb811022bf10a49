//! Whose records are: the identity of the store, read once by each process ([`IdentitySource`]), and made once ([`create`]).
//!
//! A store without `store.json` is one of before stores had an identity: its records carry no id, and it takes those without.
//! It gets one by [`create`], which finds out whether records without an id remain readable ([`Identity::adopted`]):
//!
//! 1. the identity is written, and takes such records;
//! 2. where the store has no head and the archive no segment then, it is replaced by one that refuses them. A writer that found none
//!    looks again after its swap ([`IdentitySource::now`]), so that a commit which the listing does not show is published with the id.
//!
//! [`create`] writes the archive's copy first, so that of two that are made at once on one archive one wins, and a creation
//! that broke off is finished under the same id by the next.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    error::StoreError,
    format::{
        FormatError,
        identity::{Identity, Names, StoreId},
        key,
    },
    port::{Entropy, Got, Keys, ObjectError, Objects, Precondition, any, backoff},
    read::Reader,
};

/// How long a writer goes by what it found, where the store had no identity.
const FRESH: Duration = Duration::from_secs(30);
/// Attempts to write one object of an identity.
const ATTEMPTS: usize = 10;

/// The identity of the store, as one process knows it. Cheap to clone; clones share what was read.
#[derive(Debug, Clone)]
pub struct IdentitySource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The stream that this process is told to use.
    stream: Option<String>,
    known: OnceLock<Arc<Identity>>,
    looked: Mutex<Option<Looked>>,
}

/// A look for the identity that found none.
#[derive(Debug)]
struct Looked {
    at: Instant,
    found: Result<(), StoreError>,
}

impl IdentitySource {
    /// One that is known already.
    pub fn fixed(identity: Identity) -> Self {
        Self::new(None, OnceLock::from(Arc::new(identity)))
    }

    /// One that is read from the store's bucket when it is needed, and must name the Kinesis stream `stream`.
    pub fn stored(stream: impl Into<String>) -> Self {
        Self::new(Some(stream.into()), OnceLock::new())
    }

    fn new(stream: Option<String>, known: OnceLock<Arc<Identity>>) -> Self {
        Self(Arc::new(Inner { stream, known, looked: Mutex::new(None) }))
    }

    /// What was read before; `None` also where nothing was.
    pub fn known(&self) -> Option<&Identity> {
        self.0.known.get().map(AsRef::as_ref)
    }

    /// The identity, for a writer: one GET in a process's life; where the store has none, one every 30 s.
    ///
    /// # Errors
    ///
    /// It can't be read, or names another stream than this process is told to use.
    pub async fn lately(&self, reader: &Reader) -> Result<Option<&Identity>, StoreError> {
        self.get(reader, FRESH).await
    }

    /// The identity, for whoever reads records that arrived before: one that was made since is found.
    ///
    /// # Errors
    ///
    /// As [`Self::lately`].
    pub async fn now(&self, reader: &Reader) -> Result<Option<&Identity>, StoreError> {
        self.get(reader, Duration::ZERO).await
    }

    async fn get(&self, reader: &Reader, fresh: Duration) -> Result<Option<&Identity>, StoreError> {
        if let Some(known) = self.known() {
            return Ok(Some(known));
        }
        let came = Instant::now();
        let mut looked = self.0.looked.lock().await;
        if let Some(known) = self.known() {
            return Ok(Some(known));
        }
        // Whoever waited for another's look shares what that one found.
        if let Some(looked) = &*looked
            && (looked.at > came || (looked.found.is_ok() && looked.at.elapsed() < fresh))
        {
            return looked.found.clone().map(|()| None);
        }
        let began = Instant::now();
        let read = read(reader, key::IDENTITY).await;
        match read.and_then(|identity| self.check(identity)) {
            Ok(Some(identity)) => Ok(Some(self.0.known.get_or_init(|| Arc::new(identity)))),
            Ok(None) => {
                *looked = Some(Looked { at: began, found: Ok(()) });
                Ok(None)
            }
            Err(error) => {
                *looked = Some(Looked { at: Instant::now(), found: Err(error.clone()) });
                Err(error)
            }
        }
    }

    fn check(&self, identity: Option<Identity>) -> Result<Option<Identity>, StoreError> {
        match (identity, &self.0.stream) {
            (Some(identity), Some(stream)) if identity.names.stream != *stream => {
                let reason = Contradiction::new("stream", stream, &identity).to_string();
                Err(StoreError::Unavailable(reason.into()))
            }
            (identity, _) => Ok(identity),
        }
    }
}

/// What a process is told to use is not what the store consists of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {what} {told} is not the one of the store {store}: its {} names the {what} {named}",
    key::IDENTITY
)]
pub struct Contradiction {
    /// `bucket`, `stream` or `archive`.
    pub what: &'static str,
    /// What the process was told.
    pub told: String,
    /// The store's bucket.
    pub store: String,
    /// What the store's identity says.
    pub named: String,
}

impl Contradiction {
    fn new(what: &'static str, told: &str, identity: &Identity) -> Self {
        let Names { store, stream, archive } = &identity.names;
        let named = match what {
            "stream" => stream,
            "archive" => archive,
            _ => store,
        };
        Self { what, told: told.to_owned(), store: store.clone(), named: named.clone() }
    }

    /// Compares what a process is told with what the store's identity says, as far as it is told.
    ///
    /// # Errors
    ///
    /// They differ.
    pub fn check(identity: &Identity, stream: Option<&str>, archive: Option<&str>) -> Result<(), Self> {
        let Names { stream: own, archive: kept, .. } = &identity.names;
        for (what, told, named) in [("stream", stream, own), ("archive", archive, kept)] {
            if let Some(told) = told.filter(|told| told != named) {
                return Err(Self::new(what, told, identity));
            }
        }
        Ok(())
    }
}

/// Why a store was not given an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The archive of this stream belongs to another store.
    #[error(
        "the stream {} and its archive {} belong to the store {}: choose others for the store {store}",
        theirs.stream, theirs.archive, theirs.store
    )]
    Taken {
        /// The store that was to be made.
        store: String,
        /// What the other one consists of.
        theirs: Box<Names>,
    },
    /// The store has an identity already, which says otherwise.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// A bucket does not answer, or what it holds can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the identity of a store, where it has none; else tells the one that exists. `store` and `archive` are the buckets of
/// these `names`. Where something was written already there may be records without an id, which then remain readable.
///
/// # Errors
///
/// The stream's archive is another store's, or the store has an identity of other names, or a bucket does not answer.
pub async fn create(
    store: &Arc<dyn Objects>,
    archive: &Arc<dyn Objects>,
    entropy: &Arc<dyn Entropy>,
    names: &Names,
    now: Timestamp,
) -> Result<Identity, CreateError> {
    let reader = |objects: &Arc<dyn Objects>| Reader::of(Arc::clone(objects), Arc::clone(entropy));
    let check = |identity: Identity| {
        Contradiction::check(&identity, Some(&names.stream), Some(&names.archive))?;
        Ok::<_, CreateError>(identity)
    };
    let (of_store, of_archive) = (reader(store), reader(archive));
    if let Some(identity) = read(&of_store, key::IDENTITY).await? {
        return Ok(strict(&**store, &of_store, &of_archive, check(identity)?).await?);
    }
    let fresh = StoreId::try_from(entropy.unique()).map_err(corrupt(key::IDENTITY))?;
    let fresh = Identity::new(fresh, now, names.clone(), true);
    let copy = key::archived_identity(&names.stream);
    let identity = put(&**archive, &of_archive, &**entropy, &copy, fresh).await?;
    if identity.names != *names {
        return Err(CreateError::Taken { store: names.store.clone(), theirs: Box::new(identity.names) });
    }
    let identity = put(&**store, &of_store, &**entropy, key::IDENTITY, identity).await?;
    Ok(strict(&**store, &of_store, &of_archive, check(identity)?).await?)
}

/// Lets the identity refuse records without an id, where there can be none: nothing was written before it was there.
async fn strict(
    store: &dyn Objects,
    reader: &Reader,
    archive: &Reader,
    identity: Identity,
) -> Result<Identity, StoreError> {
    let segments = format!("{}{}/", key::SEGMENTS, identity.names.stream);
    if !identity.adopted
        || any(reader.pages(Keys::under(key::HEADS))).await?.is_some()
        || any(archive.pages(Keys::under(segments))).await?.is_some()
    {
        return Ok(identity);
    }
    let Got::Found { etag, .. } = reader.object(key::IDENTITY, None).await? else { return Ok(identity) };
    let mut strict = identity.clone();
    strict.adopted = false;
    let body = strict.encode().map_err(corrupt(key::IDENTITY))?;
    match store.put(key::IDENTITY, body, Precondition::Matches(etag)).await {
        Ok(_) => Ok(strict),
        // It takes records without an id until the next try; or another one has done it.
        Err(_) => Ok(read(reader, key::IDENTITY).await?.unwrap_or(identity)),
    }
}

/// Writes an identity where none is; tells the one that is there then.
async fn put(
    objects: &dyn Objects,
    reader: &Reader,
    entropy: &dyn Entropy,
    key: &str,
    identity: Identity,
) -> Result<Identity, StoreError> {
    let body: Bytes = identity.encode().map_err(corrupt(key))?;
    let mut pauses = backoff(entropy, Duration::from_millis(20), Duration::from_secs(1));
    let mut reason = String::new();
    for _ in 0..ATTEMPTS {
        if let Some(identity) = read(reader, key).await? {
            return Ok(identity);
        }
        match objects.put(key, body.clone(), Precondition::Absent).await {
            Ok(_) => return Ok(identity),
            Err(error @ ObjectError::Refused(_)) => return Err(error.into()),
            // Another one is there, or this one may be: the next read tells.
            Err(error) => reason = error.to_string(),
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
    Err(StoreError::Unavailable(format!("{key} was not written in {ATTEMPTS} attempts: {reason}").into()))
}

/// The identity at `key`; `None` where there is none.
///
/// # Errors
///
/// The bucket does not answer, or what is there is no identity.
pub async fn read(reader: &Reader, key: &str) -> Result<Option<Identity>, StoreError> {
    match reader.object(key, None).await? {
        Got::Found { body, .. } => Identity::decode(&body).map(Some).map_err(corrupt(key)),
        Got::Missing | Got::Unchanged => Ok(None),
    }
}

fn corrupt(key: &str) -> impl Fn(FormatError) -> StoreError {
    move |error| StoreError::corrupt(key, &error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::{Fault, FaultyObjects, MemoryObjects, Operation, World},
        port::Ports,
    };

    fn names(store: &str) -> Names {
        Names { store: store.to_owned(), stream: "events".to_owned(), archive: "archive".to_owned() }
    }

    struct Place {
        world: World,
        archive: Arc<MemoryObjects>,
    }

    impl Place {
        fn new() -> Self {
            let world = World::new(7);
            let archive = Arc::new(MemoryObjects::new(world.clock.clone()));
            Self { world, archive }
        }

        async fn create(&self, objects: Arc<dyn Objects>, names: &Names) -> Result<Identity, CreateError> {
            let Ports { entropy, clock, .. } = self.world.ports();
            let archive: Arc<dyn Objects> = self.archive.clone();
            create(&objects, &archive, &entropy, names, clock.now()).await
        }

        fn bucket(&self) -> Arc<dyn Objects> {
            Arc::new(MemoryObjects::new(self.world.clock.clone()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_made_once_whoever_makes_it() {
        let place = Place::new();
        let (store, names) = (place.world.objects.clone(), names("store"));
        let made = futures::future::join_all((0..8).map(|_| place.create(store.clone(), &names))).await;
        let ids: Vec<_> = made.into_iter().map(|made| made.expect("made").id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let source = IdentitySource::stored("events");
        let read = source.now(&Reader::new(&place.world.ports())).await.expect("reads").cloned();
        assert_eq!(read.map(|identity| identity.id), Some(ids[0].clone()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_creation_that_broke_off_is_finished_under_the_same_id() {
        let place = Place::new();
        let objects = FaultyObjects::new(place.world.objects.clone());
        objects.faults().hook(|call| match call.operation {
            Operation::Put => Fault::Before(ObjectError::Unknown("down".into())),
            _ => Fault::None,
        });
        place.create(Arc::new(objects), &names("store")).await.expect_err("the bucket is down");
        let (_, copy) = place.archive.all("stores/").pop().expect("the copy comes first");
        let made = place.create(place.world.objects.clone(), &names("store")).await.expect("made");
        assert_eq!(made.id, Identity::decode(&copy).expect("an identity").id);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_store_refuses_records_without_an_id_and_one_that_was_written_takes_them() {
        let place = Place::new();
        assert!(!place.create(place.bucket(), &names("empty")).await.expect("made").adopted);
        for (bucket, key) in [("store", "heads/account/1"), ("archive", "archive/events/shard=1/1.parquet")] {
            let place = Place::new();
            let objects = if bucket == "store" { &place.world.objects } else { &place.archive };
            objects.insert(key, Bytes::from_static(b"something"));
            let store = place.world.objects.clone();
            assert!(place.create(store.clone(), &names("store")).await.expect("made").adopted, "{key}");
            assert!(place.create(store, &names("store")).await.expect("made").adopted, "{key}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_began_before_the_store_had_an_identity_is_published_with_it() {
        let place = Place::new();
        let objects = FaultyObjects::new(place.world.objects.clone());
        let ports = Ports {
            objects: Arc::new(objects.clone()),
            identity: IdentitySource::stored("events"),
            ..place.world.ports()
        };
        // Its swap is under way for two seconds.
        objects.faults().hook(|call| match call.operation {
            Operation::Put if call.key.starts_with(key::HEADS) => Fault::Delay(Duration::from_secs(2)),
            _ => Fault::None,
        });
        let store = crate::Store::new(ports, crate::Settings::default());
        let event = crate::Schemas::FIRST.encode(&serde_json::json!({"Added": 1})).expect("an event");
        let stream = "account/1".parse().expect("a stream");
        let append = store.append(&stream, vec![event], crate::Options::default());
        let made = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            place.create(place.world.objects.clone(), &names("store")).await.expect("made")
        };
        let (appended, made) = tokio::join!(append, made);
        appended.expect("appended");
        assert!(!made.adopted, "there was no head yet");
        let records = place.world.log.records();
        let record = crate::format::record::Record::decode(&records[0].data).expect("a record");
        assert_eq!(record.store, Some(made.id));
    }

    #[tokio::test(start_paused = true)]
    async fn another_store_on_the_same_archive_is_refused_and_nothing_is_written() {
        let place = Place::new();
        place.create(place.world.objects.clone(), &names("store")).await.expect("made");
        let refused = place.create(place.bucket(), &names("other")).await.expect_err("the archive is taken");
        assert_eq!(
            refused.to_string(),
            "the stream events and its archive archive belong to the store store: choose others for the store other"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_is_told_another_stream_commits_nothing() {
        let place = Place::new();
        place.create(place.world.objects.clone(), &names("store")).await.expect("made");
        let ports = Ports { identity: IdentitySource::stored("others"), ..place.world.ports() };
        let store = crate::Store::new(ports, crate::Settings::default());
        let event = crate::Schemas::FIRST.encode(&serde_json::json!({"Added": 1})).expect("an event");
        let stream = "account/1".parse().expect("a stream");
        let refused = store.append(&stream, vec![event], crate::Options::default()).await;
        let refused = refused.expect_err("another stream").to_string();
        assert!(refused.contains("others") && refused.contains("events"), "{refused}");
        assert!(place.world.objects.all("heads/").is_empty() && place.world.log.records().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_identity_costs_a_process_one_get() {
        let place = Place::new();
        place.create(place.world.objects.clone(), &names("store")).await.expect("made");
        let objects = FaultyObjects::new(place.world.objects.clone());
        let reader = Reader::of(Arc::new(objects.clone()), place.world.entropy.clone());
        let source = IdentitySource::stored("events");
        let looks = (0..10).map(|_| source.lately(&reader));
        for look in futures::future::join_all(looks).await {
            look.expect("reads").expect("an identity");
        }
        assert_eq!(objects.faults().calls(Operation::Get), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_without_one_is_looked_at_now_and_then_by_writers_and_always_by_readers() {
        let place = Place::new();
        let objects = FaultyObjects::new(place.world.objects.clone());
        let reader = Reader::of(Arc::new(objects.clone()), place.world.entropy.clone());
        let source = IdentitySource::stored("events");
        for _ in 0..3 {
            assert_eq!(source.lately(&reader).await, Ok(None));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(objects.faults().calls(Operation::Get), 1);
        assert_eq!(source.now(&reader).await, Ok(None));
        assert_eq!(objects.faults().calls(Operation::Get), 2);
        tokio::time::sleep(FRESH).await;
        place.create(place.world.objects.clone(), &names("store")).await.expect("made");
        assert!(source.lately(&reader).await.expect("reads").is_some());
    }
}
