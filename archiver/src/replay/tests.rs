//! What replay promises, one behaviour a test.

use std::collections::HashMap;

use headwater::{
    StreamId, Version,
    format::record::Record,
    memory::{MemoryObjects, World},
    port::{Arrival, Entry, Log},
};

use super::*;
use crate::archive::lab::{SHARD, STREAM, archiver, arrival, at, bucket, commit};

fn replay(world: &World, objects: &Arc<MemoryObjects>) -> Replay {
    Replay::new(objects.clone(), world.entropy.clone(), STREAM)
}

async fn all(replay: Replay) -> Result<Vec<Replayed>, ChainError> {
    replay.commits().try_collect().await
}

/// Two kinds of streams over three days, a segment for each record.
async fn three_days(world: &World) -> (Arc<MemoryObjects>, Vec<Arrival>) {
    let days =
        ["2026-11-21T23:59:00Z", "2026-11-22T12:00:00Z", "2026-11-22T23:59:00Z", "2026-11-24T00:00:00Z"];
    let records: Vec<Arrival> = days
        .iter()
        .zip(1..)
        .flat_map(|(day, number)| {
            let record = |offset, stream| {
                arrival(
                    number * 2 + offset,
                    at(day),
                    stream,
                    vec![commit(number * 2 - 1, 1), commit(number * 2, 1)],
                )
            };
            [record(0, "account/1"), record(1, "user/ü 1")]
        })
        .collect();
    let objects = bucket(world);
    let archiver = archiver(world, objects.clone());
    for record in &records {
        archiver.archive(SHARD, std::slice::from_ref(record)).await.expect("archives");
    }
    (objects, records)
}

fn commits_of(records: &[Arrival]) -> Vec<(StreamId, Version)> {
    let records = records.iter().map(|arrival| Record::decode(&arrival.data).expect("a record"));
    records
        .flat_map(|record| {
            let of = move |commit: &Arc<_>| {
                let commit: &headwater::format::commit::Commit = commit;
                (record.stream.clone(), commit.first)
            };
            record.commits.iter().map(of).collect::<Vec<_>>()
        })
        .collect()
}

fn names(replayed: &[Replayed]) -> Vec<(StreamId, Version)> {
    replayed.iter().map(|one| (one.archived.stream.clone(), one.archived.commit.first)).collect()
}

#[tokio::test]
async fn what_was_published_comes_back_the_same() {
    let world = World::new(1);
    let (objects, records) = three_days(&world).await;
    let replayed = all(replay(&world, &objects)).await.expect("replays");
    assert_eq!(names(&replayed), commits_of(&records));
    for (one, record) in replayed.chunks(2).zip(&records) {
        let record_was = Record::decode(&record.data).expect("a record");
        let same = one.iter().map(|one| one.archived.commit.clone()).collect();
        assert_eq!(Record::new(record_was.stream, same).encode().expect("encodes"), record.data);
        assert!(one.iter().all(|one| one.archived.sequence == record.sequence && &*one.shard == SHARD));
    }
    let counts = replay(&world, &objects).count().await.expect("counts");
    assert_eq!(counts, Counts { segments: 8, commits: 16, events: 16 });
}

#[tokio::test]
async fn events_are_those_of_the_commits() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Typed {
        Credited { n: u64 },
    }
    let world = World::new(1);
    let (objects, _) = three_days(&world).await;
    for chosen in [
        replay(&world, &objects),
        replay(&world, &objects).kind("user"),
        replay(&world, &objects).from("2026-11-23".parse().expect("a date")),
    ] {
        let events = chosen.events::<Typed>(Schemas::FIRST).try_collect::<Vec<_>>().await.expect("replays");
        let event = |Replayed { archived: Archived { stream, commit, .. }, .. }| {
            let event = Ok(Typed::Credited { n: commit.first.get() });
            Event { stream, version: commit.first, at: commit.at, event }
        };
        let commits = all(chosen).await.expect("replays");
        assert!(!commits.is_empty());
        assert_eq!(events, commits.into_iter().map(event).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_day_and_a_kind_are_chosen_exactly() {
    let world = World::new(1);
    let (objects, records) = three_days(&world).await;
    for (from, begins) in
        [("2026-11-21", 0), ("2026-11-22", 2), ("2026-11-23", 6), ("2026-11-24", 6), ("2026-11-25", 8)]
    {
        let chosen = replay(&world, &objects).from(from.parse().expect("a date"));
        let replayed = all(chosen.clone()).await.expect("replays");
        assert_eq!(names(&replayed), commits_of(&records[begins..]), "{from}");
        assert_eq!(chosen.count().await.expect("counts").commits, replayed.len() as u64, "{from}");
        let users = all(chosen.kind("user")).await.expect("replays");
        assert_eq!(users.len(), replayed.len() / 2, "{from}");
    }
    assert!(all(replay(&world, &objects).kind("nobody")).await.expect("replays").is_empty());
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let world = World::new(1);
    for missing in 1..8 {
        let (objects, _) = three_days(&world).await;
        let (key, _) = objects.all("archive/").swap_remove(missing - 1);
        assert!(objects.remove(&key));
        let error = all(replay(&world, &objects)).await.expect_err("a hole").to_string();
        assert!(error.contains(&format!("ordinal {missing:012} is missing")), "{error}");
        replay(&world, &objects).count().await.expect_err("a hole");
    }
}

#[tokio::test]
async fn a_segment_of_another_chain_is_told() {
    let world = World::new(1);
    let (objects, records) = three_days(&world).await;
    let other = bucket(&world);
    let foreign = archiver(&world, other.clone());
    foreign.archive(SHARD, &records[..1]).await.expect("archives");
    foreign.archive(SHARD, &records[1..3]).await.expect("archives");
    let keys: Vec<String> = objects.all("archive/").into_iter().map(|(key, _)| key).collect();
    let (key, body) = other.all("archive/").pop().expect("a segment");
    assert_eq!(key, keys[1]);
    objects.insert(&key, body);
    let error = all(replay(&world, &objects)).await.expect_err("another chain").to_string();
    assert!(error.contains(&keys[2]), "{error}");
    objects.insert(&key, "no segment");
    let error = all(replay(&world, &objects)).await.expect_err("no segment").to_string();
    assert!(error.contains(&key), "{error}");
}

#[tokio::test]
async fn a_stream_stays_in_order_over_splits_and_merges() {
    let world = World::new(1);
    let objects = bucket(&world);
    let mut versions: HashMap<String, u64> = HashMap::new();
    for round in 0..4 {
        for name in (0..20).map(|id| format!("account/{id}")) {
            let version = versions.entry(name.clone()).or_default();
            *version += 1;
            let data = arrival(1, at("2026-11-21T12:00:00Z"), &name, vec![commit(*version, 1)]).data;
            world.log.put(&[Entry { key: name, data }]).await.expect("puts");
        }
        let open: Vec<_> =
            world.log.shards().await.expect("shards").into_iter().filter(|shard| !shard.closed).collect();
        match round {
            0 => drop(world.log.split(&open[0].id).expect("splits")),
            1 => {
                // The children of a child that never had a record must still follow their grandparent.
                let [left, _] = world.log.split(&open[0].id).expect("splits");
                drop(world.log.split(&left).expect("splits"));
            }
            _ => drop(world.log.split(&open[1].id).expect("splits")),
        }
    }
    let records = world.log.records();
    let archiver = archiver(&world, objects.clone());
    for shard in world.log.shards().await.expect("shards") {
        let batch: Vec<Arrival> = records.iter().filter(|record| record.shard == shard.id).cloned().collect();
        archiver.archive(&shard.id, &batch).await.expect("archives");
    }
    let replayed = all(replay(&world, &objects)).await.expect("replays");
    assert_eq!(replayed.len(), records.len());
    let mut newest: HashMap<StreamId, Version> = HashMap::new();
    for one in replayed {
        let version = newest.entry(one.archived.stream).or_default();
        assert_eq!(one.archived.commit.first, version.next());
        *version = one.archived.commit.last;
    }
}

#[tokio::test]
async fn an_empty_archive_replays_nothing() {
    let world = World::new(1);
    assert!(all(replay(&world, &bucket(&world))).await.expect("replays").is_empty());
    assert_eq!(replay(&world, &bucket(&world)).count().await, Ok(Counts::default()));
}
