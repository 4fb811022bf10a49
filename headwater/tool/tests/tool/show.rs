//! Read and tail: what stands is shown as it is.

use std::time::Duration;

use headwater::{StreamId, Version};
use headwater_tool::{Failure, read, tail};

use serde_json::Value;

use super::world::{PLAN, Sink, World, line};

const SHORT: &str = r#"{"stream":"permit/1","id":"a","at":"2010-10-02T09:20:39.266+02:00","events":[{"type":"Sent","data":{"to":"x"}},{"type":"Seen","schema":2,"data":null}],"meta":{"by":"me"}}"#;

fn stream(text: &str) -> StreamId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_stream_is_read_as_json_lines_or_for_people() {
    let world = World::new().await;
    world.import(SHORT, PLAN).await.1.unwrap();
    let connection = world.connect().await;

    let sink = Sink::default();
    read::show(&connection, &stream("permit/1"), Version::new(1), &mut sink.output(true)).await.unwrap();
    let golden = r#"{"stream":"permit/1","version":1,"type":"Sent","schema":1,"data":{"to":"x"},"commit":"a","at":"2010-10-02T07:20:39.266Z","meta":{"by":"me"}}
{"stream":"permit/1","version":2,"type":"Seen","schema":2,"data":null,"commit":"a","at":"2010-10-02T07:20:39.266Z","meta":{"by":"me"}}
"#;
    assert_eq!(sink.text(), golden);

    let sink = Sink::default();
    read::show(&connection, &stream("permit/1"), Version::new(2), &mut sink.output(false)).await.unwrap();
    let golden = "version  at                        type                      data
      2  2010-10-02 07:20:39.266Z  Seen                      null
";
    assert_eq!(sink.text(), golden);

    let sink = Sink::default();
    read::show(&connection, &stream("permit/1"), Version::new(3), &mut sink.output(false)).await.unwrap();
    assert_eq!(sink.text(), "");
}

#[tokio::test]
async fn a_stream_that_does_not_exist_is_told() {
    let world = World::new().await;
    let connection = world.connect().await;
    let shown =
        read::show(&connection, &stream("permit/9"), Version::new(1), &mut Sink::default().output(true))
            .await;
    let said = shown.unwrap_err().to_string();
    assert_eq!(
        said,
        "there is no stream permit/9 in bucket headwater-store: check the name, or give --store"
    );
}

/// Waits for what a tail shows, with a deadline.
async fn tailed(
    world: &World,
    from_start: bool,
    kind: Option<&str>,
    done: impl Fn(&[Value]) -> bool,
    write: impl Future<Output = ()>,
) -> Vec<Value> {
    let connection = world.connect().await;
    let sink = Sink::default();
    let mut output = sink.output(true);
    let seen = async {
        write.await;
        while !done(&shown(&sink)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let followed = async {
        tokio::select! {
            ended = tail::follow(&connection, from_start, kind, &mut output) => panic!("{ended:?}"),
            () = seen => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(30), followed).await.unwrap();
    shown(&sink)
}

fn shown(sink: &Sink) -> Vec<Value> {
    sink.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_tail_shows_every_commit_in_the_order_of_its_stream() {
    let world = World::new().await;
    let mut lines: Vec<_> =
        (0..6).flat_map(|n| ["note/1", "note/2", "memo/3"].map(|stream| line(stream, n))).collect();
    lines.push(SHORT.to_owned());
    world.import(&lines.join("\n"), PLAN).await.1.unwrap();

    let shown = tailed(&world, true, None, |shown| shown.len() == 19, async {}).await;
    for (stream, last) in [("note/1", 6), ("note/2", 6), ("memo/3", 6), ("permit/1", 2)] {
        let of = |line: &&Value| line["stream"] == stream;
        let mut next = 1;
        for line in shown.iter().filter(of) {
            assert_eq!(line["first"], next, "{line}");
            next = line["last"].as_u64().unwrap() + 1;
        }
        assert_eq!(next, last + 1, "{stream}");
    }
    let mut permit = shown.iter().find(|line| line["stream"] == "permit/1").unwrap().clone();
    for (field, kind) in [("shard", "shardId-"), ("sequence", ""), ("arrived", "20")] {
        let value = permit.as_object_mut().unwrap().remove(field).unwrap();
        assert!(value.as_str().unwrap().starts_with(kind), "{field} {value}");
    }
    for field in ["lag_ms", "behind_ms"] {
        assert!(permit.as_object_mut().unwrap().remove(field).unwrap().is_u64());
    }
    let golden = serde_json::json!({
        "stream": "permit/1", "first": 1, "last": 2, "commit": "a", "at": "2010-10-02T07:20:39.266Z",
        "events": [{"type": "Sent", "schema": 1, "data": {"to": "x"}}, {"type": "Seen", "schema": 2, "data": null}],
        "meta": {"by": "me"},
    });
    assert_eq!(permit, golden);

    let shown = tailed(&world, true, Some("memo"), |shown| shown.len() == 6, async {}).await;
    assert!(shown.iter().all(|line| line["stream"] == "memo/3"));
}

#[tokio::test]
async fn a_tail_without_a_start_shows_only_what_arrives() {
    let world = World::new().await;
    world.import(&line("note/1", 0), PLAN).await.1.unwrap();
    let write = async {
        // Both shards have a cursor when two were asked for.
        while world.aws.counts().of("kinesis:GetRecords").requests < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        world.import(&line("note/2", 0), PLAN).await.1.unwrap();
    };
    let shown = tailed(&world, false, None, |shown| !shown.is_empty(), Box::pin(write)).await;
    assert_eq!((shown.len(), shown[0]["commit"].as_str()), (1, Some("note/2-0")));
}

#[tokio::test]
async fn a_tail_reads_the_children_of_a_shard_after_it() {
    let world = World::new().await;
    let connection = world.connect().await;
    let settings = headwater::aws::Settings::local(world.aws.endpoint());
    let kinesis = headwater::aws::connect(&settings).await.unwrap();
    let lines = |range: std::ops::Range<usize>| {
        range
            .flat_map(|n| (0..8).map(move |stream| line(&format!("note/{stream}"), n) + "\n"))
            .collect::<String>()
    };
    world.import(&lines(0..3), PLAN).await.1.unwrap();
    for (shard, start) in [
        ("shardId-000000000000", "85070591730234615865843651857942052864"),
        ("shardId-000000000001", "255211775190703847597530955573826158592"),
    ] {
        let split = kinesis.kinesis().split_shard().stream_name("headwater").shard_to_split(shard);
        split.new_starting_hash_key(start).send().await.unwrap();
    }
    assert!(connection.ports.log.shards().await.unwrap().len() > 2);
    world.import(&lines(3..6), PLAN).await.1.unwrap();

    let of = |shown: &[Value], stream: usize| -> Vec<(u64, u64)> {
        let lines = shown.iter().filter(|line| line["stream"] == format!("note/{stream}").as_str());
        lines.map(|line| (line["first"].as_u64().unwrap(), line["last"].as_u64().unwrap())).collect()
    };
    let all = |shown: &[Value]| (0..8).all(|stream| of(shown, stream).iter().any(|(_, last)| *last == 6));
    let shown = tailed(&world, true, None, all, async {}).await;
    for stream in 0..8 {
        let mut applied = 0;
        for (first, last) in of(&shown, stream) {
            // A commit may come again, as when a writer helped; but never before the one that it follows.
            assert!(first <= applied + 1, "note/{stream}: {first} after {applied}");
            applied = applied.max(last);
        }
    }
}

/// Where nobody reads.
pub struct Closed;

impl std::io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_output_that_nobody_reads_ends_the_command() {
    let world = World::new().await;
    world.import(SHORT, PLAN).await.1.unwrap();
    let connection = world.connect().await;
    for json in [true, false] {
        let mut output = headwater_tool::Output::to(Closed, json);
        let shown = read::show(&connection, &stream("permit/1"), Version::new(1), &mut output).await;
        assert!(matches!(shown, Err(Failure::Closed)), "{shown:?}");
    }
}
