//! A process: each event is reacted to in order, its commands take effect once, and what cannot be reacted to parks its
//! stream and nothing else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{Bench, Event, added, history, number, plain, raw, record, run_for, stream};
use crate::{
    aggregate::Aggregate,
    consume::{Cause, Due, Process, ReactError, Reactor, Unparked, parked},
    error::StoreError,
    format::{commit::Commit, key, view::View},
    id::{StreamId, Version},
    memory::{Fault, Operation},
    port::ObjectError,
    schema::Schemas,
    store::{ExecuteError, Settings, Store},
};

/// Adds what an account adds to a tally of the same name; says so an hour later, if it is asked to.
#[derive(Default)]
pub(super) struct Tallying {
    /// Whether it can react to what it is stuck at otherwise.
    pub(super) mended: Arc<AtomicBool>,
    /// Whether it sets timers.
    pub(super) reminds: bool,
}

/// What was added, and of which number it was reminded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) added: Vec<u64>,
    pub(super) reminded: Vec<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Tallied {
    Added(u64),
    Reminded(u64),
}

/// What a timer may be given along.
#[derive(Deserialize)]
struct Reminder {
    number: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("1,300 is not added")]
pub(super) struct TooMuch;

impl Aggregate for Tally {
    const KIND: &'static str = "tally";
    type Command = Tallied;
    type Event = Tallied;
    type Rejection = TooMuch;

    fn decide(&self, command: &Tallied) -> Result<Vec<Tallied>, TooMuch> {
        if matches!(command, Tallied::Added(1_300)) { Err(TooMuch) } else { Ok(vec![command.clone()]) }
    }

    fn evolve(&mut self, event: &Tallied) {
        match event {
            Tallied::Added(number) => self.added.push(*number),
            Tallied::Reminded(number) => self.reminded.push(*number),
        }
    }
}

impl Process for Tallying {
    const NAME: &'static str = "tallying";
    type Reads = Event;

    async fn react(&self, store: &Store, cause: &Cause<'_, Event>) -> Result<(), ReactError> {
        let number = match &cause.event {
            Event::Added(number) => *number,
            Event::Refused | Event::Panicking if self.mended.load(Ordering::SeqCst) => return Ok(()),
            Event::Refused => return Err(ReactError::stuck("refused")),
            Event::Panicking => panic!("out of {}", "range"),
        };
        if self.reminds {
            let size = if cause.stream.id() == "large" { 20_000 } else { 1 };
            cause.schedule_with("remind", Duration::from_hours(1), &"x".repeat(size)).await?;
        }
        let added =
            store.execute::<Tally>(cause.stream.id(), Tallied::Added(number), cause.options("add")).await;
        match added {
            // What the domain says no to is an outcome.
            Ok(_) | Err(ExecuteError::Rejected(TooMuch)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn due(&self, store: &Store, due: &Due<'_>) -> Result<(), ReactError> {
        if due.stream().id() == "stuck" {
            return Err(ReactError::stuck("stuck"));
        }
        if due.stream().id() == "slow" {
            tokio::time::sleep(Duration::from_secs(10)).await;
            return Ok(());
        }
        let number =
            if due.name() == "payload" { due.payload::<Reminder>()?.number } else { due.version().get() };
        let command = Tallied::Reminded(number);
        store.execute::<Tally>(due.stream().id(), command, due.options("remind")).await?;
        Ok(())
    }
}

impl Bench {
    pub(super) fn reactor(&self) -> Reactor<Tallying> {
        self.reactor_of(Tallying::default())
    }

    pub(super) fn reactor_of(&self, process: Tallying) -> Reactor<Tallying> {
        Reactor::new(process, Store::new(self.ports.clone(), Settings::default()), &self.ports)
    }

    /// What stands, whatever is asked of the bench's ports.
    pub(super) async fn tally(&self, id: &str) -> Tally {
        let store = Store::new(self.world.ports(), Settings::default());
        store.load::<Tally>(id).await.expect("loads").state
    }

    fn progress(&self, stream: &StreamId) -> Version {
        let all = self.world.objects.all(&key::view(Tallying::NAME, stream.as_str()));
        let view = all.first().map(|(_, body)| View::<serde_json::Value>::decode(body).expect("a view"));
        view.map_or(Version::ZERO, |view| view.applied(stream))
    }

    fn writes(&self) -> usize {
        let calls = self.calls.lock().expect("a lock");
        calls.iter().filter(|call| call.starts_with("Put views/")).count()
    }
}

fn lost() -> ObjectError {
    ObjectError::Unknown("lost".into())
}

#[tokio::test(start_paused = true)]
async fn repeats_are_skipped_and_gaps_are_healed() {
    let bench = Bench::new();
    let (one, commits) = (stream("account/1"), plain(6));
    bench.store(&one, &commits, 3);
    let other = stream("lamp/1");
    let batch = [
        record(1, &one, &commits[..1]),
        record(2, &other, &commits),
        record(3, &one, &commits[4..5]),
        record(4, &one, &commits[..3]),
        record(5, &one, &commits[5..]),
    ];
    for _ in 0..2 {
        assert_eq!(bench.reactor().react(&batch).await, BTreeMap::new());
        assert_eq!(bench.tally("1").await.added, [1, 2, 3, 4, 5, 6]);
        assert_eq!(bench.progress(&one), Version::new(6));
        assert_eq!(bench.writes(), 1, "once for the batch, and not at all where nothing is new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_takes_effect_once() {
    for steps in 0.. {
        let bench = Bench::new();
        let (one, commits) = (stream("account/1"), history([vec![added(1), added(2)], vec![added(3)]]));
        bench.store(&one, &commits, 0);
        let batch = [record(1, &one, &commits[..1]), record(2, &one, &commits[1..])];
        let ended = run_for(steps, bench.reactor().react(&batch)).await;
        let so_far = bench.progress(&one);
        assert!(bench.tally("1").await.added.len() as u64 >= so_far.get(), "progress follows the commands");
        assert_eq!(bench.reactor().react(&batch).await, BTreeMap::new());
        assert_eq!(bench.tally("1").await.added, [1, 2, 3], "after {steps} steps");
        assert_eq!(bench.progress(&one), Version::new(3));
        if ended {
            assert!(steps >= 8, "there are that many awaits to crash at, at least");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_handlers_at_once_take_effect_once() {
    let bench = Bench::new();
    let (one, commits) = (stream("account/1"), plain(5));
    bench.store(&one, &commits, 0);
    let batch = [record(1, &one, &commits)];
    let (first, second) = (bench.reactor(), bench.reactor());
    let answers = tokio::join!(first.react(&batch), second.react(&batch));
    assert_eq!(answers, (BTreeMap::new(), BTreeMap::new()));
    assert_eq!(bench.tally("1").await.added, [1, 2, 3, 4, 5]);
    assert_eq!(bench.progress(&one), Version::new(5));
}

#[tokio::test(start_paused = true)]
async fn a_progress_whose_answer_was_lost_takes_effect_once() {
    for fault in [Fault::After(lost()), Fault::Before(lost()), Fault::Before(ObjectError::InFlight)] {
        let bench = Bench::new();
        let (one, commits) = (stream("account/1"), plain(3));
        bench.store(&one, &commits, 0);
        let failing = Arc::new(AtomicBool::new(true));
        let fault = fault.clone();
        bench.objects.faults().hook(move |call| {
            let hit = call.key.starts_with("views/") && call.operation == Operation::Put;
            if hit && failing.swap(false, Ordering::SeqCst) { fault.clone() } else { Fault::None }
        });
        assert_eq!(bench.reactor().react(&[record(1, &one, &commits)]).await, BTreeMap::new());
        assert_eq!(bench.tally("1").await.added, [1, 2, 3]);
        assert_eq!(bench.progress(&one), Version::new(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_world_keeps_what_was_done_and_brings_the_batch_again() {
    let bench = Bench::new();
    let (one, two) = (stream("account/1"), stream("account/2"));
    let commits = plain(3);
    bench.store(&one, &commits, 0);
    bench.store(&two, &commits, 0);
    let batch: Vec<_> = [(1, &two, 0), (2, &one, 0), (3, &one, 1), (4, &one, 2), (5, &two, 1), (6, &two, 2)]
        .into_iter()
        .map(|(sequence, of, place)| record(sequence, of, &commits[place..=place]))
        .collect();
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    bench.objects.faults().hook(move |call| {
        let put = call.operation == Operation::Put && call.key == "heads/tally/1";
        // The first command is executed, and the second is not answered until its deadline.
        if put && seen.swap(true, Ordering::SeqCst) { Fault::Before(lost()) } else { Fault::None }
    });
    let failed = bench.reactor().react(&batch).await;
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [number(2)], "the first record of that stream");
    assert_eq!((bench.progress(&one), bench.progress(&two)), (Version::new(1), Version::new(3)));
    assert!(parked(&bench.ports, Tallying::NAME).await.expect("listed").is_empty(), "nobody is to blame");
    bench.objects.faults().clear();
    assert_eq!(bench.reactor().react(&batch[1..]).await, BTreeMap::new());
    for id in ["1", "2"] {
        assert_eq!(bench.tally(id).await.added, [1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_reacted_to_parks_its_stream_and_nothing_else() {
    let encode = |event: &Event| Schemas::FIRST.encode(event).expect("encodes");
    for (bad, reason) in [
        (encode(&Event::Refused), "refused"),
        (encode(&Event::Panicking), "the process panicked: out of range"),
        (raw("Added", r#""many""#), "event \"Added\", schema 1: invalid type: string, expected u64"),
    ] {
        let bench = Bench::new();
        let (one, two) = (stream("account/1"), stream("account/2"));
        let (poisoned, fine) = (history([vec![added(1)], vec![added(2), bad], vec![added(4)]]), plain(2));
        bench.store(&one, &poisoned, 0);
        bench.store(&two, &fine, 0);
        let batch = [record(1, &one, &poisoned), record(2, &two, &fine), record(3, &one, &poisoned[2..])];
        let process = Tallying::default();
        let mended = Arc::clone(&process.mended);
        let reactor = bench.reactor_of(process);
        assert_eq!(reactor.react(&batch).await, BTreeMap::new(), "the shard goes on");
        assert_eq!(bench.tally("2").await.added, [1, 2]);
        assert_eq!((bench.tally("1").await.added, bench.progress(&one)), (vec![1, 2], Version::new(1)));
        let listed = parked(&bench.ports, Tallying::NAME).await.expect("listed");
        assert_eq!((&*listed[0].key, &listed[0].stream), ("account/1", &one));
        let mark = &listed[0].parked;
        assert_eq!((mark.version, mark.error.starts_with(reason)), (Version::new(3), true), "{mark:?}");

        assert!(matches!(reactor.unpark(&one).await, Ok(Unparked::ParkedAgain(_))), "{reason}");
        mended.store(true, Ordering::SeqCst);
        if reason.starts_with("event") {
            continue;
        }
        assert_eq!(reactor.unpark(&one).await, Ok(Unparked::Healed(Version::new(4))));
        assert_eq!(bench.tally("1").await.added, [1, 2, 4], "what was done before is not done again");
        assert_eq!(reactor.unpark(&stream("lamp/1")).await, Ok(Unparked::NotParked));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_newer_schema_parks_its_stream() {
    let bench = Bench::new();
    let one = stream("account/1");
    let mut newer = added(2);
    newer.schema = 2;
    let commits = history([vec![added(1)], vec![newer]]);
    bench.store(&one, &commits, 0);
    assert!(bench.reactor().react(&[record(1, &one, &commits)]).await.is_empty());
    let listed = parked(&bench.ports, Tallying::NAME).await.expect("listed");
    assert!(listed[0].parked.error.starts_with("schema 2 of Added is newer"), "{listed:?}");
    assert_eq!(bench.tally("1").await.added, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_unpark_that_the_world_fails_leaves_the_mark() {
    let bench = Bench::new();
    let (one, commits) = (stream("account/1"), history([vec![raw("Refused", "null")], vec![added(2)]]));
    bench.store(&one, &commits, 0);
    let process = Tallying::default();
    let mended = Arc::clone(&process.mended);
    let reactor = bench.reactor_of(process);
    reactor.react(&[record(1, &one, &commits)]).await;
    mended.store(true, Ordering::SeqCst);
    bench.objects.faults().hook(|call| match call.key.as_str() {
        "heads/tally/1" => Fault::Before(lost()),
        _ => Fault::None,
    });
    assert!(matches!(
        reactor.unpark(&one).await,
        Err(StoreError::Unavailable(_) | StoreError::Unknown { .. })
    ));
    assert_eq!(parked(&bench.world.ports(), Tallying::NAME).await.expect("listed").len(), 1);
    bench.objects.faults().clear();
    assert_eq!(reactor.unpark(&one).await, Ok(Unparked::Healed(Version::new(2))));
}

#[tokio::test(start_paused = true)]
async fn what_the_domain_rejects_is_an_outcome() {
    let bench = Bench::new();
    let (one, commits) = (stream("account/1"), history([vec![added(1_300)], vec![added(14)]]));
    bench.store(&one, &commits, 0);
    assert_eq!(bench.reactor().react(&[record(1, &one, &commits)]).await, BTreeMap::new());
    assert_eq!(bench.tally("1").await.added, [14]);
    assert_eq!(bench.progress(&one), Version::new(2));
}

#[tokio::test(start_paused = true)]
async fn a_command_says_what_caused_it() {
    let bench = Bench::new();
    let one = stream("account/1");
    let mut commits = plain(2);
    let second: &mut Commit = Arc::make_mut(&mut commits[1]);
    for (name, value) in
        [("correlation", "c-1"), ("traceparent", "00-1-2-01"), ("causation", "e-1"), ("x", "y")]
    {
        second.meta.insert(name.to_owned(), value.into());
    }
    bench.store(&one, &commits, 0);
    assert_eq!(bench.reactor().react(&[record(1, &one, &commits)]).await, BTreeMap::new());
    let store = Store::new(bench.world.ports(), Settings::default());
    let written: Vec<_> = store.read(&stream("tally/1"), Version::new(1)).try_collect().await.expect("reads");
    let meta = |place: usize| serde_json::Value::Object(written[place].meta.clone());
    assert_eq!(meta(0), serde_json::json!({"correlation": "c0", "causation": "account/1@1"}), "begun");
    let carried =
        serde_json::json!({"correlation": "c-1", "causation": "account/1@2", "traceparent": "00-1-2-01"});
    assert_eq!(meta(1), carried, "carried on");
    // The ids are what a repeat is known by, so they may never change.
    let ids: Vec<_> = written.iter().map(|commit| commit.id.as_str()).collect();
    assert_eq!(ids, IDS);
}

/// The commit ids that `tallying` gives to the step `add` of `account/1@1` and `account/1@2`.
const IDS: [&str; 2] =
    ["process:92d28462-fdb1-5251-a8d1-6672e9b49b5a", "process:e0f8e343-11ef-5a69-a99c-46d013053f8c"];

#[tokio::test(start_paused = true)]
async fn a_stream_with_much_to_catch_up_on_is_written_in_between() {
    let bench = Bench::new();
    let (one, commits) = (stream("account/1"), plain(100));
    bench.store(&one, &commits, 60);
    assert_eq!(bench.reactor().react(&[record(1, &one, &commits[99..])]).await, BTreeMap::new());
    assert_eq!(bench.writes(), 4);
    assert_eq!(bench.tally("1").await.added, (1..=100).collect::<Vec<_>>());
    let calls = bench.calls.lock().expect("a lock").clone();
    let heads = calls.iter().filter(|call| *call == "Get heads/account/1").count();
    assert_eq!(heads, 1, "its head is read once for all that");
}

#[tokio::test(start_paused = true)]
async fn a_progress_that_is_never_written_brings_the_batch_again() {
    let bench = Bench::new();
    let (one, commits) = (stream("account/1"), plain(2));
    bench.store(&one, &commits, 0);
    bench.objects.faults().hook(|call| match (call.operation, call.key.starts_with("views/")) {
        (Operation::Put, true) => Fault::Before(ObjectError::Precondition),
        _ => Fault::None,
    });
    let failed = bench.reactor().react(&[record(1, &one, &commits)]).await;
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [number(1)]);
    assert_eq!(bench.tally("1").await.added, [1, 2], "however often it was reacted to");
}
