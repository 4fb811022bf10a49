//! Inputs that once went wrong, as files in `cases/`: what a shell is told of them, and what exists afterwards.

use headwater::port::Start;
use headwater_tool::import::{ImportError, Plan};
use serde_json::Value;

use super::{
    shell,
    world::{PLAN, World},
};

const SAME_ID: &str = include_str!("cases/same-id-other-events.jsonl");
const PAYMENTS: &str = include_str!("cases/payments.jsonl");
const NOT_I_JSON: &str = include_str!("cases/not-i-json.jsonl");
const TIMES: &str = include_str!("cases/times.jsonl");

/// Imports `lines` as a shell does.
async fn imported(world: &World, lines: &str, more: &[&str]) -> (i32, Value, String) {
    let arguments = [&["import", "-", "--json", "--endpoint", world.aws.endpoint()][..], more].concat();
    let (code, shown, said) = shell::run(&arguments, lines).await;
    (code, serde_json::from_str(&shown).unwrap(), said)
}

#[tokio::test]
async fn other_events_under_an_id_that_exists_are_an_error_at_once_and_in_a_second_run() {
    let lines: Vec<&str> = SAME_ID.lines().collect();
    let expected = "line 2: id a exists in stream dup/1 already, with other events";
    let at_once = World::new().await;
    let (code, summary, said) = imported(&at_once, SAME_ID, &[]).await;
    assert!(code == 1 && said.contains(expected), "{code} {said}");
    assert_eq!((&summary["commits"], &summary["other"], &summary["bad"]), (&1.into(), &1.into(), &0.into()));

    let (code, summary, said) = imported(&at_once, SAME_ID, &["--skip-bad"]).await;
    assert!(code == 0 && said.contains(expected), "{code} {said}");
    assert_eq!((&summary["repeats"], &summary["other"], &summary["bad"]), (&1.into(), &1.into(), &0.into()));

    let in_two_runs = World::new().await;
    assert_eq!(imported(&in_two_runs, lines[0], &[]).await.0, 0);
    let (code, summary, said) = imported(&in_two_runs, lines[1], &[]).await;
    assert!(code == 1 && said.contains("line 1: id a exists in stream dup/1 already"), "{code} {said}");
    assert_eq!((&summary["commits"], &summary["repeats"]), (&0.into(), &0.into()));
    for world in [at_once, in_two_runs] {
        let commits = world.commits("dup/1").await;
        assert_eq!(commits.len(), 1);
        assert_eq!(commits[0].events[0].data.get(), r#"{"n":1}"#);
    }
}

#[tokio::test]
async fn a_second_payment_under_the_id_of_the_first_is_not_dropped_silently() {
    let world = World::new().await;
    let (code, summary, said) = imported(&world, PAYMENTS, &["--skip-bad"]).await;
    // The first line's id has a space.
    assert_eq!(
        (code, &summary["bad"], &summary["commits"], &summary["other"]),
        (0, &1.into(), &1.into(), &1.into())
    );
    assert!(said.contains("line 3: id Payment exists in stream fine/N-1 already"), "{said}");
    let (code, _, said) = imported(&world, &PAYMENTS.replace("Create Fine", "Create-Fine"), &[]).await;
    assert!(code == 1 && said.contains("line 3: id Payment exists in stream fine/N-1 already"), "{said}");
    assert_eq!(world.commits("fine/N-1").await.len(), 2);
}

/// Each line differs from the first one in one thing that a commit says.
#[tokio::test]
async fn type_schema_data_time_and_meta_are_compared_and_how_json_is_written_is_not() {
    let world = World::new().await;
    let line = r#"{"stream":"note/1","id":"a","at":"2020-01-01T00:00:00Z","events":[{"type":"A","data":{"n":1,"m":[]}}],"meta":{"by":"me"}}"#;
    world.import(line, PLAN).await.1.unwrap();
    for (right, other) in [
        (r#""A""#, r#""B""#),
        (r#""A""#, r#""A","schema":2"#),
        (r#""n":1"#, r#""n":2"#),
        ("00Z", "01Z"),
        ("me\"", "you\""),
        (r#"}}],"meta""#, r#"}},{"type":"A","data":1}],"meta""#),
    ] {
        let (summary, ended) = world.import(&line.replacen(right, other, 1), PLAN).await;
        assert!(matches!(ended, Err(ImportError::Bad(_))), "{other}");
        assert_eq!((summary.repeats, summary.other), (0, 1), "{other}");
    }
    let same =
        line.replace(r#"{"n":1,"m":[]}"#, r#"{ "m": [ ], "\u006e": 1.0 }"#).replace("00Z", "00.000+00:00");
    let (summary, ended) = world.import(&same, PLAN).await;
    ended.unwrap();
    assert_eq!((summary.repeats, summary.commits), (1, 0));
    assert_eq!(world.commits("note/1").await.len(), 1);
}

#[tokio::test]
async fn what_is_no_i_json_is_refused_with_field_and_rule_and_the_rest_is_kept_as_it_is() {
    let world = World::new().await;
    let (code, summary, said) = imported(&world, NOT_I_JSON, &["--skip-bad"]).await;
    assert_eq!((code, &summary["commits"], &summary["bad"]), (0, &2.into(), &3.into()), "{said}");
    for says in [
        "line 2: events[1].data.extra must be a number within a double's range (I-JSON, RFC 7493)",
        "line 3: events[1].data.extra must hold no lone surrogate (I-JSON, RFC 7493)",
        "line 4: events[1].data must be nested at most 63 deep",
    ] {
        assert!(said.contains(says), "{said}\n{says}");
    }
    for stream in ["account/q2", "account/q3", "account/q4"] {
        assert_eq!(world.commits(stream).await, [], "{stream}");
    }
    let commits = world.commits("account/q5").await;
    assert_eq!(commits[0].events[1].data.get(), r#"{"amount":5,"extra":12345678901234567890}"#);
}

#[tokio::test]
async fn the_bounds_of_a_time_are_named_and_a_leap_second_is_the_one_before_it() {
    let world = World::new().await;
    let (code, summary, said) = imported(&world, TIMES, &["--skip-bad"]).await;
    assert_eq!((code, &summary["commits"], &summary["bad"]), (0, &4.into(), &2.into()), "{said}");
    let bounds = "at must be a time from 0001-01-01T00:00:00Z to 9999-12-30T22:00:00Z, is";
    for says in
        [format!("line 1: {bounds} 9999-12-31T23:59:59Z"), format!("line 2: {bounds} 0000-01-01T00:00:00Z")]
    {
        assert!(said.contains(&says), "{said}\n{says}");
    }
    for (stream, at) in [
        ("time/2", "0001-01-01T00:00:00Z"),
        ("time/3", "1969-12-31T23:59:59.999Z"),
        ("time/4", "2016-12-31T23:59:59Z"),
        ("time/5", "2024-06-29T22:00:00Z"),
    ] {
        assert_eq!(world.commits(stream).await[0].at.to_string(), at, "{stream}");
    }
    // What was stored is the same at the second run.
    assert_eq!(imported(&world, TIMES, &["--skip-bad"]).await.1["repeats"], 4);
}

/// The sequence numbers of all records.
async fn records(world: &World) -> Vec<String> {
    let log = world.connect().await.ports.log;
    let mut records = Vec::new();
    for shard in log.shards().await.unwrap() {
        let cursor = log.cursor(&shard.id, &Start::Oldest).await.unwrap();
        let read = log.read(&cursor, 1_000).await.unwrap().records;
        records.extend(read.into_iter().map(|record| record.sequence.to_string()));
    }
    records
}

#[tokio::test]
async fn an_import_that_is_run_again_publishes_nothing_that_has_arrived() {
    let world = World::new().await;
    let lines: String = super::world::interleaved(30, 4);
    world.import(&lines, PLAN).await.1.unwrap();
    let before = records(&world).await;
    for archived in [false, true] {
        if archived {
            world.archive().await;
        }
        let (summary, ended) = world.import(&lines, PLAN).await;
        ended.unwrap();
        assert_eq!((summary.commits, summary.repeats, summary.unpublished), (0, 120, 0));
        assert_eq!(records(&world).await, before, "archived: {archived}");
    }
    // Streams that are met after new ones are presumed to be new.
    let short = super::world::interleaved(30, 1).replace("note/", "short/");
    world.import(&short, PLAN).await.1.unwrap();
    let more = super::world::interleaved(40, 1).replace("note/", "new/");
    let (summary, ended) = world.import(&(more + &short), Plan { concurrency: 1, ..PLAN }).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (40, 30));
    assert_eq!(records(&world).await.len(), before.len() + 70);
}
