//! Snapshots are believed only where they fit the events that they were made from.

use headwater::{
    Version,
    format::{
        head::{Head, Snapshot},
        key,
    },
    memory::World,
};
use serde_json::value::RawValue;

use crate::{
    counter::{Command, Counter},
    process::{Process, head, named, stream},
};

fn state(sum: i64, events: u64) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"sum":{sum},"events":{events}}}"#)).expect("JSON")
}

/// Sets a head with another snapshot, without being asked.
fn set(world: &World, mut head: Head, snapshot: Snapshot) {
    head.snapshot = Some(snapshot);
    world.objects.insert(&key::head(&head.stream), head.encode().expect("encodes"));
}

/// A stream of so many additions with notes in between, long enough for pages.
async fn long(world: &World, additions: usize) {
    let process = Process::new(world);
    for number in 0..additions {
        let note = Command::Note("x".repeat(2_048));
        process.try_run("a", note, named(&format!("n{number}"))).await.expect("executed");
        process.try_run("a", Command::Add(1), named(&format!("a{number}"))).await.expect("executed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_says_something_else_than_its_events_is_not_believed() {
    let world = World::new(90);
    let process = Process::new(&world);
    process.run("a", Command::Add(100)).await;
    process.run("a", Command::Add(20)).await;
    let whole = head(&world, "a");
    let claimed = Snapshot { schema: 1, version: whole.version, state: state(777_777, 2), binding: None };
    // Bound to other events, or to those of another stream.
    process.run("b", Command::Add(777_657)).await;
    process.run("b", Command::Add(120)).await;
    let (mut other, mut foreign) = (head(&world, "b"), whole.clone());
    other.stream = stream("a");
    foreign.stream = stream("b");
    for snapshot in [
        claimed.clone(),
        claimed.clone().bound_to(&other),
        claimed.clone().bound_to(&foreign),
        Snapshot {
            state: state(777_777, 2),
            ..Snapshot { state: state(120, 2), ..claimed }.bound_to(&whole)
        },
    ] {
        set(&world, whole.clone(), snapshot);
        let cold = Process::new(&world);
        assert_eq!(cold.sum("a").await, (120, 2));
        let most = Command::AddUpTo { add: 500_000, most: 777_777 };
        let executed = cold.run("a", most).await;
        assert_eq!((executed.state.sum, executed.token.version), (500_120, Version::new(3)));
        assert!(head(&world, "a").snapshot.is_none(), "the next write leaves it out");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_does_not_fit_costs_one_fold_and_is_replaced() {
    for older_version in [true, false] {
        let world = World::new(91);
        long(&world, 60).await;
        let whole = head(&world, "a");
        let pages = whole.pages.len() as u64;
        let made = whole.snapshot.clone().expect("a snapshot");
        assert!(pages > 1 && made.fits(&whole));
        let snapshot = if older_version {
            Snapshot { binding: None, ..made }
        } else {
            Snapshot { state: state(777_777, made.version.get()), ..made }
        };
        set(&world, whole, snapshot);
        let cold = Process::new(&world);
        assert_eq!(cold.sum("a").await, (60, 120));
        assert_eq!(cold.counts().0, 1 + pages, "the events are folded");
        cold.run("a", Command::Add(1)).await;
        let written = head(&world, "a");
        assert!(written.snapshot.as_ref().is_some_and(|snapshot| snapshot.fits(&written)));
        let next = Process::new(&world);
        assert_eq!(next.sum("a").await, (61, 121));
        assert_eq!(next.counts().0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_whose_events_have_all_moved_to_pages_is_made_anew() {
    let world = World::new(92);
    long(&world, 40).await;
    // One write that is larger than what a head keeps moves everything before it.
    let process = Process::new(&world);
    for number in 0..2 {
        let text = "x".repeat(3 * headwater::limits::HEAD_KEPT_BYTES);
        process.try_run("a", Command::Note(text), named(&format!("large{number}"))).await.expect("executed");
        let written = head(&world, "a");
        assert_eq!(written.commits.len(), 1, "all but the newest write are in pages");
        let snapshot = written.snapshot.as_ref().expect("a snapshot");
        assert!(snapshot.fits(&written));
        let next = Process::new(&world);
        assert_eq!(next.store.load::<Counter>("a").await.expect("loads").state.sum, 40);
        assert_eq!(next.counts().0, 1);
    }
}
