//! Timers: what waits for a time comes after it, takes effect once, and stands in nobody's way.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{
    Bench, plain,
    reacting::{Tally, Tallying},
    record, run_for, stream,
};
use crate::{
    consume::{Process, Ticked, parked},
    format::{commit::Meta, key, timer::Timer},
    id::Version,
    memory::{Fault, Operation},
    port::ObjectError,
};

/// A bench whose clock stands at the beginning of time, where `plain` commits are made.
fn bench() -> Bench {
    let bench = Bench::new();
    let now = bench.ports.clock.now();
    bench.world.clock.shift(Timestamp::UNIX_EPOCH.duration_since(now));
    bench
}

fn reminding() -> Tallying {
    Tallying { reminds: true, ..Tallying::default() }
}

fn timers(bench: &Bench) -> usize {
    bench.world.objects.all(key::TIMERS).len()
}

/// Puts a timer that was due at the beginning of time.
fn put(bench: &Bench, id: &str, version: u64) {
    let stream = stream(&format!("account/{id}"));
    let timer = Timer::new(stream, Version::new(version), "remind", Timestamp::UNIX_EPOCH, Meta::new());
    bench.world.objects.insert(&key::timer(Tallying::NAME, &timer), timer.encode().expect("encodes"));
}

#[tokio::test(start_paused = true)]
async fn a_timer_comes_when_it_is_due_and_is_gone_then() {
    let bench = bench();
    let (one, commits) = (stream("account/1"), plain(2));
    bench.store(&one, &commits, 0);
    let reactor = bench.reactor_of(reminding());
    reactor.react(&[record(1, &one, &commits)]).await;
    assert_eq!(timers(&bench), 2);
    bench.world.clock.advance(Duration::from_mins(59));
    assert_eq!(reactor.tick().await, Ok(Ticked { done: 0, failed: 0 }));
    bench.world.clock.advance(Duration::from_mins(1));
    assert_eq!(reactor.tick().await, Ok(Ticked { done: 2, failed: 0 }));
    let Tally { mut reminded, .. } = bench.tally("1").await;
    reminded.sort_unstable();
    assert_eq!((reminded, timers(&bench)), (vec![1, 2], 0));
    assert_eq!(reactor.tick().await, Ok(Ticked::default()));
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_set_before_anything_is_done() {
    let bench = bench();
    let (one, commits) = (stream("account/1"), plain(1));
    bench.store(&one, &commits, 0);
    bench.objects.faults().hook(|call| {
        let timer = call.key.starts_with("timers/");
        if timer { Fault::Before(ObjectError::Unknown("lost".into())) } else { Fault::None }
    });
    let failed = bench.reactor_of(reminding()).react(&[record(1, &one, &commits)]).await;
    assert_eq!((failed.len(), bench.tally("1").await), (1, Tally::default()), "the world failed");
    bench.objects.faults().clear();
    let lost = Fault::After(ObjectError::Unknown("lost".into()));
    bench.objects.faults().script(Operation::Put, [lost]);
    assert!(bench.reactor_of(reminding()).react(&[record(1, &one, &commits)]).await.is_empty());
    assert_eq!((timers(&bench), bench.tally("1").await.added), (1, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_await_of_a_tick_takes_effect_once() {
    for steps in 0.. {
        let bench = bench();
        put(&bench, "1", 1);
        put(&bench, "1", 2);
        let ended = run_for(steps, bench.reactor().tick()).await;
        assert!(bench.reactor().tick().await.is_ok_and(|ticked| ticked.failed == 0));
        let Tally { mut reminded, .. } = bench.tally("1").await;
        reminded.sort_unstable();
        assert_eq!((reminded, timers(&bench)), (vec![1, 2], 0), "after {steps} steps");
        if ended {
            assert!(steps >= 8, "there are that many awaits to crash at, at least");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_not_deleted_takes_effect_once() {
    let bench = bench();
    put(&bench, "1", 1);
    bench.objects.faults().script(Operation::Delete, [Fault::Before(ObjectError::InFlight)]);
    let reactor = bench.reactor();
    for left in [1, 0] {
        assert_eq!(reactor.tick().await, Ok(Ticked { done: 1, failed: 0 }));
        assert_eq!((timers(&bench), bench.tally("1").await.reminded), (left, vec![1]));
    }
}

#[tokio::test(start_paused = true)]
async fn timers_that_nobody_can_react_to_stand_in_nobodys_way() {
    let bench = bench();
    put(&bench, "x", 7);
    (1..=600).for_each(|version| put(&bench, "stuck", version));
    let sound = bench.world.objects.all(key::TIMERS);
    let (_, foreign) = sound.last().expect("a timer").clone();
    bench.world.objects.insert("timers/tallying/000000000000000/account%2Fy/1/another", foreign);
    bench.world.objects.insert("timers/tallying/000000000000000/account%2Fz/1/none", "no timer");
    bench.world.objects.insert("timers/tallying/when", "no timer either");
    let reactor = bench.reactor();
    assert_eq!(reactor.tick().await, Ok(Ticked { done: 1, failed: 602 }));
    assert_eq!(bench.tally("x").await.reminded, [7]);
    assert_eq!(reactor.tick().await, Ok(Ticked { done: 0, failed: 602 }), "they come again");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_not_answered_fails_the_tick() {
    let bench = bench();
    put(&bench, "1", 1);
    bench.objects.faults().hook(|_| Fault::Before(ObjectError::Unknown("lost".into())));
    assert!(bench.reactor().tick().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_tick_takes_all_that_is_due_and_ends_in_time() {
    let bench = bench();
    (1..=1_100).for_each(|version| put(&bench, "1", version));
    (1..=600).for_each(|version| put(&bench, "slow", version));
    let reactor = bench.reactor();
    // 64 at a time, ten seconds each: those of a minute begin.
    let began = tokio::time::Instant::now();
    let Ticked { done, failed } = reactor.tick().await.expect("ticks");
    assert!((1_300..1_700).contains(&done) && failed == 0, "{done} of 1,700");
    assert!(began.elapsed() < Duration::from_secs(75), "{:?}", began.elapsed());
    assert_eq!(reactor.tick().await, Ok(Ticked { done: 1_700 - done, failed: 0 }), "the next goes on");
    assert_eq!((timers(&bench), bench.tally("1").await.reminded.len()), (0, 1_100));
}

#[tokio::test(start_paused = true)]
async fn a_payload_comes_back_with_its_timer() {
    let bench = bench();
    for (name, payload) in [("account/1", 3), ("account/2", 0)] {
        let stream = stream(name);
        let timer = Timer::new(stream, Version::new(9), "payload", Timestamp::UNIX_EPOCH, Meta::new());
        let timer = if payload > 0 { timer.with_payload(json!({ "number": payload })) } else { timer };
        bench.world.objects.insert(&key::timer(Tallying::NAME, &timer), timer.encode().expect("encodes"));
    }
    assert_eq!(bench.reactor().tick().await, Ok(Ticked { done: 1, failed: 1 }), "one has none");
    assert_eq!(bench.tally("1").await.reminded, [3]);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_too_large_parks() {
    let bench = bench();
    let (one, commits) = (stream("account/large"), plain(1));
    bench.store(&one, &commits, 0);
    assert!(bench.reactor_of(reminding()).react(&[record(1, &one, &commits)]).await.is_empty());
    let parked = parked(&bench.ports, Tallying::NAME).await.expect("lists");
    assert!(parked[0].parked.error.contains("timer payload must have at most 16384 bytes"), "{parked:?}");
    assert_eq!(timers(&bench), 0);
}
