//! What a command costs: requests, counted.

use headwater::{
    ExecuteError, Expected, OnConflict, Options, StoreError, Version,
    format::{key, watermark::Watermark},
    memory::World,
    port::Clock,
};

use crate::{
    counter::Command,
    process::{Process, published},
};

#[tokio::test(start_paused = true)]
async fn a_warm_command_is_one_put_and_one_record() {
    let world = World::new(1);
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    assert_eq!(process.counts(), (1, 1, 1), "a cold command has one GET more");
    process.run("a", Command::Add(1)).await;
    assert_eq!(process.counts(), (1, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_cold_command_on_a_settled_stream_has_one_get_more_and_no_repeat() {
    let world = World::new(1);
    Process::new(&world).run("a", Command::Add(1)).await;
    Process::new(&world).run("b", Command::Add(1)).await;
    world.clock.advance(std::time::Duration::from_secs(5));
    let mark = Watermark::new(world.clock.now());
    world.objects.insert(key::WATERMARK, mark.encode().expect("encodes"));

    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    assert_eq!(process.counts(), (2, 1, 1), "the head, and once the watermark");
    process.run("b", Command::Add(1)).await;
    assert_eq!(process.counts(), (3, 2, 2));
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn reading_an_unchanged_stream_again_costs_no_body() {
    let world = World::new(1);
    Process::new(&world).run("a", Command::Add(3)).await;
    let process = Process::new(&world);
    assert_eq!(process.sum("a").await, (3, 1));
    assert_eq!((process.counts().0, process.objects.bodies()), (1, 1));
    assert_eq!(process.sum("a").await, (3, 1));
    assert_eq!((process.counts().0, process.objects.bodies()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_for_one_stream_are_committed_together() {
    let world = World::new(1);
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    let before = process.counts();
    let all = (0..200).map(|_| process.run("a", Command::Add(1)));
    let mut versions: Vec<Version> =
        futures::future::join_all(all).await.into_iter().map(|executed| executed.token.version).collect();
    versions.sort();
    assert_eq!(versions, (2..=201).map(Version::new).collect::<Vec<_>>(), "each has a version of its own");
    let after = process.counts();
    assert!(after.1 - before.1 <= 3 && after.2 - before.2 <= 3, "{before:?} {after:?}");
    assert_eq!(process.sum("a").await, (201, 201));
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_that_is_expected_to_be_one_is_one_put_without_a_get() {
    let world = World::new(1);
    let process = Process::new(&world);
    let new = || Options { expected: Expected::NoStream, ..Options::default() };
    process.try_run("a", Command::Add(1), new()).await.expect("a new stream");
    assert_eq!(process.counts(), (0, 1, 1));

    // Where it is wrong, that costs the PUT that found it out, and is no loss for whoever waits behind.
    Process::new(&world).run("b", Command::Add(1)).await;
    let process = Process::new(&world);
    let abandon = Options { on_conflict: OnConflict::Abandon, ..Options::default() };
    let (new, any) = tokio::join!(
        process.try_run("b", Command::Add(1), new()),
        process.try_run("b", Command::Add(1), abandon),
    );
    assert!(matches!(new, Err(ExecuteError::Store(StoreError::Conflict { .. }))), "{new:?}");
    assert_eq!(any.expect("nobody was first").token.version, Version::new(2));
    assert_eq!((process.counts().1, process.sum("b").await), (2, (2, 2)));
}
