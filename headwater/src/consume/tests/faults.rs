//! H11 when the world fails: lost answers, lost races, crashes at every await, and views that are none.

use std::{collections::BTreeMap, sync::Arc};

use super::{Bench, number, plain, record, run_for, stream};
use crate::{
    format::{commit::Commit, key},
    id::{StreamId, Version},
    memory::{Fault, Operation},
    port::{Arrival, ObjectError},
};

fn lost() -> ObjectError {
    ObjectError::Unknown("lost".into())
}

/// Two views, a gap with pages, a repeat.
fn scene(bench: &Bench) -> (BTreeMap<StreamId, Vec<Arc<Commit>>>, Vec<Arrival>) {
    let (one, two, commits) = (stream("account/a-1"), stream("account/b-1"), plain(6));
    bench.store(&one, &commits, 4);
    bench.store(&two, &commits, 0);
    let batch = vec![
        record(1, &one, &commits[..1]),
        record(2, &one, &commits[4..5]),
        record(3, &two, &commits[..3]),
        record(4, &two, &commits[1..6]),
        record(5, &one, &commits[5..6]),
        record(6, &two, &commits[3..6]),
    ];
    (BTreeMap::from([(one, commits.clone()), (two, commits)]), batch)
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_applies_nothing_twice_and_loses_nothing() {
    for steps in 0.. {
        let bench = Bench::new();
        let (histories, batch) = scene(&bench);
        let ended = run_for(steps, bench.projector().project(&batch)).await;
        bench.check(&histories);
        assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
        bench.check_complete(&histories);
        if ended {
            assert!(steps >= 8, "there are that many awaits to crash at, at least");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_decided_by_the_versions_that_stand() {
    for fault in [Fault::After(lost()), Fault::Before(lost()), Fault::Before(ObjectError::InFlight)] {
        let bench = Bench::new();
        let (histories, batch) = scene(&bench);
        bench.objects.faults().script(Operation::Put, [fault.clone(), fault.clone()]);
        assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
        bench.check_complete(&histories);
        let done = matches!(fault, Fault::After(_));
        assert_eq!(bench.objects.faults().calls(Operation::Put), if done { 2 } else { 4 }, "{fault:?}");
        let calls = bench.calls.lock().expect("a lock").clone();
        let heads = calls.iter().filter(|call| *call == "Get heads/account/a-1").count();
        assert_eq!(heads, 1, "a head is read once in all rounds: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_folded_again_on_what_the_winner_wrote() {
    let bench = Bench::new();
    let (histories, batch) = scene(&bench);
    let (slow, fast) = (bench.projector(), bench.projector());
    bench.objects.faults().script(Operation::Put, vec![Fault::Delay(std::time::Duration::from_secs(1)); 2]);
    let late = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        fast.project(&batch[..4]).await
    };
    let (first, second) = tokio::join!(slow.project(&batch), late);
    assert_eq!((first, second), (BTreeMap::new(), BTreeMap::new()));
    bench.check_complete(&histories);
    let calls = bench.calls.lock().expect("a lock").clone();
    let heads = calls.iter().filter(|call| call.starts_with("Get heads/")).count();
    assert_eq!(heads, 2, "each handler reads the gapped head once, in all its rounds: {calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_race_without_end_is_a_failure_of_the_world() {
    let bench = Bench::new();
    let (histories, batch) = scene(&bench);
    bench.objects.faults().hook(|call| match (call.operation, call.key.as_str()) {
        (Operation::Put, "views/seeing/b") => Fault::Before(ObjectError::Precondition),
        _ => Fault::None,
    });
    let failed = bench.projector().project(&batch).await;
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [number(3)], "the first record that feeds the view");
    bench.check(&histories);
    bench.objects.faults().clear();
    assert_eq!(bench.projector().project(&batch[2..]).await, BTreeMap::new());
    bench.check_complete(&histories);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_not_answered_brings_the_batch_again() {
    let bench = Bench::new();
    let (histories, batch) = scene(&bench);
    bench.objects.faults().hook(|call| match call.key.as_str() {
        "heads/account/a-1" => Fault::Before(lost()),
        _ => Fault::None,
    });
    let failed = bench.projector().project(&batch).await;
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [number(1)]);
    assert!(bench.view("a").is_none(), "nothing half done");
    bench.objects.faults().clear();
    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    bench.check_complete(&histories);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_cannot_be_read_stops_nothing_and_is_healed_once_it_is_gone() {
    let bench = Bench::new();
    let (histories, batch) = scene(&bench);
    let object = key::view("seeing", "a");
    bench.world.objects.insert(&object, r#"{"format":1,"state":"of another shape","applied":{}}"#);
    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    assert_eq!(bench.view("b").expect("a view").applied(&stream("account/b-1")), Version::new(6));
    assert!(bench.world.objects.remove(&object));
    assert_eq!(bench.projector().project(&batch[4..]).await, BTreeMap::new());
    bench.check_complete(&histories);
}
