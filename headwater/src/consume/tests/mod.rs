//! What the tests of consuming share: a world whose heads hold histories, and a projection that remembers all it saw.

mod counting;
mod delivery;
mod faults;
mod foreign;
mod forwarding;
mod origins;
mod parking;
mod privacy;
mod querying;
mod reacting;
mod reading;
mod rebuilding;
mod schemas;
mod timing;
mod traced;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ApplyError, Envelope, Kind, Projection, Projector, Reads};
use crate::{
    event::StoredEvent,
    format::{
        commit::{Commit, Meta},
        head::Head,
        key,
        page::Page,
        record::Record,
        view::View,
    },
    id::{StreamId, Version},
    memory::{Fault, FaultyObjects, World},
    port::{Arrival, Objects, Ports, Sequence},
    schema::Schemas,
};

/// Remembers every event that it took in. The streams `account/a-1` and `account/a-2` feed the view `a`.
#[derive(Default)]
pub(super) struct Seeing {
    /// Whether it can take in what it refuses otherwise.
    pub(super) mended: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) sum: u64,
    pub(super) seen: Vec<(StreamId, Version)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Event {
    Added(u64),
    Refused,
    Panicking,
}

impl Reads for Event {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[Kind::new("account", &[])];
}

impl Projection for Seeing {
    const NAME: &'static str = "seeing";
    type View = Seen;
    type Reads = Event;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().split('-').next().unwrap_or_default().to_owned())
    }

    fn apply(&self, view: &mut Seen, envelope: &Envelope<'_, Event>) -> Result<(), ApplyError> {
        // What is refused has changed the view already: nobody may see it.
        view.seen.push((envelope.stream.clone(), envelope.version));
        match envelope.event {
            Event::Added(number) => view.sum += number,
            Event::Refused | Event::Panicking if self.mended.load(Ordering::SeqCst) => {}
            Event::Refused => return Err(ApplyError::new("refused")),
            Event::Panicking => panic!("out of {}", "range"),
        }
        Ok(())
    }
}

/// A world, and a way to look at what was asked of its bucket.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) objects: Arc<FaultyObjects>,
    pub(super) ports: Ports,
    /// The keys of all calls, as `Get heads/account/1`.
    pub(super) calls: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let world = World::new(7);
        let objects = Arc::new(FaultyObjects::new(world.objects.clone()));
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&calls);
        objects.faults().hook(move |call| {
            noted.lock().expect("a lock").push(format!("{:?} {}", call.operation, call.key));
            Fault::None
        });
        let ports = Ports { objects: objects.clone() as Arc<dyn Objects>, ..world.ports() };
        Self { world, objects, ports, calls }
    }

    pub(super) fn projector(&self) -> Projector<Seeing> {
        Projector::new(Seeing::default(), &self.ports)
    }

    /// Stores a stream, the first `paged` commits in a page.
    pub(super) fn store(&self, stream: &StreamId, commits: &[Arc<Commit>], paged: usize) {
        let mut head = Head::new(stream.clone());
        for commit in commits {
            head.push([Arc::clone(commit)]);
        }
        let old: Vec<_> = head.commits.drain(..paged.min(commits.len() - 1)).collect();
        head.paged(&old);
        if let Some(page) = Page::new(stream.clone(), old) {
            self.world.objects.insert(&key::page(stream, page.first), page.encode().expect("encodes"));
        }
        let body = head.encode().expect("encodes");
        Head::decode(&body).expect("a sound head");
        self.world.objects.insert(&key::head(stream), body);
    }

    /// The view as it is stored.
    pub(super) fn view(&self, key: &str) -> Option<View<Seen>> {
        let object = key::view(Seeing::NAME, key);
        let all = self.world.objects.all(&object);
        all.into_iter().find(|(key, _)| *key == object).map(|(_, body)| View::decode(&body).expect("a view"))
    }

    /// H11 for every view that is stored: it reflects each commit through `applied` exactly once, in order.
    pub(super) fn check(&self, histories: &BTreeMap<StreamId, Vec<Arc<Commit>>>) {
        for (object, body) in self.world.objects.all(key::VIEWS) {
            let view = View::<Seen>::decode(&body).expect("a view");
            let mut sum = 0;
            for (stream, applied) in &view.applied {
                let seen =
                    view.state.seen.iter().filter(|(of, _)| of == stream).map(|(_, version)| version.get());
                assert_eq!(
                    seen.collect::<Vec<_>>(),
                    (1..=applied.get()).collect::<Vec<_>>(),
                    "{object}: {stream}"
                );
                let commits = &histories[stream];
                assert!(commits.iter().any(|commit| commit.last == *applied), "{object}: a commit is whole");
                let events = commits.iter().flat_map(|commit| commit.versioned());
                let added = events.filter(|(version, _)| version <= applied);
                sum +=
                    added.map(|(_, event)| event.data.get().parse::<u64>().expect("a number")).sum::<u64>();
            }
            assert_eq!(view.state.sum, sum, "{object}");
        }
    }

    /// As [`Self::check`], and every stream is in its view to its end.
    pub(super) fn check_complete(&self, histories: &BTreeMap<StreamId, Vec<Arc<Commit>>>) {
        self.check(histories);
        for (stream, commits) in histories {
            let key = Seeing::default().key(stream).expect("a key");
            let view = self.view(&key).expect("a view");
            assert_eq!(view.applied(stream), commits.last().expect("a commit").last, "{stream}");
        }
    }
}

/// Polls a future `steps` times and drops it; tells whether it ended before.
pub(super) async fn run_for(steps: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

pub(super) fn stream(text: &str) -> StreamId {
    text.parse().expect("a stream")
}

pub(super) fn added(number: u64) -> StoredEvent {
    Schemas::FIRST.encode(&Event::Added(number)).expect("encodes")
}

pub(super) fn raw(name: &str, json: &str) -> StoredEvent {
    StoredEvent::new(name, 1, RawValue::from_string(json.to_owned()).expect("JSON")).expect("an event")
}

/// The commits of a stream, one for each list of events.
pub(super) fn history(commits: impl IntoIterator<Item = Vec<StoredEvent>>) -> Vec<Arc<Commit>> {
    let mut last = Version::ZERO;
    let commit = |(number, events): (usize, Vec<StoredEvent>)| {
        let first = last.next();
        last = last.plus(events.len() as u64);
        let id = format!("c{number}").parse().expect("an id");
        Arc::new(Commit { id, first, last, at: jiff::Timestamp::UNIX_EPOCH, events, meta: Meta::new() })
    };
    commits.into_iter().enumerate().map(commit).collect()
}

/// `commits` commits of one event each.
pub(super) fn plain(commits: u64) -> Vec<Arc<Commit>> {
    history((1..=commits).map(|number| vec![added(number)]))
}

pub(super) fn arrival(sequence: u64, data: impl Into<bytes::Bytes>) -> Arrival {
    Arrival {
        shard: "shardId-000000000000".to_owned(),
        sequence: number(sequence),
        at: jiff::Timestamp::UNIX_EPOCH,
        key: "key".to_owned(),
        data: data.into(),
    }
}

pub(super) fn number(sequence: u64) -> Sequence {
    Sequence::try_from(sequence.to_string()).expect("a number")
}

/// The record of some commits as the `sequence`th arrival.
pub(super) fn record(sequence: u64, stream: &StreamId, commits: &[Arc<Commit>]) -> Arrival {
    arrival(sequence, Record::new(stream.clone(), commits.to_vec()).encode().expect("encodes"))
}
