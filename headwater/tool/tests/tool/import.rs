//! Import: histories become streams, once, in order, whatever breaks off or gets lost.

use std::{
    io::{self, Cursor},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use headwater::{Schemas, Settings, Store, StreamId};
use headwater_tool::import::{ImportError, Plan, Summary, import};
use indicatif::ProgressBar;
use localstack::{Fault, Gate, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::world::{PLAN, World, interleaved, line};

/// What somebody else writes.
#[derive(Serialize, Deserialize)]
enum Other {
    Written {},
}

/// The stream has exactly the commits `0..each`, in this order.
async fn assert_whole(world: &World, stream: &str, each: usize) {
    let commits = world.commits(stream).await;
    let ids: Vec<_> = commits.iter().map(|commit| commit.id.to_string()).collect();
    let expected: Vec<_> = (0..each).map(|number| format!("{stream}-{number}")).collect();
    assert_eq!(ids, expected, "{stream}");
    assert_eq!(commits.last().map(|commit| commit.last.get()), Some(each as u64));
}

#[tokio::test]
async fn histories_become_streams_and_a_second_import_adds_nothing() {
    let world = World::new().await;
    let lines = format!(
        "{}\n\n{}\n",
        r#"{"stream":"permit/1","id":"a","at":"2010-10-02T09:20:39.266+02:00","events":[{"type":"Sent","data":{"to":"x"}},{"type":"Seen","schema":2,"data":null}],"meta":{"by":"me"}}"#,
        r#"{"stream":"permit/2","id":"a","at":"2011-01-01T00:00:00Z","events":[{"type":"Sent","data":1}]}"#
    );
    let (summary, ended) = world.import(&lines, PLAN).await;
    ended.unwrap();
    assert_eq!((summary.lines, summary.streams, summary.commits, summary.events), (2, 2, 2, 3));
    assert_eq!((summary.repeats, summary.bad, summary.unpublished), (0, 0, 0));

    let commits = world.commits("permit/1").await;
    assert_eq!((commits.len(), commits[0].at.to_string()), (1, "2010-10-02T07:20:39.266Z".to_owned()));
    assert_eq!((commits[0].events[1].schema, &commits[0].meta["by"]), (2, &serde_json::json!("me")));

    let before = world.objects().await;
    world.aws.reset_counts();
    let (summary, ended) = world.import(&lines, PLAN).await;
    ended.unwrap();
    assert_eq!((summary.lines, summary.commits, summary.events, summary.repeats), (2, 0, 0, 2));
    assert_eq!(world.objects().await, before);
    assert_eq!(world.aws.counts().of("s3:PutObject").requests, 0);
}

#[tokio::test]
async fn the_order_of_every_stream_is_kept_however_many_are_written_at_a_time() {
    let world = World::new().await;
    for (streams, each, concurrency) in [(7, 60, 3), (3, 300, 64)] {
        let lines = interleaved(streams, each).replace("note/", &format!("note-{concurrency}/"));
        let (summary, ended) = world.import(&lines, Plan { concurrency, skip_bad: false }).await;
        ended.unwrap();
        assert_eq!((summary.commits, summary.repeats), ((streams * each) as u64, 0));
        for stream in 0..streams {
            assert_whole(&world, &format!("note-{concurrency}/{stream}"), each).await;
        }
    }
}

#[tokio::test]
async fn commits_of_one_stream_are_written_together() {
    let world = World::new().await;
    let lines: String = (0..500).map(|number| line("note/1", number) + "\n").collect();
    world.aws.reset_counts();
    world.import(&lines, PLAN).await.1.unwrap();
    let puts = world.aws.counts().of("s3:PutObject").requests;
    assert!(puts < 50, "{puts} writes for 500 commits");
}

#[tokio::test]
async fn what_the_store_has_forgotten_is_still_a_repeat() {
    let world = World::new().await;
    let lines: String = (0..1_500).map(|number| line("note/1", number) + "\n").collect();
    world.import(&lines, PLAN).await.1.unwrap();
    let head = world.objects().await.into_iter().find(|(key, ..)| key.starts_with("pages/"));
    assert!(head.is_some(), "the stream is long enough to have pages");
    let more = format!("{lines}{}\n", line("note/1", 1_500));
    let (summary, ended) = world.import(&more, PLAN).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (1, 1_500));
    assert_whole(&world, "note/1", 1_501).await;
}

#[tokio::test]
async fn a_line_that_stands_twice_is_committed_once() {
    let world = World::new().await;
    let lines = [0, 1, 0, 2, 1, 3].map(|number| line("note/1", number)).join("\n");
    let (summary, ended) = world.import(&lines, PLAN).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (4, 2));
    assert_whole(&world, "note/1", 4).await;
}

/// Begins an import and kills it when a request has come to the gate; then requests pass again, and the held one is
/// given up.
async fn killed(world: &World, lines: String, gate: &Gate) {
    // A runtime of its own, so that nothing of the import outlives it.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let target = world.target();
    process.spawn(async move {
        let connection = target.connect(&[]).await.unwrap();
        import(&connection, Cursor::new(lines), PLAN, &ProgressBar::hidden()).await
    });
    gate.reached().await;
    process.shutdown_background();
    world.aws.pass_requests();
}

#[tokio::test]
async fn an_import_that_was_killed_is_resumed() {
    let world = World::new().await;
    let lines = interleaved(20, 40);
    let (gate, puts) = (Gate::new(), AtomicUsize::new(0));
    let held = gate.clone();
    world.aws.on_request(move |request: &Request| {
        let put = request.operation == "s3:PutObject";
        if put && puts.fetch_add(1, Ordering::SeqCst) >= 12 {
            Fault::HoldAfter(held.clone())
        } else {
            Fault::Pass
        }
    });
    killed(&world, lines.clone(), &gate).await;

    let (summary, ended) = world.import(&lines, PLAN).await;
    ended.unwrap();
    assert!(summary.repeats > 0 && summary.commits > 0, "{summary:?}");
    assert_eq!(summary.repeats + summary.commits, 800);
    for stream in 0..20 {
        assert_whole(&world, &format!("note/{stream}"), 40).await;
    }
}

#[tokio::test]
async fn what_a_killed_import_committed_and_did_not_publish_the_next_one_publishes() {
    let world = World::new().await;
    let gate = Gate::new();
    let held = gate.clone();
    world.aws.on_request(move |request: &Request| match request.operation.as_str() {
        "kinesis:PutRecords" => Fault::HoldBefore(held.clone()),
        _ => Fault::Pass,
    });
    killed(&world, line("note/1", 0), &gate).await;
    assert_whole(&world, "note/1", 1).await;
    assert_eq!(world.records().await, 0);

    let (summary, ended) = world.import(&line("note/1", 0), PLAN).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (0, 1));
    assert_eq!(world.records().await, 1);
}

#[tokio::test]
async fn lost_answers_and_refusals_cost_neither_a_commit_nor_the_order() {
    let world = World::new().await;
    let calls = AtomicUsize::new(0);
    world.aws.on_request(move |request: &Request| {
        if request.operation == "s3:ListObjectsV2" {
            return Fault::Pass;
        }
        match calls.fetch_add(1, Ordering::SeqCst) % 7 {
            2 => Fault::DropAfter,
            4 => Fault::DropBefore,
            6 => Fault::Respond(http::StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
            _ => Fault::Pass,
        }
    });
    let connection = world.target().connect(&[]).await.unwrap();
    let input = Cursor::new(interleaved(6, 50));
    let (summary, ended) = import(&connection, input, PLAN, &ProgressBar::hidden()).await;
    ended.unwrap();
    world.aws.pass_requests();
    assert_eq!((summary.commits, summary.repeats), (300, 0));
    for stream in 0..6 {
        assert_whole(&world, &format!("note/{stream}"), 50).await;
    }
}

/// Lines, and whether all of them are read.
struct Read(Cursor<String>, Arc<Notify>);

impl io::Read for Read {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let bytes = io::Read::read(&mut self.0, to)?;
        if bytes == 0 {
            self.1.notify_one();
        }
        Ok(bytes)
    }
}

/// Imports a line of `note/0` and these lines, one stream at a time. The first PUT is held until all lines are there, so that
/// those of the next stream come together; then `meanwhile` goes on.
async fn import_together(
    world: &World,
    lines: Vec<String>,
    plan: Plan,
    first: &Gate,
    meanwhile: impl Future<Output = ()>,
) -> (Summary, Result<(), ImportError>) {
    let lines: String = [line("note/0", 0)].into_iter().chain(lines).map(|line| line + "\n").collect();
    let read = Arc::new(Notify::new());
    let input = Read(Cursor::new(lines), Arc::clone(&read));
    let meanwhile = async {
        first.reached().await;
        read.notified().await;
        // The import takes in what was read before it is this one's turn again.
        tokio::task::yield_now().await;
        first.release();
        meanwhile.await;
    };
    let (connection, bar) = (world.connect().await, ProgressBar::hidden());
    tokio::join!(import(&connection, input, Plan { concurrency: 1, ..plan }, &bar), meanwhile).0
}

/// Holds the first PUTs, each at a gate.
fn hold_puts<const N: usize>(world: &World) -> [Gate; N] {
    let (gates, puts) = (std::array::from_fn(|_| Gate::new()), AtomicUsize::new(0));
    let held: [Gate; N] = gates.clone();
    world.aws.on_request(move |request: &Request| {
        let put = request.operation == "s3:PutObject";
        let gate = put.then(|| held.get(puts.fetch_add(1, Ordering::SeqCst))).flatten();
        gate.map_or(Fault::Pass, |gate| Fault::HoldBefore(gate.clone()))
    });
    gates
}

#[tokio::test]
async fn no_line_takes_the_place_of_one_before_it_whatever_somebody_else_writes() {
    let world = World::new().await;
    let others = Store::new(world.connect().await.ports, Settings::default());
    let stream: StreamId = "note/1".parse().unwrap();
    let write = async || {
        let event = Schemas::FIRST.encode(&Other::Written {}).unwrap();
        others.append(&stream, vec![event], headwater::Options::default()).await.unwrap();
    };
    write().await;
    let [first, second] = hold_puts(&world);
    // As many events as the first line has: the second one finds the version that it would have expected.
    let interrupt = async {
        second.reached().await;
        write().await;
        second.release();
    };
    let lines = (0..9).map(|number| line("note/1", number)).collect();
    let (summary, ended) = import_together(&world, lines, PLAN, &first, interrupt).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (10, 0));
    let ids: Vec<_> = world.commits("note/1").await.iter().map(|commit| commit.id.to_string()).collect();
    let expected: Vec<_> = (0..9).map(|number| format!("note/1-{number}")).collect();
    assert_eq!(ids[2..], expected);
}

#[tokio::test]
async fn a_new_stream_is_not_asked_for_once_one_was_found_to_be_new() {
    let world = World::new().await;
    world.aws.reset_counts();
    world.import(&interleaved(100, 3), PLAN).await.1.unwrap();
    let reads = world.aws.counts().of("s3:GetObject").requests;
    assert!(reads <= 2 * u64::from(PLAN.concurrency), "{reads} GETs");
}

/// Streams that stand are met after new ones, and hold lines that the store has forgotten, in another order.
#[tokio::test]
async fn a_stream_that_was_wrongly_presumed_to_be_new_gets_nothing_twice() {
    let world = World::new().await;
    let earlier: Vec<_> = (1..1_500).chain([0]).map(|number| line("note/0", number)).collect();
    world.import(&earlier.join("\n"), PLAN).await.1.unwrap();
    let new = interleaved(12, 2).replace("note/", "new/");
    // The newest commit comes before those that are older than the newest hundred, in more than one round.
    let again: Vec<_> = (0..=1_500).map(|number| line("note/0", number)).collect();
    let plan = Plan { concurrency: 1, ..PLAN };
    world.aws.reset_counts();
    let (summary, ended) = world.import(&(new + &again.join("\n")), plan).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (25, 1_500));
    let ids: Vec<_> = world.commits("note/0").await.iter().map(|commit| commit.id.to_string()).collect();
    let expected: Vec<_> = (1..1_500).chain([0, 1_500]).map(|number| format!("note/0-{number}")).collect();
    assert_eq!(ids, expected);
}

/// Lines of a stream come in several pieces; none of them makes the next stream look new.
#[tokio::test]
async fn an_import_that_is_run_again_writes_nothing_in_vain() {
    let world = World::new().await;
    let stream = |stream| (0..100).map(move |number| line(&format!("note/{stream}"), number) + "\n");
    let lines: String = (0..20).flat_map(stream).collect();
    world.import(&lines, PLAN).await.1.unwrap();
    world.aws.reset_counts();
    let (summary, ended) = world.import(&lines, Plan { concurrency: 1, ..PLAN }).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (0, 2_000));
    assert_eq!(world.aws.counts().of("s3:PutObject").requests, 0);
}

/// Each of them is one commit, the same to the last byte as the one that is written now.
#[tokio::test]
async fn what_an_earlier_import_committed_is_a_repeat_in_a_stream_that_was_presumed_to_be_new() {
    let world = World::new().await;
    let stands = interleaved(6, 1);
    world.import(&stands, PLAN).await.1.unwrap();
    let lines = interleaved(6, 1).replace("note/", "new/") + &stands;
    let (summary, ended) = world.import(&lines, Plan { concurrency: 1, ..PLAN }).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (6, 6));
}

#[tokio::test]
async fn a_bad_line_stops_the_import_when_all_before_it_is_committed() {
    let world = World::new().await;
    let bad = line("note/1", 2).replace(r#""Noted""#, r#""""#);
    let lines = [line("note/1", 0), line("note/2", 0), line("note/1", 1), bad, line("note/2", 1)].join("\n");
    let (summary, ended) = world.import(&lines, PLAN).await;
    let said = ended.unwrap_err().to_string();
    assert!(
        said.starts_with("line 4: events[0].type must have 1 to 128 bytes, has 0; nothing of this line"),
        "{said}"
    );
    assert_eq!((summary.commits, summary.bad), (3, 1));
    assert_whole(&world, "note/1", 2).await;
    assert_whole(&world, "note/2", 1).await;

    let (summary, ended) = world.import(&lines, Plan { skip_bad: true, ..PLAN }).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats, summary.bad), (1, 3, 1));
    assert_whole(&world, "note/2", 2).await;
}

#[tokio::test]
async fn what_only_the_store_refuses_is_a_bad_line_too() {
    let world = World::new().await;
    let large = line("note/1", 1).replace(r#"{"n":1}"#, &format!("\"{}\"", "x".repeat(1 << 20)));
    // So many that some come in only after the refusal.
    let later = (2..400).map(|number| line("note/1", number));
    let lines: Vec<_> = [line("note/1", 0), large].into_iter().chain(later).collect();
    let lines = lines.join("\n");
    let (summary, ended) = world.import(&lines, PLAN).await;
    let Err(ImportError::Bad(bad)) = ended else { panic!("{ended:?}") };
    assert_eq!((bad.number, bad.field.as_str()), (2, "events"));
    assert!(bad.rule.ends_with("the most is 1048576"), "{bad}");
    assert_eq!(summary.commits, 1);
    assert_whole(&world, "note/1", 1).await;

    let (summary, ended) = world.import(&lines, Plan { skip_bad: true, ..PLAN }).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats, summary.bad), (398, 1, 1));
    let ids: Vec<_> = world.commits("note/1").await.iter().map(|commit| commit.id.to_string()).collect();
    let expected: Vec<_> = (0..400).filter(|n| *n != 1).map(|n| format!("note/1-{n}")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn nothing_goes_in_behind_a_bad_line_of_a_new_stream() {
    let world = World::new().await;
    let large = line("note/1", 0).replace(r#"{"n":0}"#, &format!("\"{}\"", "x".repeat(1 << 20)));
    let lines: Vec<_> = [large].into_iter().chain((1..100).map(|number| line("note/1", number))).collect();
    let [first] = hold_puts(&world);
    let (summary, ended) = import_together(&world, lines.clone(), PLAN, &first, async {}).await;
    let Err(ImportError::Bad(bad)) = ended else { panic!("{ended:?}") };
    assert_eq!((bad.number, summary.commits), (2, 1));
    assert_eq!(world.commits("note/1").await, []);

    let (summary, ended) = world.import(&lines.join("\n"), Plan { skip_bad: true, ..PLAN }).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats, summary.bad), (99, 0, 1));
    let ids: Vec<_> = world.commits("note/1").await.iter().map(|commit| commit.id.to_string()).collect();
    let expected: Vec<_> = (1..100).map(|number| format!("note/1-{number}")).collect();
    assert_eq!(ids, expected);
}
