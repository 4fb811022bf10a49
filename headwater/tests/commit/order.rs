//! Order across processes that die between commit and publish (H3, H4, H5).

use headwater::{
    Options, Version,
    memory::{Fault, Operation, World},
    port::LogError,
};

use crate::{
    counter::Command,
    process::{Process, assert_order, head, named, published},
};

/// A process that will never publish anything again.
fn mute(process: &Process) {
    process.log.faults().hook(|_| Fault::Before(LogError::Unknown("injected".into())));
}

#[tokio::test(start_paused = true)]
async fn the_next_writer_publishes_what_a_dead_one_could_not() {
    let world = World::new(30);
    let dead = Process::new(&world);
    mute(&dead);
    dead.try_run("a", Command::Add(1), named("k")).await.expect("committed, and pending");
    assert!(published(&world, "a").is_empty());
    let next = Process::new(&world);
    next.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)]);
    assert_order(&world, &next, "a").await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_publishes_what_its_first_call_could_not() {
    let world = World::new(31);
    let dead = Process::new(&world);
    mute(&dead);
    dead.try_run("a", Command::Add(1), named("k")).await.expect("committed, and pending");
    let again = Process::new(&world).try_run("a", Command::Add(1), named("k")).await.expect("executed");
    assert!(again.repeat);
    assert_eq!(published(&world, "a"), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_publish_commits_one_write_and_no_more() {
    let world = World::new(32);
    let process = Process::new(&world);
    mute(&process);
    process.run("a", Command::Add(1)).await;
    let second = process.try_run("a", Command::Add(1), Options::default()).await;
    second.expect_err("the first is not published yet");
    assert_eq!(head(&world, "a").version, Version::new(1), "H5");
}

#[tokio::test(start_paused = true)]
async fn a_group_is_helped_as_a_whole() {
    let world = World::new(33);
    let dead = Process::new(&world);
    dead.run("a", Command::Add(1)).await;
    mute(&dead);
    futures::future::join_all((0..10).map(|_| dead.run("a", Command::Burst(2)))).await;
    let unpublished = head(&world, "a").newest_write;
    let next = Process::new(&world);
    next.run("a", Command::Add(1)).await;
    assert!(unpublished < head(&world, "a").version);
    assert_order(&world, &next, "a").await;
    let newest = head(&world, "a").version.get();
    assert_eq!(published(&world, "a").last(), Some(&(newest, newest)));
}

#[tokio::test(start_paused = true)]
async fn writers_that_take_turns_and_die_at_every_step_keep_the_order() {
    for seed in 0..40 {
        let world = World::new(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        for turn in 0..30 {
            let process = Process::new(&world);
            if random.bool() {
                mute(&process);
            }
            if random.u8(..4) == 0 {
                let fault = if random.bool() { Fault::After(crate::process::unknown()) } else { Fault::None };
                process.objects.faults().script(Operation::Put, [fault]);
            }
            let command =
                process.try_run("a", Command::Burst(random.usize(1..4)), named(&format!("c{turn}")));
            // The process dies after some steps, wherever it is; its caller repeats the command elsewhere.
            let time = std::time::Duration::from_micros(random.u64(..4_000));
            drop(tokio::time::timeout(time, command).await);
        }
        let last = Process::new(&world);
        last.run("a", Command::Add(1)).await;
        assert_order(&world, &last, "a").await;
    }
}
