//! Replay: every event of the archive once, in version order per stream.

use headwater_tool::{
    import::Plan,
    replay::{Lines, Summary, show},
};
use indicatif::ProgressBar;

use super::world::{PLAN, Sink, World, interleaved};

async fn replayed(
    world: &World,
    kind: Option<&str>,
    from: Option<&str>,
) -> (Vec<serde_json::Value>, Summary) {
    let (connection, sink) = (world.connect().await, Sink::default());
    let from = from.map(|day| day.parse().unwrap());
    let summary =
        show(&connection, kind, from, Lines::Events, &mut sink.output(true), &ProgressBar::hidden())
            .await
            .unwrap();
    (sink.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect(), summary)
}

#[tokio::test]
async fn every_event_of_the_archive_is_shown_once_and_in_order() {
    let world = World::new().await;
    let permit = r#"{"stream":"permit/1","id":"a","at":"2010-10-02T09:20:39.266+02:00","events":[{"type":"Sent","data":{"to":"x"}},{"type":"Seen","schema":2,"data":null}],"meta":{"by":"me"}}"#;
    world.import(&format!("{}{permit}", interleaved(9, 4)), PLAN).await.1.unwrap();
    world.archive().await;

    let (shown, summary) = replayed(&world, None, None).await;
    assert_eq!((summary.commits, summary.events, shown.len()), (37, 38, 38));
    assert!(summary.segments >= 2, "{summary:?}");
    for stream in 0..9 {
        let stream = format!("note/{stream}");
        let of: Vec<_> = shown.iter().filter(|line| line["stream"] == stream.as_str()).collect();
        let versions: Vec<_> = of.iter().map(|line| line["version"].as_u64().unwrap()).collect();
        assert_eq!(versions, [1, 2, 3, 4], "{stream}");
    }

    let (shown, summary) = replayed(&world, Some("permit"), None).await;
    assert_eq!((summary.commits, summary.events), (1, 2));
    let golden = serde_json::json!({
        "stream": "permit/1", "version": 2, "type": "Seen", "schema": 2, "data": null, "commit": "a",
        "at": "2010-10-02T07:20:39.266Z", "meta": {"by": "me"},
    });
    assert_eq!(shown[1], golden);

    let (shown, summary) = replayed(&world, None, Some("2999-01-01")).await;
    assert_eq!((shown.len(), summary), (0, Summary::default()));
}

#[tokio::test]
async fn a_store_is_imported_anew_from_its_archive_with_the_same_commits() {
    let world = World::new().await;
    let permit = r#"{"stream":"permit/1","first":1,"last":2,"id":"a","at":"2010-10-02T07:20:39.266Z","events":[{"type":"Sent","schema":1,"data":{"to":"x"}},{"type":"Seen","schema":2,"data":null}],"meta":{"by":"me"}}"#;
    world.import(&format!("{}{permit}", interleaved(9, 4)), PLAN).await.1.unwrap();
    world.archive().await;
    let (connection, sink) = (world.connect().await, Sink::default());
    let mut output = sink.output(true);
    show(&connection, None, None, Lines::Commits, &mut output, &ProgressBar::hidden()).await.unwrap();
    let commits = sink.text();
    assert_eq!(commits.lines().count(), 37);
    assert!(commits.lines().any(|line| line == permit), "{commits}");

    let restored = World::new().await;
    restored.import(&commits, PLAN).await.1.unwrap();
    restored.archive().await;
    let sorted = |mut lines: Vec<serde_json::Value>| {
        lines.sort_by_key(|line| (line["stream"].to_string(), line["version"].as_u64()));
        lines
    };
    let (before, after) = (replayed(&world, None, None).await.0, replayed(&restored, None, None).await.0);
    assert_eq!(sorted(before), sorted(after));
}

/// What `replay --commits` shows.
async fn commits(world: &World) -> String {
    let (connection, sink) = (world.connect().await, Sink::default());
    let mut output = sink.output(true);
    show(&connection, None, None, Lines::Commits, &mut output, &ProgressBar::hidden()).await.unwrap();
    sink.text()
}

/// A commit of one event, at a version or wherever.
fn commit(version: Option<u64>, id: &str, n: u64) -> String {
    let first = version.map(|first| format!(r#""first":{first},"#)).unwrap_or_default();
    format!(
        r#"{{"stream":"note/1",{first}"id":"{id}","at":"2020-01-01T00:00:{n:02}Z","events":[{{"type":"Noted","data":{n}}}]}}"#
    ) + "\n"
}

#[tokio::test]
async fn two_commits_of_one_id_are_restored_each_at_its_version() {
    let world = World::new().await;
    // The same id, and even the same content, far apart.
    let written = [(1, "k", 7), (2, "x", 1), (3, "k", 7), (4, "y", 2), (5, "k", 8)];
    let lines: Vec<_> = written.iter().map(|(version, id, n)| commit(Some(*version), id, *n)).collect();
    let (summary, ended) = world.import(&lines.concat(), PLAN).await;
    ended.unwrap();
    assert_eq!((summary.commits, summary.repeats), (5, 0));
    world.archive().await;
    let archived = commits(&world).await;
    assert_eq!(archived.lines().count(), 5);

    let (empty, partly) = (World::new().await, World::new().await);
    partly.import(&lines[..3].concat(), PLAN).await.1.unwrap();
    for (restored, missing) in [(empty, 5), (partly, 2)] {
        for (commits, repeats) in [(missing, 5 - missing), (0, 5)] {
            let (summary, ended) = restored.import(&archived, PLAN).await;
            ended.unwrap();
            assert_eq!((summary.commits, summary.repeats), (commits, repeats));
        }
        assert_eq!(restored.commits("note/1").await, world.commits("note/1").await);
    }
}

#[tokio::test]
async fn a_restore_is_exact_or_an_error() {
    let skip = Plan { skip_bad: true, ..PLAN };
    for (existing, line, says) in [
        // Another commit at that version; the same one elsewhere; the same one and other content; one that is missing before it.
        (
            commit(None, "a", 1),
            commit(Some(1), "b", 1),
            "line 1: first 1 of stream note/1 exists already, and is another commit than b",
        ),
        (
            commit(None, "a", 1) + &commit(None, "b", 2),
            commit(Some(1), "b", 2),
            "line 1: first 1 of stream note/1 exists already",
        ),
        (commit(None, "a", 1), commit(Some(1), "a", 2), "line 1: first 1 of stream note/1 exists already"),
        (commit(None, "a", 1), commit(Some(3), "b", 2), "line 1: first 3 of stream note/1 can't follow on 1"),
        (String::new(), commit(Some(2), "b", 2), "line 1: first 2 of stream note/1 can't follow on 0"),
        (
            commit(None, "a", 1),
            commit(Some(2), "b", 2) + &commit(Some(2), "c", 3),
            "line 2: first 2 of stream note/1 exists already",
        ),
    ] {
        let world = World::new().await;
        world.import(&existing, PLAN).await.1.unwrap();
        let said = world.import(&line, PLAN).await.1.unwrap_err().to_string();
        assert!(said.starts_with(says), "{said}\n{says}");
        let (summary, ended) = world.import(&line, skip).await;
        ended.unwrap();
        assert_eq!((summary.commits, summary.other, summary.bad), (0, 1, 0), "{says}");
    }
}

#[tokio::test]
async fn an_archive_without_segments_is_no_error() {
    let world = World::new().await;
    let (shown, summary) = replayed(&world, None, None).await;
    assert_eq!((shown.len(), summary), (0, Summary::default()));
}
