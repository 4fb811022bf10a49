//! Metrics: what a writer counts, and that it counts it once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use headwater::{
    OnConflict, Options,
    memory::{Fault, Operation, World},
    metric::{self, COMMITS, CONFLICTS, HELPS, PENDING, PUBLISH_RETRIES, RECORD_BYTES},
    port::LogError,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use crate::{
    counter::Command,
    process::{Process, named},
};

/// What was counted since the last look, and how many sizes were measured.
fn counted<const N: usize>(snapshotter: &Snapshotter, names: [&str; N]) -> [u64; N] {
    let snapshot = snapshotter.snapshot().into_vec();
    names.map(|name| {
        let found = snapshot.iter().find(|(key, ..)| key.key().name() == name);
        match found {
            None => 0,
            Some((.., DebugValue::Counter(count))) => *count,
            Some((.., DebugValue::Histogram(values))) => values.len() as u64,
            Some((.., DebugValue::Gauge(_))) => panic!("{name} is no gauge"),
        }
    })
}

/// Everything that a writer counts.
const ALL: [&str; 6] = [COMMITS, CONFLICTS, HELPS, PUBLISH_RETRIES, PENDING, RECORD_BYTES];

#[tokio::test(start_paused = true)]
async fn commands_in_one_swap_are_commits_in_one_record() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    metric::describe();
    let (world, snapshotter) = (World::new(50), recorder.snapshotter());
    let process = Process::new(&world);
    futures::future::join_all((0..10).map(|_| process.run("a", Command::Add(1)))).await;
    let [commits, .., records] = counted(&snapshotter, ALL);
    assert_eq!((commits, records), (10, process.log.records()));
    process.try_run("a", Command::Add(1), named("k")).await.expect("executed");
    process.try_run("a", Command::Add(1), named("k")).await.expect("a repeat");
    assert_eq!(counted(&snapshotter, ALL), [1, 0, 0, 0, 0, 1], "a repeat commits nothing");
}

#[tokio::test(start_paused = true)]
async fn a_lost_swap_is_a_conflict_whatever_comes_of_it() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (world, snapshotter) = (World::new(51), recorder.snapshotter());
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    Process::new(&world).run("a", Command::Add(1)).await;
    counted(&snapshotter, ALL);
    process.run("a", Command::Add(1)).await;
    let [commits, conflicts, ..] = counted(&snapshotter, ALL);
    assert_eq!((commits, conflicts), (1, 1), "it was decided again");
    Process::new(&world).run("a", Command::Add(1)).await;
    counted(&snapshotter, ALL);
    let abandon = Options { on_conflict: OnConflict::Abandon, ..Options::default() };
    process.try_run("a", Command::Add(1), abandon).await.expect_err("a conflict");
    let [commits, conflicts, ..] = counted(&snapshotter, ALL);
    assert_eq!((commits, conflicts), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_kinesis_does_not_take_is_pending_and_then_helped() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (world, snapshotter) = (World::new(52), recorder.snapshotter());
    let dead = Process::new(&world);
    dead.log.faults().hook(|_| Fault::Before(LogError::Unknown("down".into())));
    dead.run("a", Command::Add(1)).await;
    let [commits, conflicts, helps, retries, pending, records] = counted(&snapshotter, ALL);
    assert_eq!((commits, conflicts, helps, pending, records), (1, 0, 0, 1, 0));
    assert_eq!(retries, dead.log.faults().calls(Operation::PutRecords), "each is sent again");
    Process::new(&world).run("a", Command::Add(1)).await;
    let [commits, _, helps, _, pending, records] = counted(&snapshotter, ALL);
    assert_eq!((commits, helps, pending, records), (1, 1, 0, 2), "one record is the help");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_throttled_is_one_retry() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (world, snapshotter) = (World::new(53), recorder.snapshotter());
    let process = Process::new(&world);
    let seen = Arc::new(Mutex::new(HashSet::new()));
    process
        .log
        .throttle(move |entry| entry.key.ends_with('7') && seen.lock().unwrap().insert(entry.key.clone()));
    let ids: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    futures::future::join_all(ids.iter().map(|id| process.run(id, Command::Add(1)))).await;
    assert_eq!(process.store.drain(Duration::from_mins(1)).await, 0);
    assert_eq!(counted(&snapshotter, ALL), [100, 0, 0, 10, 0, 100]);
}
