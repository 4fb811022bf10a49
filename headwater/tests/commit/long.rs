//! Long streams: pages, snapshots, and repeats of what has moved to a page.

use futures::TryStreamExt;
use headwater::{
    Version,
    format::{commit::Commit, key, page::Page},
    limits,
    memory::{Fault, Operation, World},
};

use crate::{
    counter::{Command, Counter, NewCounter},
    process::{Process, assert_order, head, named, stream, unknown},
};

/// A stream of `commits` notes of 2 KiB each.
async fn long(world: &World, commits: usize) -> Process {
    let process = Process::new(world);
    for number in 0..commits {
        let note = Command::Note("x".repeat(2_048));
        process.try_run("a", note, named(&format!("c{number}"))).await.expect("executed");
    }
    process
}

async fn all(process: &Process, from: u64) -> Vec<Version> {
    let commits = process.store.read(&stream("a"), Version::new(from)).map_ok(|commit| commit.first);
    commits.try_collect().await.expect("reads")
}

#[tokio::test(start_paused = true)]
async fn older_commits_move_to_pages_and_nothing_is_lost() {
    let world = World::new(50);
    let process = long(&world, 200).await;
    let newest = head(&world, "a");
    assert!(newest.pages.len() > 3);
    assert!(newest.encode().expect("encodes").len() < 2 * limits::HEAD_COMMIT_BYTES);
    let versions: Vec<Version> = (1..=200).map(Version::new).collect();
    assert_eq!(all(&process, 0).await, versions);
    assert_eq!(all(&process, 77).await, versions[76..]);
    assert_order(&world, &process, "a").await;
}

#[tokio::test(start_paused = true)]
async fn with_a_snapshot_a_load_is_one_get_however_long_the_stream() {
    let world = World::new(51);
    long(&world, 200).await;
    let process = Process::new(&world);
    let loaded = process.store.load::<Counter>("a").await.expect("loads");
    assert_eq!((loaded.state.events, loaded.version), (200, Version::new(200)));
    assert_eq!(process.counts().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_schema_falls_back_to_the_events() {
    let world = World::new(52);
    long(&world, 120).await;
    let process = Process::new(&world);
    let pages = head(&world, "a").pages.len() as u64;
    assert_eq!(process.store.load::<NewCounter>("a").await.expect("loads").state.0.events, 120);
    assert_eq!(process.counts().0, 1 + pages);
    process.store.execute::<NewCounter>("a", Command::Add(1), named("new")).await.expect("executed");
    let snapshot = head(&world, "a").snapshot.expect("a snapshot");
    assert_eq!(
        (snapshot.schema, snapshot.version),
        (2, Version::new(121)),
        "the next command writes the new one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_commit_in_a_page_gets_the_first_answer() {
    let world = World::new(53);
    let process = long(&world, 150).await;
    for number in [51, 75, 100, 149] {
        let note = Command::Note("x".repeat(2_048));
        for process in [&process, &Process::new(&world)] {
            let again =
                process.try_run("a", note.clone(), named(&format!("c{number}"))).await.expect("executed");
            assert!(again.repeat, "H8: commit {number}");
            assert_eq!((again.state.events, again.token.version.get()), (number + 1, number + 1));
        }
    }
    assert_eq!(head(&world, "a").version, Version::new(150));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_a_crash_left_behind_is_adopted() {
    let world = World::new(54);
    let process = long(&world, 25).await;
    let before = head(&world, "a");
    assert!(before.pages.is_empty());
    // Another process moved the first ten, and died before it wrote the head.
    let page = Page::new(stream("a"), before.commits[..10].to_vec()).expect("a page");
    world.objects.insert(&key::page(&stream("a"), Version::new(1)), page.encode().expect("encodes"));
    for number in 25..80 {
        process
            .try_run("a", Command::Note("x".repeat(2_048)), named(&format!("c{number}")))
            .await
            .expect("executed");
    }
    assert_eq!(head(&world, "a").pages[0].last, Version::new(10));
    assert_eq!(all(&process, 0).await, (1..=80).map(Version::new).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_page_is_written_once_whatever_happens_to_its_answer() {
    for fault in [Fault::After(unknown()), Fault::Before(unknown())] {
        let world = World::new(55);
        let process = long(&world, 30).await;
        let every_other_page = move |call: &headwater::memory::Call| {
            let page = call.operation == Operation::Put && call.key.starts_with("pages/");
            if page && call.number.is_multiple_of(2) { fault.clone() } else { Fault::None }
        };
        process.objects.faults().hook(every_other_page);
        for number in 30..100 {
            let note = Command::Note("x".repeat(2_048));
            process.try_run("a", note, named(&format!("c{number}"))).await.expect("executed");
        }
        assert!(head(&world, "a").pages.len() > 1);
        assert_eq!(all(&process, 0).await, (1..=100).map(Version::new).collect::<Vec<_>>());
        assert_order(&world, &process, "a").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_missing_is_named() {
    let world = World::new(56);
    let process = long(&world, 60).await;
    let page = key::page(&stream("a"), Version::new(1));
    assert!(world.objects.remove(&page));
    let commits: Result<Vec<std::sync::Arc<Commit>>, _> =
        process.store.read(&stream("a"), Version::ZERO).try_collect().await;
    assert!(commits.expect_err("missing").to_string().contains(&page));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_found_however_many_commits_came_since_where_it_is_looked_for() {
    let world = World::new(55);
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    let told = process.try_run("a", Command::Add(5), named("old")).await.expect("executed");
    for _ in 0..40 {
        // Long texts, so that the stream has pages.
        process.run("a", Command::Note("x".repeat(4_000))).await;
    }
    futures::future::join_all((0..150).map(|_| process.run("a", Command::Add(0)))).await;
    let (sum, version) = process.sum("a").await;
    let old = |after: Option<u64>| headwater::Options {
        repeats_after: after.map(headwater::Version::new),
        ..named("old")
    };
    for after in [0, told.token.version.get() - 1] {
        let again = process.try_run("a", Command::Add(5), old(Some(after))).await.expect("executed");
        assert!(again.repeat, "H8");
        assert_eq!(again.token, told.token);
        assert_eq!(again.state.sum, told.state.sum, "the first answer");
    }
    assert_eq!(process.sum("a").await, (sum, version));
    let known = process.try_run("a", Command::Add(5), old(None)).await.expect("executed");
    assert!(known.repeat, "within ten minutes too");
}

#[tokio::test(start_paused = true)]
async fn what_has_moved_to_pages_is_read_once_for_all_who_look_for_it() {
    let world = World::new(56);
    long(&world, 200).await;
    let process = Process::new(&world);
    process.run("a", Command::Add(1)).await;
    let pages = head(&world, "a").pages.len() as u64;
    let before = process.counts().0;
    let after =
        |id: u64| headwater::Options { repeats_after: Some(Version::ZERO), ..named(&format!("k{id}")) };
    let all = (0..50).map(|id| process.try_run("a", Command::Add(1), after(id)));
    for executed in futures::future::join_all(all).await {
        assert!(!executed.expect("executed").repeat);
    }
    let reads = process.counts().0 - before;
    assert!(pages > 2 && reads <= pages + 2, "{reads} GETs, {pages} pages");
}

#[tokio::test(start_paused = true)]
async fn what_exists_where_no_repeat_is_looked_for_is_another_commit() {
    let world = World::new(57);
    let process = Process::new(&world);
    let after = |version| headwater::Options { repeats_after: Some(Version::new(version)), ..named("k") };
    process.run("a", Command::Add(1)).await;
    process.try_run("a", Command::Add(1), named("k")).await.expect("executed");
    let other = process.try_run("a", Command::Add(1), after(2)).await.expect("executed");
    assert!(!other.repeat);
    let again = process.try_run("a", Command::Add(1), after(2)).await.expect("executed");
    assert_eq!((again.repeat, again.token), (true, other.token), "the one behind that version");
    let third =
        process.try_run("a", Command::Add(1), after(headwater::limits::VERSION)).await.expect("executed");
    assert_eq!((third.repeat, third.token.version), (false, Version::new(4)));
    assert_order(&world, &process, "a").await;
}
