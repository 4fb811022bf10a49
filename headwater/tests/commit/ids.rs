//! Commit ids: the same id commits once for a time, from whichever process, and exactly one answer says that it was first (H8).

use std::time::Duration;

use futures::future::join_all;
use headwater::{
    ExecuteError, Options, Schemas, Settings, StoreError, Version,
    format::{head::Head, key},
    memory::{Fault, Operation, World},
};

use crate::{
    counter::{Command, Event},
    process::{Process, head, named, stream, unknown},
};

/// A process that others' commits have passed by, so that it knows nothing of the stream.
fn fresh(world: &World) -> Process {
    Process::new(world)
}

/// So many commits of 2 KiB each: a page is 16 of them.
async fn notes(process: &Process, commits: usize) {
    for _ in 0..commits {
        process.run("a", Command::Note("x".repeat(2_048))).await;
    }
}

async fn repeats(process: &Process, id: &str) -> bool {
    process.try_run("a", Command::Add(1_000), named(id)).await.expect("executed").repeat
}

async fn minutes(minutes: u64) {
    tokio::time::advance(Duration::from_mins(minutes)).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_comes_again_with_other_events_is_refused_and_named() {
    let world = World::new(70);
    let process = Process::new(&world);
    let append = async |amount: i64, options: Options| {
        let event = Schemas::FIRST.encode(&Event::Added(amount)).expect("an event");
        process.store.append(&stream("a"), vec![event], options).await
    };
    append(4, named("k")).await.expect("appended");
    let refused = append(5, named("k")).await.expect_err("another amount");
    let reused = StoreError::Reused { stream: stream("a"), commit: "k".parse().expect("a commit id") };
    assert_eq!(refused, reused);
    assert!(append(4, named("k")).await.expect("the same").repeat);
    process.run("a", Command::Add(1)).await;
    assert_eq!(process.sum("a").await, (5, 2), "committed once");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_known_after_nine_hundred_other_commits() {
    let world = World::new(71);
    let process = Process::new(&world);
    let first = process.try_run("a", Command::Add(1_000), named("K")).await.expect("executed");
    for _ in 0..900 {
        process.run("a", Command::Add(1)).await;
    }
    assert!(head(&world, "a").pages.len() > 1);
    for process in [&process, &fresh(&world)] {
        let again = process.try_run("a", Command::Add(1_000), named("K")).await.expect("executed");
        assert!(again.repeat);
        assert_eq!(
            (again.token, again.state),
            (first.token.clone(), first.state.clone()),
            "the first answer"
        );
    }
    assert_eq!(process.sum("a").await, (1_900, 901));
}

#[tokio::test(start_paused = true)]
async fn an_id_is_known_for_ten_minutes_and_for_as_long_as_the_settings_say() {
    let world = World::new(72);
    let process = Process::new(&world);
    assert!(!repeats(&process, "K").await);
    notes(&process, 60).await;
    tokio::time::advance(Duration::from_secs(599)).await;
    assert!(repeats(&process, "K").await && repeats(&fresh(&world), "K").await);
    minutes(10).await;
    // This tells the time: nothing else here is newer than the pages.
    process.run("a", Command::Add(1)).await;
    let patient =
        Process::with(&world, Settings { repeats_for: Duration::from_hours(1), ..Settings::default() });
    assert!(repeats(&patient, "K").await);
    assert!(!repeats(&fresh(&world), "K").await, "it names another command now");
    assert!(repeats(&fresh(&world), "K").await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fills_no_page_in_ten_minutes_pays_nothing_for_a_key() {
    let world = World::new(73);
    let process = Process::new(&world);
    notes(&process, 40).await;
    minutes(12).await;
    process.run("a", Command::Add(1)).await;
    let (drawn, given) = (fresh(&world), fresh(&world));
    drawn.run("a", Command::Add(1)).await;
    assert!(!repeats(&given, "K").await);
    assert_eq!(drawn.counts(), given.counts(), "no request more");
    assert!(!repeats(&given, "L").await);
    assert_eq!(
        given.counts(),
        (drawn.counts().0, drawn.counts().1 + 1, drawn.counts().2 + 1),
        "one PUT, one record"
    );
    let written = head(&world, "a");
    assert_eq!(written.attempts.len(), 2, "only where a caller gave the id");
}

#[tokio::test(start_paused = true)]
async fn ids_in_the_pages_of_others_are_read_once() {
    let world = World::new(74);
    notes(&Process::new(&world), 200).await;
    let pages = head(&world, "a").pages.len() as u64;
    let process = fresh(&world);
    for number in 0..50 {
        assert!(!repeats(&process, &format!("k{number}")).await);
    }
    // The head, the watermark for help and for the time, and each page.
    let reads = process.counts().0;
    assert!(pages > 8 && reads <= pages + 3, "{reads} GETs, {pages} pages");
}

#[tokio::test(start_paused = true)]
async fn where_more_ids_would_be_needed_than_fit_that_is_said_and_nothing_is_executed() {
    let world = World::new(75);
    notes(&Process::new(&world), 200).await;
    let process = Process::with(&world, Settings { known_ids: 100, ..Settings::default() });
    let answer = process.try_run("a", Command::Add(1), named("k")).await;
    let Err(ExecuteError::Store(StoreError::Unavailable(reason))) = answer else { panic!("{answer:?}") };
    let reason = reason.to_string();
    assert!(reason.contains("counter/a") && reason.contains("100"), "{reason}");
    assert_eq!(head(&world, "a").version, Version::new(200));
    process.run("a", Command::Add(1)).await;
    minutes(12).await;
    process.run("a", Command::Add(1)).await;
    assert!(!repeats(&Process::with(&world, Settings { known_ids: 100, ..Settings::default() }), "k").await);
}

/// A UUID of version 7, made so long ago.
fn uuid(world: &World, ago: Duration) -> String {
    let made = born(world, ago);
    format!("{:08x}-{:04x}-7a1b-8c2d-0123456789ab", made >> 16, made & 0xffff)
}

/// A ULID, made so long ago.
fn ulid(world: &World, ago: Duration) -> String {
    let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |place: u32| char::from(digits[((born(world, ago) >> (5 * place)) & 31) as usize]);
    (0..10).rev().map(digit).chain("0123456789ABCDEF".chars()).collect()
}

fn born(world: &World, ago: Duration) -> u64 {
    use headwater::port::Clock;
    let now = u64::try_from(world.clock.now().as_millisecond()).expect("after 1970");
    now - u64::try_from(ago.as_millis()).expect("not long")
}

#[tokio::test(start_paused = true)]
async fn an_id_that_tells_its_birth_is_looked_for_as_far_back_and_for_a_day_at_most() {
    for make in [uuid, ulid] {
        let world = World::new(76);
        let process = Process::new(&world);
        let id = make(&world, Duration::from_secs(1));
        assert!(!repeats(&process, &id).await);
        notes(&process, 60).await;
        minutes(5 * 60).await;
        notes(&process, 60).await;
        assert!(repeats(&fresh(&world), &id).await && repeats(&process, &id).await, "{id}");
        let old = make(&world, Duration::from_hours(25));
        let refused = process.try_run("a", Command::Add(1), named(&old)).await.expect_err("too old");
        let ExecuteError::Store(StoreError::Invalid { field, rule }) = refused else { panic!("{refused:?}") };
        assert!(field == "commit id" && rule.contains("24 hours"), "{field} {rule}");
        // Who says where it may be, as an import, is taken at their word.
        let anywhere = Options { repeats_after: Some(Version::ZERO), ..named(&old) };
        assert!(!process.try_run("a", Command::Add(1), anywhere.clone()).await.expect("executed").repeat);
        assert!(process.try_run("a", Command::Add(1), anywhere).await.expect("executed").repeat);
    }
    let world = World::new(77);
    for plain in
        ["d9428888-122b-41e1-b85c-61cd3cbb3210", "00000000000000000000000042", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"]
    {
        assert!(!repeats(&Process::new(&world), plain).await, "{plain} tells no birth");
    }
}

#[tokio::test(start_paused = true)]
async fn who_looks_behind_a_version_finds_nothing_before_it() {
    let world = World::new(78);
    let process = Process::new(&world);
    let after = |version| Options { repeats_after: Some(Version::new(version)), ..named("K") };
    assert!(!process.try_run("a", Command::Add(1), after(0)).await.expect("executed").repeat);
    assert!(
        !process.try_run("a", Command::Add(1), after(1)).await.expect("executed").repeat,
        "an exact copy"
    );
    for version in [0, 1] {
        let again = process.try_run("a", Command::Add(1), after(version)).await.expect("executed");
        assert_eq!((again.repeat, again.token.version), (true, Version::new(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_that_are_sent_one_key_at_once_exactly_one_says_that_it_is_no_repeat() {
    let world = World::new(79);
    let processes = [Process::new(&world), Process::new(&world), Process::new(&world)];
    for round in 0..40 {
        let key = format!("k{round}");
        // All clocks show the same, so what they would commit is equal to the byte.
        let answers =
            join_all(processes.iter().map(|process| process.try_run("a", Command::Add(1), named(&key))))
                .await;
        let first = answers.iter().filter(|answer| !answer.as_ref().expect("executed").repeat).count();
        assert_eq!(first, 1, "round {round}: {answers:?}");
    }
    assert_eq!(processes[0].sum("a").await, (40, 40));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_told_from_an_equal_one_when_its_answer_is_lost_and_its_commit_has_moved_to_a_page() {
    for wins in [true, false] {
        let world = World::new(80);
        let (here, there) = (Process::new(&world), Process::new(&world));
        notes(&here, 20).await;
        there.sum("a").await;
        // Done and not answered; or never done, while the other process commits the same.
        let fault = if wins { Fault::After(unknown()) } else { Fault::Before(unknown()) };
        let blind = Fault::Before(unknown());
        here.objects.faults().script(Operation::Put, [fault]);
        here.objects.faults().script(Operation::Get, vec![blind; 6]);
        let command = || Command::Note("y".repeat(20_000));
        let equal = || Options { at: Some(jiff::Timestamp::UNIX_EPOCH), ..named("K") };
        let others = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let other = there.try_run("a", command(), equal()).await.expect("executed");
            for _ in 0..4 {
                there.run("a", Command::Note("z".repeat(20_000))).await;
            }
            other
        };
        let (one, other) = tokio::join!(here.try_run("a", command(), equal()), others);
        let one = one.expect("executed");
        assert_eq!((one.repeat, other.repeat), (!wins, wins), "exactly one is the first");
        assert!(head(&world, "a").first_in_head() > one.token.version, "it has moved to a page");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_before_is_read_and_its_young_pages_are_looked_into() {
    let world = World::new(81);
    let process = Process::new(&world);
    assert!(!repeats(&process, "K").await);
    notes(&process, 60).await;
    // As an older version writes it: without times and attempts, and with the newest hundred ids.
    let at = key::head(&stream("a"));
    let mut old: serde_json::Value =
        serde_json::from_slice(&head(&world, "a").encode().expect("encodes")).expect("JSON");
    old["remembered"] = serde_json::json!([{"id": "c", "first": 1, "last": 1}]);
    for page in old["pages"].as_array_mut().expect("pages") {
        page.as_object_mut().expect("a page").remove("until");
    }
    let old = old.to_string().into_bytes();
    assert!(Head::decode(&old).expect("decodes").pages.iter().all(|page| page.until.is_none()));
    world.objects.insert(&at, old);
    assert!(repeats(&fresh(&world), "K").await);
    minutes(12).await;
    let process = fresh(&world);
    process.run("a", Command::Add(1)).await;
    let fresh = fresh(&world);
    assert!(!repeats(&fresh, "K").await);
    assert_eq!(
        fresh.counts().0,
        4,
        "the head, the watermark twice, and one page, which tells how old all are"
    );
}
