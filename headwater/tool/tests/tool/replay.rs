//! Replay: every event of the archive once, in version order per stream.

use headwater_tool::replay::{Lines, Summary, show};
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
    let permit = r#"{"stream":"permit/1","id":"a","at":"2010-10-02T07:20:39.266Z","events":[{"type":"Sent","schema":1,"data":{"to":"x"}},{"type":"Seen","schema":2,"data":null}],"meta":{"by":"me"}}"#;
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

#[tokio::test]
async fn an_archive_without_segments_is_no_error() {
    let world = World::new().await;
    let (shown, summary) = replayed(&world, None, None).await;
    assert_eq!((shown.len(), summary), (0, Summary::default()));
}
