//! What a writer publishes again goes by the watermark: one that can't be read is not a missing one, for the archive may have
//! forgotten the commit long ago (H10).

use std::time::Duration;

use headwater::{
    ExecuteError, Options, StoreError,
    format::{head::Head, key, record::Record, watermark::Watermark},
    memory::{Fault, Operation, World},
    port::{Clock, Entry, Log, LogError},
};
use tokio::time::sleep;

use crate::{
    counter::Command,
    member::Wish,
    process::{Answer, Process, named, published, unknown},
};

const WEEK: Duration = Duration::from_hours(7 * 24);

fn relay_has_passed(world: &World) {
    let mark = Watermark::new(world.clock.now());
    world.objects.insert(key::WATERMARK, mark.encode().expect("encodes"));
}

/// From now on the watermark can't be read.
fn blind(process: &Process) {
    process.objects.faults().hook(|call| match call.operation {
        Operation::Get if call.key == key::WATERMARK => Fault::Before(unknown()),
        _ => Fault::None,
    });
}

fn unavailable(answer: Answer) -> String {
    match answer {
        Err(ExecuteError::Store(StoreError::Unavailable(reason))) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A stream whose newest commit a process that died left unpublished.
async fn left_behind(world: &World, id: &str) {
    let dead = Process::new(world);
    dead.log.faults().hook(|_| Fault::Before(LogError::Unknown("injected".into())));
    dead.run(id, Command::Add(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_commit_is_not_published_again_while_the_watermark_cannot_be_read() {
    let world = World::new(70);
    Process::new(&world).run("a", Command::Add(1)).await;
    world.clock.advance(WEEK);
    relay_has_passed(&world);
    let process = Process::new(&world);
    blind(&process);
    let reason = unavailable(process.try_run("a", Command::Add(1), Options::default()).await);
    assert!(reason.contains(key::WATERMARK), "{reason}");
    assert_eq!(published(&world, "a"), [(1, 1)], "the archive has forgotten it");
    process.objects.faults().clear();
    process.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_watermark_that_takes_its_time_is_waited_for() {
    let world = World::new(71);
    Process::new(&world).run("a", Command::Add(1)).await;
    world.clock.advance(WEEK);
    relay_has_passed(&world);
    let process = Process::new(&world);
    process.objects.faults().hook(|call| match call.operation {
        Operation::Get if call.key == key::WATERMARK => Fault::Delay(Duration::from_secs(4)),
        _ => Fault::None,
    });
    process.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_an_old_commit_is_pending_while_the_watermark_cannot_be_read() {
    let world = World::new(72);
    Process::new(&world).try_run("a", Command::Add(1), named("k")).await.expect("executed");
    world.clock.advance(WEEK);
    relay_has_passed(&world);
    let process = Process::new(&world);
    blind(&process);
    let again = process.try_run("a", Command::Add(1), named("k")).await.expect("it is committed");
    assert_eq!((again.repeat, again.publication), (true, headwater::Publication::Pending));
    assert_eq!(published(&world, "a"), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_watermark_counts_for_as_long_as_archivers_remember() {
    let world = World::new(73);
    for id in ["old", "older"] {
        Process::new(&world).run(id, Command::Add(1)).await;
    }
    sleep(Duration::from_mins(2)).await;
    relay_has_passed(&world);
    let process = Process::new(&world);
    process.run("old", Command::Add(1)).await;
    blind(&process);
    left_behind(&world, "young").await;
    left_behind(&world, "late").await;

    sleep(Duration::from_mins(9)).await;
    process.run("young", Command::Add(1)).await;
    assert_eq!(published(&world, "young"), [(1, 1), (2, 2)], "archivers know it if it came before");

    sleep(Duration::from_mins(2)).await;
    unavailable(process.try_run("late", Command::Add(1), Options::default()).await);
    assert_eq!(published(&world, "late"), [], "it is the relay's");
    process.run("older", Command::Add(1)).await;
    assert_eq!(published(&world, "older"), [(1, 1), (2, 2)], "what a watermark covered stays covered");
}

#[tokio::test(start_paused = true)]
async fn a_watermark_of_a_newer_format_is_not_a_missing_one() {
    let world = World::new(74);
    Process::new(&world).run("a", Command::Add(1)).await;
    world.clock.advance(WEEK);
    world.objects.insert(key::WATERMARK, r#"{"format":2,"through":"2026-01-01T00:00:00Z"}"#);
    let answer = Process::new(&world).try_run("a", Command::Add(1), Options::default()).await;
    assert!(matches!(answer, Err(ExecuteError::Store(StoreError::Corrupt { .. }))), "{answer:?}");
    assert_eq!(published(&world, "a"), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_relay_an_old_commit_is_published_again() {
    let world = World::new(75);
    left_behind(&world, "a").await;
    sleep(WEEK).await;
    Process::new(&world).run("a", Command::Add(1)).await;
    assert_eq!(
        published(&world, "a"),
        [(1, 1), (2, 2)],
        "where no watermark exists archivers forget nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_for_the_same_unreadable_watermark_fail_together() {
    let world = World::new(76);
    let ids: Vec<String> = (0..50).map(|id| id.to_string()).collect();
    for id in &ids {
        Process::new(&world).run(id, Command::Add(1)).await;
    }
    world.clock.advance(WEEK);
    relay_has_passed(&world);
    let process = Process::new(&world);
    blind(&process);
    let began = tokio::time::Instant::now();
    let all = ids.iter().map(|id| process.try_run(id, Command::Add(1), Options::default()));
    for answer in futures::future::join_all(all).await {
        unavailable(answer);
    }
    assert!(began.elapsed() < Duration::from_secs(16), "not one after the other: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_this_process_wrote_is_as_old_as_s3_says_before_it_is_published_again() {
    let world = World::new(77);
    let process = Process::new(&world);
    process.call_me("1", "ann").await.expect("free");
    process.log.faults().hook(|_| Fault::Before(LogError::Unknown("down".into())));
    process.objects.faults().hook(|call| match call.operation {
        Operation::Delete => Fault::Before(unknown()),
        _ => Fault::None,
    });
    process.wish("1", Wish::Leave).await.expect("committed, and pending");
    let (_, head) = world.objects.all("heads/member/1").remove(0);
    let record = Record::newest(&Head::decode(&head).expect("a head")).expect("a commit");
    sleep(Duration::from_mins(8)).await;
    let entry = Entry { key: record.stream.to_string(), data: record.encode().expect("encodes") };
    world.log.put(&[entry]).await.expect("the relay publishes it");
    sleep(Duration::from_mins(1)).await;
    relay_has_passed(&world);
    process.call_me("2", "ann").await.expect("its claim was left behind");
    sleep(Duration::from_mins(2)).await;
    process.log.faults().clear();
    sleep(Duration::from_mins(10)).await;
    let arrived = world.log.records().into_iter().filter(|arrival| arrival.key == "member/1");
    assert_eq!(arrived.count(), 2, "nothing is sent once archivers may have forgotten it");
}
