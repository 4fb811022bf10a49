//! A hot stream: 1,000 commits a second by six processes for ten minutes, and keys that come again at other ones (H8).

use std::time::Duration;

use futures::future::join_all;
use headwater::{Options, Version, event::StoredEvent, memory::World};
use serde_json::value::RawValue;

use crate::process::{Process, head, stream};

/// Processes that write the stream, each a second long, in turn.
const PROCESSES: usize = 6;
/// Commits in each second.
const RATE: usize = 1_000;
/// How long, in seconds.
const SECONDS: usize = 600;
/// After so many seconds a key comes again.
const AFTER: [usize; 5] = [1, 7, 61, 304, 599];

async fn append(process: &Process, second: usize, number: usize) -> (bool, Version) {
    let commit_id = format!("{second}-{number}").parse().expect("a commit id");
    let event = StoredEvent::new("N", 1, RawValue::NULL.to_owned()).expect("an event");
    let options = Options { commit_id: Some(commit_id), ..Options::default() };
    let appended = process.store.append(&stream("a"), vec![event], options).await.expect("appended");
    (appended.repeat, appended.commit.first)
}

#[tokio::test(start_paused = true)]
async fn no_key_is_executed_twice_at_a_thousand_commits_a_second_by_six_processes_for_ten_minutes() {
    let world = World::new(90);
    let processes: Vec<Process> = (0..PROCESSES).map(|_| Process::new(&world)).collect();
    let began = tokio::time::Instant::now();
    let mut versions = Vec::new();
    let mut repeats = 0;
    for second in 0..=SECONDS {
        tokio::time::sleep_until(began + Duration::from_secs(second as u64)).await;
        let writer = &processes[second % PROCESSES];
        if second < SECONDS {
            let written = join_all((0..RATE).map(|number| append(writer, second, number))).await;
            assert!(written.iter().all(|(repeat, _)| !repeat), "second {second}");
            versions.push(written.into_iter().map(|(_, version)| version).collect::<Vec<_>>());
        }
        for (place, after) in AFTER.iter().enumerate().filter(|(_, after)| **after <= second) {
            let (then, number) = (second - after, (second * 37 + place * 101) % RATE);
            let other = &processes[(then + 1 + (second + place) % (PROCESSES - 1)) % PROCESSES];
            let expected = (true, versions[then][number]);
            assert_eq!(append(other, then, number).await, expected, "{then}-{number}, after {after} s");
            repeats += 1;
        }
    }
    assert!(repeats > 2_000, "{repeats}");
    assert_eq!(head(&world, "a").version, Version::new((SECONDS * RATE) as u64), "each was executed once");
}
