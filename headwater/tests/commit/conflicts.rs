//! Competing writers: retry, abandon, merge.

use headwater::{ExecuteError, Expected, OnConflict, Options, Schemas, StoreError, Version, memory::World};

use crate::{
    counter::{Command, Counter, Event},
    process::{Answer, Process, assert_order, stream},
};

fn conflict(answer: Answer) -> (Option<u64>, u64) {
    match answer {
        Err(ExecuteError::Store(StoreError::Conflict { expected, actual, .. })) => {
            (expected.map(Version::get), actual.get())
        }
        other => panic!("no conflict: {other:?}"),
    }
}

fn options(expected: Expected, on_conflict: OnConflict) -> Options {
    Options { expected, on_conflict, ..Options::default() }
}

fn exact(version: u64) -> Options {
    options(Expected::Exact(Version::new(version)), OnConflict::Retry)
}

/// A process whose cache is one commit behind: what it does next meets a conflict.
async fn behind(world: &World) -> Process {
    let process = Process::new(world);
    process.run("a", Command::Add(1)).await;
    Process::new(world).run("a", Command::Add(10)).await;
    process
}

#[tokio::test(start_paused = true)]
async fn an_expected_version_is_kept_or_is_a_conflict() {
    let world = World::new(20);
    let process = Process::new(&world);
    let new = || options(Expected::NoStream, OnConflict::Retry);
    assert_eq!(conflict(process.try_run("a", Command::Add(1), exact(1)).await), (Some(1), 0));
    process.try_run("a", Command::Add(1), new()).await.expect("a new stream");
    assert_eq!(conflict(process.try_run("a", Command::Add(1), new()).await), (Some(0), 1));
    process.try_run("a", Command::Add(1), exact(1)).await.expect("at version 1");
    assert_eq!(conflict(process.try_run("a", Command::Add(1), exact(1)).await), (Some(1), 2));
    assert_eq!(process.sum("a").await, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_expected_version_is_compared_with_the_newest_and_not_with_the_cache() {
    let world = World::new(21);
    let process = behind(&world).await;
    assert_eq!(process.try_run("a", Command::Add(100), exact(2)).await.expect("at version 2").state.sum, 111);
}

/// Of calls that are made together none takes the place of one before it, whatever others write meanwhile.
#[tokio::test(start_paused = true)]
async fn a_commit_that_is_to_be_behind_another_is_right_behind_it_or_a_conflict() {
    let world = World::new(29);
    let process = behind(&world).await;
    let after = |before: &str, id: &str| Options {
        commit_id: Some(id.parse().expect("an id")),
        ..options(Expected::After(before.parse().expect("an id")), OnConflict::Retry)
    };
    // The cache is behind: there each would find its version.
    let own = Options { commit_id: Some("own".parse().expect("an id")), ..exact(1) };
    let (first, second) = tokio::join!(
        process.try_run("a", Command::Add(100), own),
        process.try_run("a", Command::Add(1_000), after("own", "next"))
    );
    assert_eq!((conflict(first), conflict(second)), ((Some(1), 2), (None, 2)));

    let newest = process.run("a", Command::Add(1)).await.commit.expect("a commit").id.to_string();
    let (first, second, third) = tokio::join!(
        process.try_run("a", Command::Add(100), after(&newest, "one")),
        process.try_run("a", Command::Add(100), after("one", "two")),
        process.try_run("a", Command::Add(100), after("one", "three"))
    );
    assert_eq!(
        (first.expect("behind").token.version, second.expect("behind").token.version),
        (Version::new(4), Version::new(5))
    );
    assert_eq!(conflict(third), (None, 5));
    let merged = Options { on_conflict: OnConflict::Merge, ..after("one", "four") };
    assert_eq!(conflict(process.try_run("a", Command::Add(1), merged).await), (None, 5));
    assert_eq!(conflict(process.try_run("b", Command::Add(1), after("one", "five")).await), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn retry_decides_again_on_what_others_committed() {
    let world = World::new(22);
    let process = behind(&world).await;
    assert_eq!(process.run("a", Command::Add(100)).await.state.sum, 111);
}

#[tokio::test(start_paused = true)]
async fn abandon_tells_of_the_conflict() {
    let world = World::new(23);
    let process = behind(&world).await;
    let abandon = || options(Expected::Any, OnConflict::Abandon);
    assert_eq!(conflict(process.try_run("a", Command::Add(100), abandon()).await), (None, 2));
    process.try_run("a", Command::Add(100), abandon()).await.expect("now it knows");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_had_no_room_in_a_lost_write_has_lost_nothing() {
    let world = World::new(28);
    let process = behind(&world).await;
    let abandon = || options(Expected::Any, OnConflict::Abandon);
    let (large, second) = tokio::join!(
        process.try_run("a", Command::Note("x".repeat(900_000)), abandon()),
        process.try_run("a", Command::Note("y".repeat(900_000)), abandon()),
    );
    assert_eq!(conflict(large), (None, 2));
    assert_eq!(second.expect("it was never tried before").token.version, Version::new(3));
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_on_a_draft_that_lost_is_decided_again_and_not_merged() {
    let world = World::new(29);
    let process = behind(&world).await;
    let (first, second) = tokio::join!(
        process.try_run("a", Command::Add(5), options(Expected::Any, OnConflict::Abandon)),
        // It stands on the draft of the first, at version 2; what then stands at version 2 is somebody else's.
        process.try_run(
            "a",
            Command::AddUpTo { add: 20, most: 30 },
            options(Expected::Any, OnConflict::Merge)
        ),
    );
    assert_eq!(conflict(first), (None, 2));
    assert!(matches!(second, Err(ExecuteError::Rejected(rejection)) if rejection.sum == 11));
}

#[tokio::test(start_paused = true)]
async fn what_an_older_state_refuses_is_asked_of_the_newest_before_it_is_refused() {
    let world = World::new(34);
    let process = Process::new(&world);
    process.run("a", Command::Add(50)).await;
    process.run("a", Command::Add(-50)).await;
    let merge = || options(Expected::Exact(Version::new(1)), OnConflict::Merge);
    let up_to = |most| Command::AddUpTo { add: 10, most };
    let done = process.try_run("a", up_to(20), merge()).await.expect("the newest state allows it");
    assert_eq!((done.state.sum, done.token.version), (10, Version::new(3)));
    let refused = process.try_run("a", up_to(15), merge()).await;
    assert!(
        matches!(refused, Err(ExecuteError::Rejected(rejection)) if rejection.sum == 10),
        "the newest sum"
    );
}

#[tokio::test(start_paused = true)]
async fn merge_puts_the_same_events_on_top_if_the_aggregate_agrees() {
    let world = World::new(24);
    let merge = |version| options(Expected::Exact(Version::new(version)), OnConflict::Merge);
    let process = behind(&world).await;
    assert_eq!(process.try_run("a", Command::Add(20), merge(1)).await.expect("merged").state.sum, 31);
    assert_eq!(process.try_run("a", Command::Add(20), merge(1)).await.expect("merged").state.sum, 51);
    assert_eq!(conflict(process.try_run("a", Command::Add(60), merge(1)).await), (Some(1), 4));

    let process = behind(&world).await;
    let any = options(Expected::Any, OnConflict::Merge);
    assert_eq!(process.try_run("a", Command::Add(1), any).await.expect("merged").state.sum, 63);
}

#[tokio::test(start_paused = true)]
async fn four_processes_that_race_lose_nothing() {
    let world = World::new(25);
    let processes: Vec<Process> = (0..4).map(|_| Process::new(&world)).collect();
    let work = processes.iter().map(|process| async move {
        let mut done = 0;
        for number in 0..50 {
            match process.try_run(&format!("{}", number % 3), Command::Add(1), Options::default()).await {
                Ok(_) => done += 1,
                Err(ExecuteError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => panic!("{error}"),
            }
        }
        done
    });
    let done: i64 = futures::future::join_all(work).await.into_iter().sum();
    let mut sum = 0;
    for id in ["0", "1", "2"] {
        assert_order(&world, &processes[0], id).await;
        sum += processes[0].sum(id).await.0;
    }
    assert_eq!(sum, done);
    assert!(done > 100, "most get through: {done}");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_loses_is_decided_again_as_a_whole() {
    let world = World::new(26);
    let process = behind(&world).await;
    let most = |add| Command::AddUpTo { add, most: 40 };
    let (one, two, three) = tokio::join!(
        process.try_run("a", most(20), Options::default()),
        process.try_run("a", most(20), Options::default()),
        process.try_run("a", most(5), Options::default()),
    );
    assert_eq!(one.expect("fits").state.sum, 31);
    assert!(matches!(two, Err(ExecuteError::Rejected(rejection)) if rejection.sum == 31));
    assert_eq!(three.expect("fits").state.sum, 36);
}

#[tokio::test(start_paused = true)]
async fn appended_events_are_events_like_others() {
    let world = World::new(27);
    let process = Process::new(&world);
    let event = Schemas::FIRST.encode(&Event::Added(4)).expect("an event");
    let appended = process.store.append(&stream("a"), vec![event.clone(); 2], Options::default()).await;
    assert_eq!(appended.expect("appended").commit.last, Version::new(2));
    assert_eq!(process.run("a", Command::Add(1)).await.state, Counter { sum: 9, events: 3 });
    process.store.append(&stream("a"), vec![event], Options::default()).await.expect("appended");
    assert_eq!(process.run("a", Command::Add(1)).await.state, Counter { sum: 14, events: 5 });
}
