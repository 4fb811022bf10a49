//! What the archiver promises, one behaviour a test.

use headwater::{
    format::{key, watermark::Watermark},
    memory::{Fault, FaultyObjects, Operation, World},
    port::{Entry, Log, ObjectError},
};

use super::{
    lab::{SHARD, STREAM, archiver, arrival, at, bucket, chain, check, commit, into_shard, sequence},
    *,
};

const NOON: &str = "2026-11-21T12:00:00Z";

fn lost() -> ObjectError {
    ObjectError::Unknown("lost".into())
}

/// Records of one stream, a commit each.
fn one_each(numbers: std::ops::RangeInclusive<u64>) -> Vec<Arrival> {
    numbers.map(|number| arrival(number, at(NOON), "account/1", vec![commit(number, 1)])).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_becomes_one_segment_and_a_repeat_nothing() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=5));
    let archiver = archiver(&world, objects.clone());
    let outcome = archiver.archive(SHARD, &batch).await.expect("archives");
    assert_eq!(outcome, Outcome { segments: 1, commits: 5, repeats: 0, quarantined: 0 });
    assert_eq!(archiver.archive(SHARD, &batch).await.expect("archives"), Outcome::default());
    check(&objects, &batch).expect("H10");
    let keys: Vec<String> = objects.all("").into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [format!("archive/{STREAM}/shard={SHARD}/dt=2026-11-21/000000000001.parquet")]);
}

#[tokio::test(start_paused = true)]
async fn a_huge_batch_becomes_several_segments() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=7));
    let bounds = Bounds { records: 3, ..Bounds::default() };
    let archiver = Archiver::new(world.ports(), objects.clone(), STREAM, bounds);
    assert_eq!(archiver.archive(SHARD, &batch).await.expect("archives").segments, 3);
    check(&objects, &batch).expect("H10");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_commit_goes_to_quarantine_and_the_shard_goes_on() {
    let world = World::new(1);
    let (objects, mut batch) = (bucket(&world), one_each(1..=3));
    batch[1].data = b"no \xff commit".as_slice().into();
    let outcome = archiver(&world, objects.clone()).archive(SHARD, &batch).await.expect("archives");
    assert_eq!((outcome.commits, outcome.quarantined), (2, 1));
    let key = key::quarantine(STREAM, SHARD, &batch[1].sequence);
    let (found, body) = objects.all("quarantine/").pop().expect("an object");
    let quarantined = Quarantined::decode(&body).expect("decodes");
    assert_eq!((found, quarantined.data().expect("base64")), (key, batch[1].data.to_vec()));
    assert!(quarantined.reason.contains("record"), "{}", quarantined.reason);
    check(&objects, &batch).expect("H10");
}

#[tokio::test(start_paused = true)]
async fn quarantine_that_does_not_answer_holds_the_segment_back() {
    let world = World::new(1);
    let (objects, mut batch) = (bucket(&world), one_each(1..=2));
    batch[1].data = "no commit".into();
    let faulty = FaultyObjects::new(objects.clone());
    faulty
        .faults()
        .hook(|call| if call.key.starts_with("quarantine/") { Fault::Before(lost()) } else { Fault::None });
    let archiver = archiver(&world, Arc::new(faulty.clone()));
    let interrupted = archiver.archive(SHARD, &batch).await.expect_err("quarantine is away");
    assert_eq!(interrupted.from, batch[0].sequence);
    assert!(objects.all("").is_empty());
    faulty.faults().clear();
    archiver.archive(SHARD, &batch).await.expect("archives");
    assert_eq!((objects.all("quarantine/").len(), objects.all("archive/").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_anything_to_keep_still_moves_the_chain() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=2));
    let archiver = archiver(&world, objects.clone());
    archiver.archive(SHARD, &batch).await.expect("archives");
    let repeats: Vec<Arrival> =
        (3..=4).map(|number| Arrival { sequence: sequence(number), ..batch[1].clone() }).collect();
    let outcome = archiver.archive(SHARD, &repeats).await.expect("archives");
    assert_eq!((outcome.segments, outcome.commits, outcome.repeats), (1, 0, 2));
    let (tail, commits) = chain(&objects, SHARD).expect("a chain");
    assert_eq!((tail.expect("a tail").last, commits.len()), (sequence(4), 2));
}

#[tokio::test(start_paused = true)]
async fn an_archiver_that_was_overtaken_names_the_same_key_as_everybody() {
    let world = World::new(1);
    let objects = bucket(&world);
    let batch = |from: u64, at_: &str| -> Vec<Arrival> {
        vec![arrival(from, at(at_), "account/1", vec![commit(from, 1)])]
    };
    let days = ["2026-11-21T12:00:00Z", "2026-11-22T12:00:00Z", "2026-11-23T12:00:00Z"];
    let [one, two, three] = [batch(1, days[0]), batch(2, days[1]), batch(3, days[2])];
    let (idle, busy) = (archiver(&world, objects.clone()), archiver(&world, objects.clone()));
    idle.archive(SHARD, &one).await.expect("archives");
    busy.archive(SHARD, &two).await.expect("archives");
    idle.archive(SHARD, &three).await.expect("archives");
    check(&objects, &[one, two, three].concat()).expect("H10");
}

#[tokio::test(start_paused = true)]
async fn every_way_to_lose_an_answer_archives_once() {
    for fault in [
        Fault::After(lost()),
        Fault::Before(lost()),
        Fault::Before(ObjectError::InFlight),
        Fault::Late(lost(), Duration::from_millis(1)),
        Fault::Late(lost(), Duration::from_secs(15)),
    ] {
        let world = World::new(1);
        let (objects, batch) = (bucket(&world), one_each(1..=4));
        let faulty = FaultyObjects::new(objects.clone());
        faulty.faults().script(Operation::Put, [fault.clone(), fault]);
        let archiver = archiver(&world, Arc::new(faulty));
        archiver.archive(SHARD, &batch[..2]).await.expect("archives");
        archiver.archive(SHARD, &batch).await.expect("archives");
        tokio::time::sleep(Duration::from_mins(1)).await;
        check(&objects, &batch).expect("H10");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_with_the_first_record_that_is_missing() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=4));
    let faulty = FaultyObjects::new(objects.clone());
    let refused = ObjectError::Refused("no permission".into());
    faulty.faults().script(Operation::Put, [Fault::None, Fault::Before(refused)]);
    let bounds = Bounds { records: 2, ..Bounds::default() };
    let archiver = Archiver::new(world.ports(), Arc::new(faulty), STREAM, bounds);
    let interrupted = archiver.archive(SHARD, &batch).await.expect_err("refused");
    assert_eq!(interrupted.from, batch[2].sequence);
    archiver.archive(SHARD, &batch[2..]).await.expect("archives");
    check(&objects, &batch).expect("H10");
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_knows_what_came_before() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=40));
    for records in batch.chunks(1) {
        archiver(&world, objects.clone()).archive(SHARD, records).await.expect("archives");
    }
    let repeat = Arrival { sequence: sequence(50), at: at("2026-12-05T00:00:00Z"), ..batch[0].clone() };
    let outcome = archiver(&world, objects.clone()).archive(SHARD, &[repeat]).await.expect("archives");
    assert_eq!((outcome.commits, outcome.repeats), (0, 1));
    check(&objects, &batch).expect("H10");
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_reads_back_no_further_than_the_watermark_asks() {
    let world = World::new(1);
    let objects = bucket(&world);
    let batch: Vec<Arrival> = (1..=200_u64)
        .map(|number| {
            let arrived = at(NOON) + jiff::SignedDuration::from_mins(i64::try_from(number).expect("few"));
            arrival(number, arrived, "account/1", vec![commit(number, 1)])
        })
        .collect();
    let warm = archiver(&world, objects.clone());
    for records in batch[..199].chunks(1) {
        warm.archive(SHARD, records).await.expect("archives");
    }
    let mut mark = Watermark::new(batch[198].at);
    mark.hour_ago = Some(batch[138].at);
    world.objects.insert(key::WATERMARK, mark.encode().expect("encodes"));
    let faulty = FaultyObjects::new(objects.clone());
    archiver(&world, Arc::new(faulty.clone())).archive(SHARD, &batch[199..]).await.expect("archives");
    let read = faulty.faults().calls(Operation::Get);
    assert!((60..90).contains(&read), "{read} segments were read back");
    check(&objects, &batch).expect("H10");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_in_a_child_shard_is_known_from_its_parents() {
    let world = World::new(1);
    let objects = bucket(&world);
    let put = |name: &'static str| {
        let log = world.log.clone();
        let record = arrival(1, at(NOON), name, vec![commit(1, 1)]);
        async move { log.put(&[Entry { key: name.to_owned(), data: record.data }]).await.expect("puts") }
    };
    let names = ["account/1", "account/2", "account/3", "account/4", "account/5", "account/6", "account/7"];
    for name in names {
        put(name).await;
    }
    let shards = world.log.shards().await.expect("shards");
    for shard in &shards {
        world.log.split(&shard.id).expect("splits");
    }
    let [a, b] = [
        world.log.shards().await.expect("shards")[4].id.clone(),
        world.log.shards().await.expect("shards")[5].id.clone(),
    ];
    let merged = world.log.merge(&a, &b).expect("merges");
    for name in names {
        put(name).await;
    }
    let records = world.log.records();
    for (lives, shards) in
        [(1, world.log.shards().await.expect("shards")), (2, world.log.shards().await.expect("shards"))]
    {
        for shard in shards {
            let batch: Vec<Arrival> =
                records.iter().filter(|record| record.shard == shard.id).cloned().collect();
            archiver(&world, objects.clone()).archive(&shard.id, &batch).await.expect(&shard.id);
        }
        check(&objects, &records).unwrap_or_else(|error| panic!("life {lives}: {error}"));
    }
    assert!(records.iter().any(|record| record.shard == merged), "no record tests the merge");
}

#[tokio::test(start_paused = true)]
async fn a_missing_segment_is_told_by_name() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=3));
    for records in batch.chunks(1) {
        archiver(&world, objects.clone()).archive(SHARD, records).await.expect("archives");
    }
    let key = format!("archive/{STREAM}/shard={SHARD}/dt=2026-11-21/000000000002.parquet");
    assert!(objects.remove(&key));
    let next = one_each(4..=4);
    let interrupted = archiver(&world, objects).archive(SHARD, &next).await.expect_err("a hole");
    assert!(interrupted.to_string().contains(&key), "{interrupted}");
}

#[tokio::test(start_paused = true)]
async fn the_newest_segment_is_found_in_a_long_chain_and_after_a_long_silence() {
    let world = World::new(1);
    let objects = bucket(&world);
    for (ordinal, day) in (1..=4_500_u64).map(|k| (k, if k < 300 { "2026-11-01" } else { "2026-11-02" })) {
        objects.insert(&format!("archive/{STREAM}/shard={SHARD}/dt={day}/{ordinal:012}.parquet"), "");
    }
    let entropy = world.entropy.clone();
    let faulty = FaultyObjects::new(objects);
    let chain = Chain::new(Arc::new(faulty.clone()), entropy, STREAM, SHARD, Duration::from_secs(1));
    for near in ["2026-11-02", "2026-11-03", "2027-11-03", "2026-10-01"] {
        let newest = chain.newest(near.parse().expect("a date")).await.expect("lists").expect("a segment");
        assert_eq!(newest.ordinal, 4_500, "{near}");
    }
    assert!(faulty.faults().calls(Operation::List) < 80);
    assert_eq!(chain.of("other").newest("2026-11-02".parse().expect("a date")).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_archived_under_its_own_name() {
    let world = World::new(1);
    let (objects, batch) = (bucket(&world), one_each(1..=2));
    let archiver = archiver(&world, objects.clone());
    for shard in ["shardId-000000000000", "shardId-000000000001"] {
        let batch: Vec<Arrival> = batch.iter().map(|arrival| into_shard(shard, arrival)).collect();
        archiver.archive(shard, &batch).await.expect("archives");
        assert_eq!(chain(&objects, shard).expect("a chain").1.len(), 2);
    }
}
