//! A real event log, 8,577 events of 1,434 permit cases, through the whole pipeline: imported, read back, archived, replayed.
//!
//! 1. It is imported into a cluster with its archiver, over HTTP; a second import finds everything there and adds nothing.
//! 2. Every case's stream is read back and is the file's: order, ids, types, data, times.
//! 3. What the archive replays is the same, commit for commit, and no invariant is broken.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod log;

use std::{collections::BTreeMap, io::Cursor, sync::Arc};

use archiver::replay::Replay;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    Settings, Store, StreamId, Version,
    evidence::Evidence,
    format::commit::Commit,
    port::{Keys, Listed},
};
use headwater_tests::{PATIENCE, connect};
use headwater_tool::{
    Connection,
    bench::history::{CASES, EVENTS},
    cluster::{Cluster, Options, STREAM},
    import::{Plan, Summary, import},
};
use indicatif::ProgressBar;

use log::{Entry, EventLog};

/// Streams that are read at a time.
const AT_A_TIME: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_event_log_comes_back_from_the_store_and_from_the_archive() {
    let log = EventLog::find();
    assert_eq!((log.cases.len(), log.lines()), (CASES, EVENTS), "the log is another one");
    let options = Options::default();
    let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
    let connection = connect(&cluster).await;

    let events = EVENTS as u64;
    let first = imported(&connection, &log).await;
    assert_eq!((first.lines, first.streams), (events, CASES as u64));
    assert_eq!((first.commits, first.events, first.repeats, first.unpublished), (events, events, 0, 0));

    // The second may publish a stream's newest commits once more, since it can't know that the first did; it writes nothing.
    let before = stored(&connection).await;
    let second = imported(&connection, &log).await;
    assert_eq!((second.commits, second.events, second.repeats, second.unpublished), (0, 0, events, 0));
    assert_eq!(stored(&connection).await, before);

    assert!(cluster.drain(PATIENCE).await, "the archiver is behind after {PATIENCE:?}");
    assert_eq!(read_back(&connection, log.cases.keys()).await, log.cases);

    let mut evidence = Evidence::gather(&connection.ports).await.expect("the store reads");
    let replay = Replay::new(Arc::clone(&connection.archive), Arc::clone(&connection.ports.entropy), STREAM);
    let replayed: Vec<_> = replay.commits().try_collect().await.expect("the archive reads");
    evidence
        .replayed(replayed.into_iter().map(|replayed| (replayed.archived.stream, replayed.archived.commit)));
    assert_eq!(evidence.violations(), []);
    assert_eq!((evidence.events(), evidence.commits()), (events, events));
    assert_eq!(evidence.strangers, 0);
    let archived: BTreeMap<StreamId, Vec<Entry>> =
        evidence.archive.iter().map(|(stream, commits)| (stream.clone(), entries(commits))).collect();
    assert_eq!(archived, log.cases);
    let counts = replay.count().await.expect("the archive counts");
    assert_eq!((counts.commits, counts.events), (events, events));

    assert!(cluster.stop(PATIENCE).await);
}

/// Every object of the store, with its size and time.
async fn stored(connection: &Connection) -> Vec<Listed> {
    connection.ports.objects.list_all(&Keys::under("")).await.expect("the store lists")
}

async fn imported(connection: &Connection, log: &EventLog) -> Summary {
    let plan = Plan { concurrency: 64, skip_bad: false };
    let (summary, ended) =
        import(connection, Cursor::new(log.text.clone()), plan, &ProgressBar::hidden()).await;
    ended.expect("every line is imported");
    summary
}

/// Each stream through a fresh store, with the versions checked.
async fn read_back<'a>(
    connection: &Connection,
    streams: impl Iterator<Item = &'a StreamId>,
) -> BTreeMap<StreamId, Vec<Entry>> {
    let store = &Store::new(connection.ports.clone(), Settings::default());
    let reads = streams.map(|stream| async move {
        let commits: Vec<_> =
            store.read(stream, Version::new(1)).try_collect().await.expect("the stream reads");
        (stream.clone(), entries(&commits))
    });
    stream::iter(reads).buffer_unordered(AT_A_TIME).collect().await
}

/// What the commits of one stream say, in the words of the log.
fn entries(commits: &[Arc<Commit>]) -> Vec<Entry> {
    let mut next = Version::new(1);
    let entry = |commit: &Arc<Commit>| {
        assert_eq!(commit.first, next, "commit {} is out of order", commit.id);
        next = commit.last.next();
        let data = |text| serde_json::from_str(text).expect("data is JSON");
        Entry {
            id: commit.id.to_string(),
            at: commit.at,
            events: commit.events.iter().map(|event| (event.name.clone(), data(event.data.get()))).collect(),
        }
    };
    commits.iter().map(entry).collect()
}
