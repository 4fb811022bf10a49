//! A timer: it stands in nobody's way, whatever it says, and comes to the process that set it only.

use std::sync::atomic::{AtomicUsize, Ordering};

use headwater::{
    Settings, Store, StreamId, Version,
    consume::{Cause, Due, Kind, Process, ReactError, Reactor, Reads},
    format::{commit::Meta, key, timer::Timer},
    memory::World,
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::world::run;

/// Counts the timers that come.
#[derive(Default)]
struct Waiting(AtomicUsize);

#[derive(Deserialize)]
enum Nothing {}

impl Reads for Nothing {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[];
}

impl Process for Waiting {
    const NAME: &'static str = "waiting";
    type Reads = Nothing;

    async fn react(&self, _store: &Store, cause: &Cause<'_, Nothing>) -> Result<(), ReactError> {
        match cause.event {}
    }

    async fn due(&self, _store: &Store, due: &Due<'_>) -> Result<(), ReactError> {
        assert!(due.options("step").commit_id.is_some());
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

pub(crate) fn holds(document: &[u8]) {
    let hostile = Timer::decode(document).ok();
    if let Some(timer) = &hostile {
        let written = timer.encode().expect("what was read can be written");
        assert_eq!(Timer::decode(&written).as_ref(), Ok(timer), "it comes back as it was");
    }
    run(async {
        let world = World::new(1);
        let stream: StreamId = "transfer/7".parse().expect("a stream");
        let timer = |version| {
            Timer::new(stream.clone(), Version::new(version), "expire", Timestamp::UNIX_EPOCH, Meta::new())
        };
        let own = hostile.as_ref().map(|hostile| key::timer(Waiting::NAME, hostile));
        // Under the key of another, and under its own.
        let foreign = key::timer(Waiting::NAME, &timer(2));
        let keys: Vec<_> = own.into_iter().chain([foreign]).collect();
        for key in &keys {
            world.objects.insert(key, document.to_vec());
        }
        let sound = timer(1);
        world.objects.insert(&key::timer(Waiting::NAME, &sound), sound.encode().expect("encodes"));
        let store = Store::new(world.ports(), Settings::default());
        let reactor = Reactor::new(Waiting::default(), store, &world.ports());
        let ticked = reactor.tick().await.expect("ticks");
        assert!(ticked.done >= 1, "the sound one comes");
        assert_eq!(
            ticked.done,
            reactor.process().0.load(Ordering::Relaxed),
            "and no other but by its own key"
        );
    });
}
