//! Audit: each of four damages is found and called by its name, and a commit that nobody published is published.

use std::sync::Arc;

use archiver::segment::{self, Segment};
use consumers::balance::Balances;
use headwater::{
    StoredEvent, Version,
    consume::Projector,
    format::{commit::Commit, head::Head, key, view::View},
    port::{ETag, Got, Keys, Objects, Precondition, Start},
};
use headwater_tool::audit::show;
use indicatif::ProgressBar;
use jiff::SignedDuration;
use serde_json::Value;

use super::{
    show::Closed,
    world::{PLAN, Sink, World},
};

/// Accounts with three commits each.
const ACCOUNTS: usize = 40;

/// A store of accounts, all of it archived and seen in the balances.
async fn whole() -> World {
    let world = World::new().await;
    let rounds = (0..3).flat_map(|round| (0..ACCOUNTS).map(move |number| (round, number)));
    let line = |(round, number)| {
        let event = if round == 0 {
            r#"{"type":"Opened","data":{"overdraft_limit":0}}"#.to_owned()
        } else {
            r#"{"type":"Credited","data":{"amount":5,"reference":null}}"#.to_owned()
        };
        format!(
            r#"{{"stream":"account/{number}","id":"{number}-{round}","at":"2026-10-02T09:20:00Z","events":[{event}]}}"#
        )
    };
    let lines: Vec<String> = rounds.map(line).collect();
    world.import(&(lines.join("\n") + "\n"), PLAN).await.1.unwrap();
    world.archive().await;
    let ports = world.connect().await.ports;
    let balances = Projector::new(Balances, &ports);
    for shard in ports.log.shards().await.unwrap() {
        let cursor = ports.log.cursor(&shard.id, &Start::Oldest).await.unwrap();
        let records = ports.log.read(&cursor, 1_000).await.unwrap().records;
        assert!(balances.project(&records).await.is_empty());
    }
    world
}

/// What an audit without any grace finds, of balances that are seen; what else reads accounts is behind.
async fn found(world: &World, repair: bool) -> Vec<(String, String, String)> {
    let (connection, sink) = (world.connect().await, Sink::default());
    let grace = SignedDuration::from_secs(-1);
    show(&connection, grace, repair, &mut sink.output(true), &ProgressBar::hidden()).await.unwrap();
    let lines: Vec<Value> = sink.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, findings) = lines.split_last().unwrap();
    assert!(summary["summary"]["streams"].as_u64() >= Some(1), "{summary}");
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = findings.iter().map(|it| (text(it, "finding"), text(it, "place"), text(it, "found")));
    let behind = ["views/credit-limit/", "views/holdings/"];
    findings.filter(|(_, place, _)| !behind.iter().any(|views| place.starts_with(views))).collect()
}

async fn object(objects: &dyn Objects, key: &str) -> (Vec<u8>, Precondition) {
    let Got::Found { body, etag, .. } = objects.get(key, None).await.unwrap() else { panic!("no {key}") };
    (body.to_vec(), Precondition::Matches(etag))
}

/// The keys of the segments, oldest first, of the shard that has most.
async fn chain(world: &World) -> Vec<String> {
    let listed = world.connect().await.archive.list_all(&Keys::under("archive/")).await.unwrap();
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    let shard = |key: &str| key.split("/dt=").next().unwrap().to_owned();
    let most = keys
        .iter()
        .map(|key| shard(key))
        .max_by_key(|shard| keys.iter().filter(|key| key.starts_with(shard.as_str())).count())
        .unwrap();
    keys.retain(|key| key.starts_with(&most));
    assert!(keys.len() >= 3, "{keys:?}");
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_was_removed_is_named() {
    let world = whole().await;
    assert_eq!(found(&world, false).await, []);
    let (archive, key) = (world.connect().await.archive, chain(&world).await[1].clone());
    let (_, Precondition::Matches(etag)) = object(&*archive, &key).await else { panic!("no version") };
    archive.delete(&key, &etag).await.unwrap();
    let found = found(&world, false).await;
    assert_eq!(
        found.iter().filter(|(what, ..)| what == "damage").collect::<Vec<_>>(),
        [&("damage".to_owned(), key, "the segment is missing".to_owned())]
    );
    assert!(found.len() > 1 && found.iter().all(|(what, ..)| what == "damage" || what == "H10"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_with_a_row_twice_is_named() {
    let world = whole().await;
    let (archive, key) = (world.connect().await.archive, chain(&world).await[1].clone());
    let (body, version) = object(&*archive, &key).await;
    let segment = Segment::open(body.into()).unwrap();
    let mut commits = segment.commits().unwrap();
    commits.insert(1, commits[0].clone());
    let body = segment::encode(segment.footer(), &commits).unwrap();
    archive.put(&key, body, version).await.unwrap();
    let found = found(&world, false).await;
    let [(what, place, words)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((what.as_str(), place.as_str()), ("H10", commits[0].stream.as_str()));
    assert!(words.contains(&key) && words.contains("was archived before"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_with_a_commit_taken_out_is_named() {
    let world = whole().await;
    let (store, key) = (world.connect().await.ports.objects, "heads/account/4");
    let (body, version) = object(&*store, key).await;
    let mut head = Head::decode(&body).unwrap();
    head.commits.pop();
    (head.version, head.newest_write) = (Version::new(2), Version::new(2));
    store.put(key, head.encode().unwrap(), version).await.unwrap();
    let found = found(&world, false).await;
    let of = |what: &str| found.iter().filter(|it| it.0 == what).map(|it| it.1.as_str()).collect::<Vec<_>>();
    assert_eq!(
        (of("H10"), of("H11"), found.len()),
        (vec!["account/4"], vec!["views/balance/4"], 2),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_was_set_back_is_named() {
    let world = whole().await;
    let (store, key) = (world.connect().await.ports.objects, key::view("balance", "4"));
    let (body, version) = object(&*store, &key).await;
    let mut view = View::<Value>::decode(&body).unwrap();
    view.applied.insert("account/4".parse().unwrap(), Version::new(2));
    view.state["balance"] = 5.into();
    store.put(&key, view.encode().unwrap(), version).await.unwrap();
    let found = found(&world, false).await;
    assert!(found.iter().all(|(what, place, _)| what == "H11" && *place == key), "{found:?}");
    assert!(
        found.iter().any(|(.., words)| words == "account/4 is applied through 2, and is at 3"),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_published_is_published_by_the_repair() {
    let world = whole().await;
    let (store, key, records) =
        (world.connect().await.ports.objects, "heads/account/4", world.records().await);
    let (body, version) = object(&*store, key).await;
    let mut head = Head::decode(&body).unwrap();
    let mut left: Commit = (*head.commits[2]).clone();
    (left.id, left.first, left.last) = ("left".parse().unwrap(), Version::new(4), Version::new(4));
    left.events = vec![StoredEvent::new("Credited", 1, left.events[0].data.clone()).unwrap()];
    head.push([Arc::new(left)]);
    store.put(key, head.encode().unwrap(), version).await.unwrap();
    for (repair, says, more) in
        [(false, "in no record", 0), (true, "published now", 1), (false, "and not archived", 1)]
    {
        let found = found(&world, repair).await;
        let h = found.iter().find(|(_, place, _)| place == "account/4").expect("a finding");
        assert!(h.2.contains(says), "{found:?}");
        assert_eq!(world.records().await, records + more);
    }
    world.archive().await;
    assert!(found(&world, false).await.iter().all(|(what, ..)| what == "H11"), "only the view is behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_counts_where_nobody_reads_it() {
    let world = whole().await;
    let (store, key) = (world.connect().await.ports.objects, key::view("balance", "4"));
    store.delete(&key, &etag(&*store, &key).await).await.unwrap();
    let connection = world.connect().await;
    for json in [true, false] {
        let mut output = headwater_tool::Output::to(Closed, json);
        let grace = SignedDuration::from_secs(-1);
        let summary = show(&connection, grace, false, &mut output, &ProgressBar::hidden()).await.unwrap();
        assert!(summary.findings > 0, "{summary:?}");
    }
}

async fn etag(objects: &dyn Objects, key: &str) -> ETag {
    let Got::Found { etag, .. } = objects.get(key, None).await.unwrap() else { panic!("no {key}") };
    etag
}
