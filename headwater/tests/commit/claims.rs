//! Unique values (H9): at most one member has a name, whoever dies when.

use std::{sync::Arc, time::Duration};

use headwater::{
    ExecuteError, Expected, OnConflict, Options, StoreError, Version,
    format::{claim::StoredClaim, head::Head, key},
    memory::{Call, Fault, Heard, Journey, Operation, World},
    port::{Got, LogError, Objects},
};
use tokio::time::{sleep, timeout};

use crate::{
    member::{Answer, Member, Wish, claim, holders},
    process::{Process, unknown},
};

fn is_taken(answer: &Answer) -> bool {
    matches!(answer, Err(ExecuteError::Store(StoreError::Taken { set: "member-name", .. })))
}

/// The members that hold a name; H9 holds.
async fn hold(world: &World, name: &str) -> Vec<String> {
    let (mut holders, broken) = holders(world).await;
    assert_eq!(broken, [], "H9");
    holders.remove(name).unwrap_or_default().iter().map(|stream| stream.id().to_owned()).collect()
}

fn stored(world: &World, name: &str) -> Option<StoredClaim> {
    let (_, body) = world.objects.all(&key::claim(&claim(name))).pop()?;
    Some(StoredClaim::decode(&body).expect("a claim"))
}

fn head(world: &World, id: &str) -> Head {
    let (_, body) = world.objects.all(&format!("heads/member/{id}")).pop().expect("a head");
    Head::decode(&body).expect("a head")
}

/// A process that will never publish anything again.
fn mute(process: &Process) {
    process.log.faults().hook(|_| Fault::Before(LogError::Unknown("injected".into())));
}

/// Lets the writes of a member's head happen so much later.
fn slow_heads(process: &Process, by: Duration) {
    process.objects.faults().hook(move |call: &Call| match call.operation {
        Operation::Put if call.key.starts_with("heads/") => Fault::Delay(by),
        _ => Fault::None,
    });
}

#[tokio::test(start_paused = true)]
async fn a_name_has_one_member_and_everybody_else_is_told_so() {
    let world = World::new(60);
    let process = Process::new(&world);
    process.call_me("1", "Ann").await.expect("free");
    assert!(is_taken(&process.call_me("2", "ANN").await));
    assert!(is_taken(&Process::new(&world).call_me("3", "ann").await));
    assert_eq!(hold(&world, "ann").await, ["1"]);
    assert_eq!(world.objects.all("heads/").len(), 1, "nothing was committed for the others");
    let holder = process.store.holder::<Member>(&claim("ann")).await.expect("reads");
    assert_eq!(holder.map(|stream| stream.to_string()).as_deref(), Some("member/1"));
    assert_eq!(process.store.holder::<Member>(&claim("bob")).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_given_up_is_free_at_once() {
    let world = World::new(61);
    let process = Process::new(&world);
    process.call_me("1", "ann").await.expect("free");
    process.call_me("1", "bob").await.expect("free");
    process.store.drain(Duration::from_secs(1)).await;
    assert_eq!(stored(&world, "ann"), None);
    process.call_me("2", "ann").await.expect("free again");
    process.wish("1", Wish::Leave).await.expect("leaves");
    process.store.drain(Duration::from_secs(1)).await;
    process.call_me("2", "bob").await.expect("free again");
    assert_eq!((hold(&world, "ann").await, hold(&world, "bob").await), (vec![], vec!["2".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_claims_nothing_costs_nothing_and_a_name_costs_one_write() {
    let world = World::new(62);
    let process = Process::new(&world);
    process.call_me("1", "ann").await.expect("free");
    assert_eq!(process.counts(), (1, 2, 1), "the head read; claim and head written; a record");
    process.wish("1", Wish::Age).await.expect("ages");
    assert_eq!(process.counts(), (1, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_claim_on_its_way_is_waited_for() {
    let world = World::new(63);
    let (slow, other) = (Process::new(&world), Process::new(&world));
    slow_heads(&slow, Duration::from_secs(2));
    let (first, second) = tokio::join!(slow.call_me("1", "ann"), async {
        sleep(Duration::from_millis(500)).await;
        other.call_me("2", "ann").await
    });
    first.expect("was first");
    assert!(is_taken(&second));
    assert_eq!(head(&world, "1").fence, 0, "nobody was fenced");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_becomes_nothing_is_told_as_unavailable_while_it_is_young() {
    let world = World::new(64);
    let dead = Process::new(&world);
    slow_heads(&dead, Duration::from_hours(1));
    let _ = timeout(Duration::from_secs(1), dead.call_me("1", "ann")).await;
    let other = Process::new(&world).call_me("2", "ann").await;
    assert!(matches!(other, Err(ExecuteError::Store(StoreError::Unavailable(_)))), "{other:?}");
    sleep(Duration::from_secs(31)).await;
    Process::new(&world).call_me("2", "ann").await.expect("it frees itself");
    assert_eq!(hold(&world, "ann").await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_flight_loses_to_the_fence() {
    let world = World::new(65);
    for existing in [false, true] {
        let (one, two, name) = if existing { ("3", "4", "bob") } else { ("1", "2", "ann") };
        let (late, other) = (Process::hasty(&world, Duration::from_mins(2)), Process::new(&world));
        if existing {
            late.wish(one, Wish::Age).await.expect("ages");
        }
        slow_heads(&late, Duration::from_secs(40));
        let (first, second) = tokio::join!(late.call_me(one, name), async {
            sleep(Duration::from_secs(35)).await;
            other.call_me(two, name).await
        });
        second.expect("the claim was left behind, as far as anybody could tell");
        assert!(is_taken(&first), "{first:?}");
        assert_eq!(hold(&world, name).await, [two]);
        let fenced = head(&world, one);
        assert_eq!((fenced.fence, fenced.published), (1, true));
        assert_eq!(fenced.version, Version::new(u64::from(existing)));
        late.objects.faults().hook(|_| Fault::None);
        late.call_me(one, &format!("not {name}")).await.expect("a fenced member goes on");
        assert!(!head(&world, one).published);
    }
}

/// The model's `norewrite`: an owner that trusts the claim which it wrote before the fence.
#[tokio::test(start_paused = true)]
async fn who_was_fenced_writes_its_claim_anew() {
    let world = World::new(66);
    let dead = Process::new(&world);
    slow_heads(&dead, Duration::from_hours(1));
    let _ = timeout(Duration::from_secs(1), dead.call_me("1", "ann")).await;
    sleep(Duration::from_secs(35)).await;
    // The other has fenced the owner, and its takeover of the claim is slow: the owner comes back in between.
    let (other, back) = (Process::new(&world), Process::new(&world));
    other
        .objects
        .faults()
        .script(Operation::Put, [Fault::None, Fault::None, Fault::Delay(Duration::from_secs(3))]);
    let (second, first) = tokio::join!(other.call_me("2", "ann"), async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(head(&world, "1").fence, 1);
        back.call_me("1", "ann").await
    });
    first.expect("its claim is newer than the fence");
    assert!(is_taken(&second), "{second:?}");
    assert_eq!(hold(&world, "ann").await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_late_release_misses_a_name_that_was_taken_again() {
    for frozen in [false, true] {
        let world = World::new(67);
        let (slow, quick) = (Process::new(&world), Process::new(&world));
        slow.call_me("1", "ann").await.expect("free");
        // It hears late that its commit stands, or its release is late.
        let (late, there) = (Duration::from_secs(3), Duration::ZERO);
        let heard = Journey { there, again: None, back: late, answer: Heard::Answer };
        if frozen {
            slow.objects.faults().script(Operation::Put, [Fault::None, Fault::Journey(heard)]);
        } else {
            slow.objects.faults().script(Operation::Delete, [Fault::Delay(late)]);
        }
        let (renamed, back) = tokio::join!(slow.call_me("1", "bob"), async {
            sleep(Duration::from_secs(1)).await;
            quick.call_me("1", "ann").await
        });
        assert!(renamed.is_ok() && back.is_ok(), "{renamed:?} {back:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(hold(&world, "ann").await, ["1"]);
        assert!(is_taken(&quick.call_me("2", "ann").await));
    }
}

/// Two processes write one member: the claim of the one that loses is the other's as well.
#[tokio::test(start_paused = true)]
async fn a_command_that_fails_takes_no_claim_away() {
    let world = World::new(68);
    let (loser, winner) = (Process::new(&world), Process::new(&world));
    loser.wish("1", Wish::Age).await.expect("ages");
    winner.wish("1", Wish::Age).await.expect("ages");
    slow_heads(&winner, Duration::from_secs(2));
    // The loser claims last, on a head that is old already.
    let (won, lost) = tokio::join!(winner.call_me("1", "ann"), async {
        sleep(Duration::from_secs(1)).await;
        let only = Options {
            expected: Expected::Exact(Version::new(1)),
            on_conflict: OnConflict::Abandon,
            ..Options::default()
        };
        loser.store.execute::<Member>("1", Wish::Name("ann".to_owned()), only).await
    });
    won.expect("its claim stands");
    assert!(matches!(lost, Err(ExecuteError::Store(StoreError::Conflict { .. }))), "{lost:?}");
    assert_eq!(hold(&world, "ann").await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_fence_publishes_before_it_makes_the_head_look_new() {
    let world = World::new(69);
    let dead = Process::new(&world);
    mute(&dead);
    dead.wish("1", Wish::Age).await.expect("committed, and pending");
    slow_heads(&dead, Duration::from_hours(1));
    let _ = timeout(Duration::from_secs(1), dead.call_me("1", "ann")).await;
    // The dead process cannot publish, so it never came to its claim's commit; somebody else claims in its place.
    let stale = Process::new(&world);
    slow_heads(&stale, Duration::from_hours(1));
    mute(&stale);
    let _ = timeout(Duration::from_secs(1), stale.call_me("1", "ann")).await;
    sleep(Duration::from_secs(31)).await;
    let records = world.log.records().len();
    Process::new(&world).call_me("2", "ann").await.expect("frees itself");
    let fenced = head(&world, "1");
    assert!(fenced.published && fenced.fence == 1);
    let arrived: Vec<String> = world.log.records().into_iter().map(|arrival| arrival.key).collect();
    assert!(arrived.contains(&"member/1".to_owned()), "H5: {arrived:?} after {records}");
    let before = arrived.iter().filter(|key| *key == "member/1").count();
    Process::new(&world).wish("1", Wish::Age).await.expect("ages");
    let after = world.log.records().iter().filter(|arrival| arrival.key == "member/1").count();
    assert_eq!(after, before + 1, "what the fence published is not published again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_at_any_call_leaves_one_holder() {
    for lost in 1..12_u64 {
        let world = World::new(700 + lost);
        let unlucky = Process::new(&world);
        unlucky.objects.faults().hook(move |call: &Call| {
            if call.number == lost && call.operation != Operation::Get {
                Fault::After(unknown())
            } else {
                Fault::None
            }
        });
        unlucky.call_me("1", "ann").await.expect("its own claim is no stranger's");
        unlucky.call_me("1", "bob").await.expect("renamed");
        assert_eq!(hold(&world, "bob").await, ["1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_leaves_every_name_to_be_had() {
    for death in 1..14_u64 {
        for reached in [false, true] {
            let world = World::new(800 + death);
            let doomed = Process::new(&world);
            let (calls, dead) = (Arc::new(std::sync::atomic::AtomicU64::new(0)), Heard::Nothing);
            doomed.objects.faults().hook(move |_: &Call| {
                let number = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                let there = if reached && number == death { Duration::ZERO } else { Duration::from_hours(9) };
                let journey = Journey { there, again: None, back: Duration::ZERO, answer: dead.clone() };
                if number < death { Fault::None } else { Fault::Journey(journey) }
            });
            for name in ["ann", "bob"] {
                let _ = timeout(Duration::from_secs(20), doomed.call_me("1", name)).await;
            }
            sleep(Duration::from_secs(40)).await;
            let living = Process::new(&world);
            for (member, name) in [("2", "ann"), ("3", "bob")] {
                let asked = living.call_me(member, name).await;
                let holder = hold(&world, name).await;
                assert_eq!(holder.len(), 1, "call {death}: {name} is {holder:?}'s, {asked:?}");
                assert_eq!(asked.is_ok(), holder == [member], "call {death}: {asked:?}");
                assert!(asked.is_ok() || is_taken(&asked), "call {death}: {asked:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_beyond_its_limit_is_refused_before_anything_is_written() {
    let world = World::new(71);
    let process = Process::new(&world);
    for name in ["", &"x".repeat(201)] {
        let refused = process.call_me("1", name).await;
        assert!(
            matches!(refused, Err(ExecuteError::Store(StoreError::Invalid { field: "claim's value", .. }))),
            "{refused:?}"
        );
    }
    assert!(world.objects.all("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_another_kind_of_stream_is_corrupt() {
    let world = World::new(72);
    let other =
        StoredClaim::new("robot/1".parse().expect("a stream"), "x".into(), jiff::Timestamp::UNIX_EPOCH);
    world.objects.insert(&key::claim(&claim("ann")), other.encode().expect("encodes"));
    let refused = Process::new(&world).call_me("1", "ann").await;
    assert!(matches!(refused, Err(ExecuteError::Store(StoreError::Corrupt { .. }))), "{refused:?}");
    let stands = world.objects.get(&key::claim(&claim("ann")), None).await;
    assert!(matches!(stands, Ok(Got::Found { .. })));
}
