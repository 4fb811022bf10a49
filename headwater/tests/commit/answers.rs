//! Answers that are lost, late, repeated or no answer at all: a command commits once, and is never told wrong (H1, H8).

use std::time::Duration;

use headwater::{
    ExecuteError, Options, Publication, StoreError, Version,
    format::commit::Meta,
    memory::{Fault, Operation, World},
    port::ObjectError,
};
use serde_json::Value;

use crate::{
    counter::Command,
    process::{Process, assert_order, head, named, published, stream, unknown},
};

/// Runs one warm command whose PUT meets `faults`, and asserts that it commits exactly once.
async fn commits_once(faults: Vec<Fault<ObjectError>>) {
    let world = World::new(2);
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    process.objects.faults().script(Operation::Put, faults);
    let executed = process.run("a", Command::Add(10)).await;
    assert_eq!((executed.state.sum, executed.token.version), (11, Version::new(2)));
    assert!(!executed.repeat, "it is this call that committed");
    assert_eq!(Process::new(&world).sum("a").await, (11, 2));
    process.run("a", Command::Add(100)).await;
    assert_eq!(
        published(&world, "a"),
        [(1, 1), (2, 2), (3, 3)],
        "no help is needed: it is known to be published"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_commits_once() {
    commits_once(vec![Fault::After(unknown())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_412_against_the_own_write_is_success() {
    commits_once(vec![Fault::After(ObjectError::Precondition)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_done_is_done_again() {
    commits_once(vec![Fault::Before(unknown()), Fault::Before(unknown()), Fault::After(unknown())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_409_is_tried_again() {
    commits_once(vec![Fault::Before(ObjectError::InFlight); 3]).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_done_late_commits_once() {
    for millis in [1, 5, 12, 30, 100, 1_000] {
        commits_once(vec![Fault::Late(unknown(), Duration::from_millis(millis))]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_at_the_deadline_is_never_a_conflict_and_its_repeat_commits_once() {
    for stands in [false, true] {
        let world = World::new(3);
        let process = Process::hasty(&world, Duration::from_secs(2));
        process.run("a", Command::Add(1)).await;
        let fault = move || if stands { Fault::After(unknown()) } else { Fault::Before(unknown()) };
        process.objects.faults().script(Operation::Put, [fault()]);
        // Nothing can be learned: no answer to any read or write from here on.
        let blind = |call: &headwater::memory::Call| match call.operation {
            Operation::Get | Operation::Put => Fault::Before(unknown()),
            _ => Fault::None,
        };
        process.objects.faults().hook(blind);
        let answer = process.try_run("a", Command::Add(10), named("key-1")).await;
        let Err(ExecuteError::Store(StoreError::Unknown { commit, .. })) = answer else {
            panic!("not unknown: {answer:?}");
        };
        assert_eq!(commit.as_str(), "key-1");

        process.objects.faults().clear();
        let executed = process.try_run("a", Command::Add(10), named("key-1")).await.expect("executed");
        assert_eq!((executed.state.sum, executed.repeat), (11, stands));
        assert_eq!(process.sum("a").await, (11, 2));
        assert_order(&world, &process, "a").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_attempt_that_may_still_land_is_unknown() {
    let world = World::new(13);
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    let late = Fault::Late(unknown(), Duration::from_secs(5));
    process
        .objects
        .faults()
        .script(Operation::Put, [late, Fault::Before(ObjectError::Refused("forbidden".into()))]);
    let answer = process.try_run("a", Command::Add(10), named("k")).await;
    assert!(matches!(answer, Err(ExecuteError::Store(StoreError::Unknown { .. }))), "{answer:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let again = process.try_run("a", Command::Add(10), named("k")).await.expect("executed");
    assert_eq!((again.state.sum, again.repeat), (11, true));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_gets_the_first_answer_from_any_process() {
    let world = World::new(4);
    let first = Process::new(&world);
    let other = Process::new(&world);
    first.try_run("a", Command::Burst(3), named("k")).await.expect("executed");
    first.run("a", Command::Add(50)).await;
    for process in [&first, &other, &Process::new(&world)] {
        let again = process.try_run("a", Command::Burst(3), named("k")).await.expect("executed");
        assert!(again.repeat);
        assert_eq!((again.state.sum, again.token.version), (3, Version::new(3)), "the first answer");
        assert_eq!(again.commit.map(|commit| commit.first), Some(Version::new(1)));
    }
    assert_eq!(other.sum("a").await, (53, 4));
}

#[tokio::test(start_paused = true)]
async fn repeats_that_race_commit_once() {
    let world = World::new(5);
    let processes = [Process::new(&world), Process::new(&world), Process::new(&world)];
    let calls = (0..30).map(|number| {
        let meta = [("call".to_owned(), number.into())].into_iter().collect();
        processes[number % 3].try_run("a", Command::Add(1), Options { meta, ..named("k") })
    });
    let answers = futures::future::join_all(calls).await;
    let first = answers.iter().filter(|answer| !answer.as_ref().expect("executed").repeat).count();
    assert_eq!(first, 1, "one is the first, the others repeats");
    assert_eq!(processes[0].sum("a").await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_seen_by_every_load_that_begins_later() {
    let world = World::new(6);
    let (writer, reader) = (Process::new(&world), Process::new(&world));
    for number in 1..=20_u32 {
        writer.run("a", Command::Add(1)).await;
        assert_eq!(reader.sum("a").await, (i64::from(number), u64::from(number)), "H7");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_stands_on_the_newest_state() {
    let world = World::new(7);
    let (here, there) = (Process::new(&world), Process::new(&world));
    here.run("a", Command::Add(90)).await;
    there.run("a", Command::Add(-80)).await;
    // What this process has in its cache says no; what it does not know yet says yes.
    let command = || Command::AddUpTo { add: 50, most: 100 };
    assert_eq!(here.try_run("a", command(), named("k")).await.expect("executed").state.sum, 60);
    let refused = here.try_run("a", command(), named("l")).await.expect_err("too much");
    assert!(matches!(refused, ExecuteError::Rejected(rejection) if rejection.sum == 60));
    assert_eq!(head(&world, "a").version, Version::new(3), "a rejection commits nothing");
}

#[tokio::test(start_paused = true)]
async fn a_decision_for_nothing_commits_nothing() {
    let world = World::new(8);
    let process = Process::new(&world);
    let executed = process.run("a", Command::Nothing).await;
    assert!(executed.commit.is_none());
    assert_eq!((executed.token.version, executed.publication), (Version::ZERO, Publication::Published));
    assert!(world.objects.all("").is_empty() && world.log.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_domain_harms_one_command() {
    let world = World::new(9);
    let process = Process::new(&world);
    let (bad, good) = tokio::join!(
        process.try_run("a", Command::Panic, named("k")),
        process.try_run("a", Command::Add(1), named("l"))
    );
    assert!(
        matches!(bad, Err(ExecuteError::Store(StoreError::Corrupt { reason, .. })) if reason.contains("a bug"))
    );
    assert_eq!(good.expect("executed").state.sum, 1);
}

#[tokio::test(start_paused = true)]
async fn what_kinesis_would_refuse_is_refused_before_anything_is_written() {
    let world = World::new(10);
    let process = Process::new(&world);
    let answer = process.try_run("a", Command::Note("x".repeat(1 << 20)), named("k")).await;
    let Err(ExecuteError::Store(StoreError::Invalid { field, rule })) = answer else { panic!("{answer:?}") };
    assert_eq!(field, "events");
    assert!(rule.contains("1048576"), "{rule}");
    let answer = process.try_run("a", Command::Burst(1_001), named("k")).await;
    assert!(matches!(answer, Err(ExecuteError::Store(StoreError::Invalid { field: "events", .. }))));
    let answer = process.try_run("..", Command::Add(1), named("k")).await;
    assert!(matches!(answer, Err(ExecuteError::Store(StoreError::Invalid { field: "stream id", .. }))));
    assert!(world.objects.all("").is_empty() && world.log.records().is_empty(), "nothing is half done");
}

#[tokio::test(start_paused = true)]
async fn a_missing_bucket_is_said_to_be_one_and_nothing_is_committed() {
    let world = World::new(11);
    let process = Process::new(&world);
    process
        .objects
        .faults()
        .script(Operation::Put, [Fault::Before(ObjectError::Refused("no such bucket".into()))]);
    let answer = process.try_run("a", Command::Add(1), named("k")).await;
    assert!(
        matches!(answer, Err(ExecuteError::Store(StoreError::Denied(why))) if why.to_string().ends_with("no such bucket"))
    );
    assert_eq!(process.run("a", Command::Add(1)).await.token.version, Version::new(1));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_was_deleted_is_corruption_and_no_new_stream() {
    let world = World::new(12);
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    assert!(world.objects.remove(&headwater::format::key::head(&stream("a"))));
    let answer = process.try_run("a", Command::Add(1), named("k")).await;
    assert!(matches!(answer, Err(ExecuteError::Store(StoreError::Corrupt { .. }))), "{answer:?}");
    assert!(world.objects.all("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_time_is_stored_in_milliseconds_or_refused() {
    let world = World::new(1);
    let process = Process::new(&world);
    let at = |text: &str| Options { at: Some(text.parse().expect("a time")), ..Options::default() };
    let executed = process.try_run("a", Command::Add(1), at("2026-11-21T19:30:00.123456789Z")).await;
    let commit = executed.expect("executed").commit.expect("a commit");
    assert_eq!(commit.at.to_string(), "2026-11-21T19:30:00.123Z");
    let refused = process.try_run("a", Command::Add(1), at("9999-12-30T22:00:00.999999999Z")).await;
    let error = refused.expect_err("no archive could hold it");
    assert!(matches!(error, ExecuteError::Store(StoreError::Invalid { field: "at", .. })), "{error}");
    assert_eq!(process.sum("a").await, (1, 1), "and the next command finds nothing of it");
}

#[tokio::test(start_paused = true)]
async fn meta_that_a_head_could_not_be_read_with_is_refused() {
    let world = World::new(1);
    let process = Process::new(&world);
    let nested = |levels: usize| {
        let value = (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        Options { meta: Meta::from_iter([("by".to_owned(), value)]), ..Options::default() }
    };
    let error = process.try_run("a", Command::Add(1), nested(33)).await.expect_err("too deep");
    assert!(matches!(error, ExecuteError::Store(StoreError::Invalid { field: "meta", .. })), "{error}");
    process.try_run("a", Command::Add(1), nested(32)).await.expect("executed");
    assert_eq!(Process::new(&world).sum("a").await, (1, 1), "every process can read it");
}
