//! Each rule of a pass, one at a time.

use futures::TryStreamExt;
use headwater::{
    Options, Store, StoredEvent,
    evidence::Evidence,
    format::{commit::Commit, head::Head, record::Record},
    invariants::Invariant,
    memory::{Fault, FaultyLog, FaultyObjects, MemoryObjects, Operation, World},
    port::{Clock, Entry, Log, LogError},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use serde_json::value::RawValue;
use tokio::time::{advance, sleep};

use super::*;
use crate::archive::{
    Archiver, Bounds,
    lab::{STREAM, bucket, commit},
};
use crate::metric::{RELAY_LAG, RELAY_PUBLISHED};
use crate::replay::Replay;

const MINUTE: Duration = Duration::from_mins(1);

/// A store, its archive, and a relay behind faults.
struct Bench {
    world: World,
    segments: Arc<MemoryObjects>,
    store: FaultyObjects,
    archive: FaultyObjects,
    log: FaultyLog,
    relay: Relay,
}

impl Bench {
    fn new() -> Self {
        let world = World::new(1);
        let segments = bucket(&world);
        let (store, archive) =
            (FaultyObjects::new(world.objects.clone()), FaultyObjects::new(segments.clone()));
        let log = FaultyLog::new(world.log.clone());
        let ports = Ports { objects: Arc::new(store.clone()), log: Arc::new(log.clone()), ..world.ports() };
        let relay = Relay::new(ports, Arc::new(archive.clone()), STREAM, Settings::default());
        Self { world, segments, store, archive, log, relay }
    }

    /// Another relay on the same store, without faults.
    fn another(&self) -> Relay {
        Relay::new(self.world.ports(), self.segments.clone(), STREAM, Settings::default())
    }

    /// Writes a head of `commits` commits: of a writer that has died before it published the newest.
    async fn left(&self, stream: &str, commits: u64) -> Head {
        let mut head = Head::new(stream.parse().expect("a stream"));
        for version in 1..=commits {
            head.push([commit(version, 1)]);
            if version < commits {
                self.publish(&head).await;
            }
        }
        self.world.objects.insert(&key::head(&head.stream), head.encode().expect("encodes"));
        head
    }

    /// Writes a head all of which is published.
    async fn whole(&self, stream: &str, commits: u64) {
        let head = self.left(stream, commits).await;
        self.publish(&head).await;
    }

    async fn publish(&self, head: &Head) {
        let data = Record::newest(head).expect("a commit").encode().expect("encodes");
        let entry = Entry { key: head.stream.to_string(), data };
        self.world.log.put(&[entry]).await.expect("puts").remove(0).expect("taken");
    }

    /// Archives all that has arrived, a segment for each `records` records.
    async fn archive(&self, records: usize) {
        let bounds = Bounds { records, ..Bounds::default() };
        let archiver = Archiver::new(self.world.ports(), self.segments.clone(), STREAM, bounds);
        let mut shards: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for arrival in self.world.log.records() {
            shards.entry(arrival.shard.clone()).or_default().push(arrival);
        }
        for (shard, batch) in shards {
            archiver.archive(&shard, &batch).await.expect("archives");
        }
    }

    /// What arrived of a stream.
    fn arrived(&self, stream: &str) -> Vec<Arc<Commit>> {
        let records = self.world.log.records().into_iter().filter(|arrival| arrival.key == stream);
        records.flat_map(|arrival| Record::decode(&arrival.data).expect("a record").commits).collect()
    }

    fn watermark(&self) -> Option<Timestamp> {
        let (_, body) = self.world.objects.all(key::WATERMARK).pop()?;
        Some(Watermark::decode(&body).expect("a watermark").through)
    }

    /// S3's time, less a minute.
    fn minute_ago(&self) -> Timestamp {
        let now = self.world.clock.now();
        Timestamp::from_second(now.as_second()).expect("a time") - MINUTE
    }
}

fn down() -> LogError {
    LogError::Unknown("down".into())
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_writer_left_is_delivered_once_it_is_a_minute_old() {
    let bench = Bench::new();
    let head = bench.left("account/1", 3).await;
    let young = bench.relay.pass().await;
    assert_eq!((young.heads, young.candidates, young.published), (1, 0, 0), "its writer may be at it");
    assert_eq!(bench.watermark(), Some(bench.minute_ago()));
    advance(MINUTE + Duration::from_secs(3)).await;
    let old = bench.relay.pass().await;
    assert_eq!((old.candidates, old.published, &old.stayed), (1, 1, &None));
    assert_eq!(bench.arrived("account/1"), head.commits);
    assert_eq!((old.before, old.after, bench.watermark()), (young.after, old.after, old.after));
    assert_eq!(old.after, Some(bench.minute_ago()));
    advance(MINUTE).await;
    assert_eq!(bench.relay.pass().await.candidates, 0, "the watermark is behind it");
}

#[tokio::test(start_paused = true)]
async fn the_lag_grows_while_the_watermark_stays() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (bench, snapshotter) = (Bench::new(), recorder.snapshotter());
    let told = || {
        let told = snapshotter.snapshot().into_vec().into_iter();
        let told = told.map(|(key, _, _, value)| (key.key().name().to_owned(), value));
        let told: BTreeMap<String, DebugValue> = told.collect();
        match (&told[RELAY_PUBLISHED], told.get(RELAY_LAG)) {
            (DebugValue::Counter(count), Some(DebugValue::Histogram(lags))) => {
                (*count, lags.iter().map(|lag| lag.into_inner()).collect())
            }
            (DebugValue::Counter(count), None) => (*count, Vec::new()),
            other => panic!("of another kind: {other:?}"),
        }
    };
    bench.left("account/1", 2).await;
    advance(2 * MINUTE).await;
    bench.log.faults().hook(|_| Fault::Before(down()));
    assert!(bench.relay.pass().await.stayed.is_some());
    assert_eq!(told(), (0, vec![]), "no watermark stands yet");
    bench.log.faults().clear();
    advance(MINUTE).await;
    bench.relay.pass().await;
    assert_eq!(told(), (1, vec![60.0]));
    bench.left("account/2", 2).await;
    bench.log.faults().hook(|_| Fault::Before(down()));
    advance(3 * MINUTE).await;
    assert!(bench.relay.pass().await.stayed.is_some());
    assert_eq!(told(), (0, vec![240.0]));
}

#[tokio::test(start_paused = true)]
async fn what_is_published_is_not_published_again() {
    for archived in [None, Some(1), Some(100)] {
        for resharded in [false, true] {
            let bench = Bench::new();
            for number in 0..20 {
                bench.whole(&format!("account/{number}"), 2).await;
            }
            if resharded {
                bench.world.log.split("shardId-000000000000").expect("splits");
                bench.whole("account/new", 1).await;
            }
            if let Some(records) = archived {
                bench.archive(records).await;
            }
            if resharded && archived.is_some() {
                // Closed shards are gone from Kinesis; the archive has what they held.
                bench.world.log.trim(Timestamp::MAX);
                // With a watermark the closed ones are found by their children alone.
                let mark = Watermark::new(Timestamp::UNIX_EPOCH).encode().expect("encodes");
                bench.world.objects.insert(key::WATERMARK, mark);
            }
            bench.left("account/left", 1).await;
            advance(2 * MINUTE).await;
            let report = bench.relay.pass().await;
            let (present, at) = (if resharded { 21 } else { 20 }, format!("{archived:?} {resharded}"));
            assert_eq!((report.present, report.published, report.stayed), (present, 1, None), "{at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_reads_back_as_far_as_the_watermark_and_no_further() {
    let bench = Bench::new();
    for number in 0..40 {
        bench.whole(&format!("account/{number}"), 1).await;
    }
    bench.archive(1).await;
    advance(20 * MINUTE).await;
    assert_eq!(bench.relay.pass().await.present, 40, "without a watermark all is looked at");
    bench.whole("account/recent", 1).await;
    bench.archive(1).await;
    bench.left("account/left", 1).await;
    advance(2 * MINUTE).await;
    let before = bench.archive.bodies();
    let report = bench.relay.pass().await;
    assert_eq!((report.present, report.published), (1, 1));
    // The newest of each shard, and what is read with it on the way back.
    assert!(bench.archive.bodies() - before <= 4 * 17, "{}", bench.archive.bodies() - before);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_and_the_watermark_stays_where_it_is_unknown_what_is_published() {
    fn strike(bench: &Bench, what: &str) {
        let segment = bench.segments.all("archive/").remove(0).0;
        let refused = LogError::Refused("forbidden".into());
        match what {
            "a shard cannot be read" => bench.log.faults().hook(|call| match call.operation {
                Operation::Read => Fault::Before(down()),
                _ => Fault::None,
            }),
            "the shards are not told" => bench.log.faults().hook(move |call| match call.operation {
                Operation::Shards => Fault::Before(refused.clone()),
                _ => Fault::None,
            }),
            "the archive does not answer" => {
                bench.archive.faults().hook(|_| Fault::Before(ObjectError::Unknown("down".into())));
            }
            "a segment is missing" => assert!(bench.segments.remove(&segment)),
            _ => drop(bench.segments.insert(&segment, "no segment")),
        }
    }
    let all = [
        "a shard cannot be read",
        "the shards are not told",
        "the archive does not answer",
        "a segment is missing",
        "a segment is corrupt",
    ];
    for what in all {
        let bench = Bench::new();
        for number in 0..60 {
            bench.whole(&format!("account/{number}"), 1).await;
        }
        bench.archive(1).await;
        bench.left("account/left", 1).await;
        advance(2 * MINUTE).await;
        strike(&bench, what);
        let report = bench.relay.pass().await;
        assert!(report.stayed.is_some() && report.published == 0, "{what}: {report:?}");
        assert_eq!((bench.watermark(), bench.arrived("account/left").len()), (None, 0), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watermark_stays_until_the_last_is_published_and_the_others_do_not_wait() {
    let bench = Bench::new();
    bench.left("account/1", 1).await;
    bench.left("account/2", 1).await;
    bench.world.objects.insert("heads/account/3", "no head");
    advance(2 * MINUTE).await;
    bench.log.throttle(|entry| entry.key == "account/1");
    let report = bench.relay.pass().await;
    assert_eq!((report.published, bench.watermark()), (1, None));
    assert!(report.stayed.expect("a reason").contains("account/1"));
    bench.log.throttle(|_| false);
    let report = bench.relay.pass().await;
    assert_eq!((report.published, report.present, bench.watermark()), (1, 1, None));
    assert!(report.stayed.expect("a reason").contains("heads/account/3"));
    bench.world.objects.remove("heads/account/3");
    assert_eq!(bench.relay.pass().await.after, bench.watermark());
    assert!(bench.watermark().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pass_publishes_for_half_as_long_as_archivers_remember() {
    let bench = Bench::new();
    bench.left("account/1", 1).await;
    advance(2 * MINUTE).await;
    let last = Instant::now() + headwater::limits::PUBLISH_FOR / 2;
    // Kinesis is down for hours, and a pass that finds out late has less time left.
    bench.log.faults().hook(move |call| match call.operation {
        Operation::PutRecords => {
            assert!(Instant::now() < last, "too late");
            Fault::Before(down())
        }
        Operation::Shards if call.number == 1 => Fault::Delay(Duration::from_secs(15)),
        _ => Fault::None,
    });
    let report = bench.relay.pass().await;
    assert!(Instant::now() < last + Duration::from_secs(30));
    assert_eq!((report.published, bench.watermark()), (0, None));
    assert!(bench.log.faults().calls(Operation::PutRecords) > 10);
}

#[tokio::test(start_paused = true)]
async fn the_watermark_is_a_minute_before_the_pass_began_however_long_it_takes() {
    let bench = Bench::new();
    bench.whole("account/1", 1).await;
    advance(2 * MINUTE).await;
    let expected = bench.minute_ago();
    bench.store.faults().script(Operation::List, [Fault::Delay(Duration::from_secs(15))]);
    bench.log.faults().script(Operation::Shards, [Fault::Delay(Duration::from_secs(15))]);
    assert_eq!(bench.relay.pass().await.after, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_replaced_meanwhile_is_left_to_the_next_pass() {
    let bench = Bench::new();
    let mut head = bench.left("account/1", 1).await;
    advance(2 * MINUTE).await;
    // Between the first look at the head and the second one somebody helps, and writes on top.
    let world = bench.world.clone();
    let help = Entry {
        key: "account/1".to_owned(),
        data: Record::newest(&head).expect("a commit").encode().expect("encodes"),
    };
    head.push([commit(2, 1)]);
    let body = head.encode().expect("encodes");
    bench.store.faults().gate(move |call| {
        let (world, help, body) = (world.clone(), help.clone(), body.clone());
        async move {
            if call.operation == Operation::Get && call.key == "heads/account/1" && call.number > 2 {
                world.log.put(&[help]).await.expect("puts");
                world.objects.insert("heads/account/1", body);
            }
            Fault::None
        }
    });
    let report = bench.relay.pass().await;
    assert_eq!((report.published, report.present, report.stayed), (0, 1, None));
    assert_eq!(bench.arrived("account/1").len(), 1);
    bench.store.faults().clear();
    advance(2 * MINUTE).await;
    assert_eq!(bench.relay.pass().await.published, 1);
    assert_eq!(bench.arrived("account/1"), head.commits);
}

#[tokio::test(start_paused = true)]
async fn of_two_relays_the_slower_takes_the_others_watermark() {
    let bench = Bench::new();
    bench.left("account/1", 1).await;
    advance(2 * MINUTE).await;
    bench.store.faults().script(Operation::Put, [Fault::Delay(Duration::from_secs(10))]);
    let other = async {
        sleep(Duration::from_secs(5)).await;
        bench.another().pass().await
    };
    let (slower, faster) = tokio::join!(bench.relay.pass(), other);
    assert!(faster.after > Some(bench.minute_ago() - Duration::from_secs(10)));
    assert_eq!((slower.after, slower.stayed, bench.watermark()), (faster.after, None, faster.after));
    assert!(bench.arrived("account/1").len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_watermark_is_never_moved_back_and_one_from_the_future_is_told() {
    let bench = Bench::new();
    bench.whole("account/1", 1).await;
    advance(2 * MINUTE).await;
    let soon = bench.minute_ago() + Duration::from_secs(30);
    for (through, told) in [(soon, false), (Timestamp::MAX, true), (Timestamp::MIN, false)] {
        bench.world.objects.insert(key::WATERMARK, Watermark::new(through).encode().expect("encodes"));
        let report = bench.relay.pass().await;
        assert_eq!((report.stayed.is_some(), report.before), (told, Some(through)), "{report:?}");
        assert!(bench.watermark().is_some_and(|now| now >= through));
    }
    assert_eq!(bench.watermark(), Some(bench.minute_ago()));
    bench.world.objects.insert(key::WATERMARK, r#"{"format":2,"through":"2026-01-01T00:00:00Z"}"#);
    advance(MINUTE).await;
    assert!(bench.relay.pass().await.stayed.is_some(), "what is not understood is not replaced");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_or_two_change_nothing() {
    let bench = Bench::new();
    let head = bench.left("account/1", 2).await;
    advance(2 * MINUTE).await;
    let lost = || ObjectError::Unknown("lost".into());
    bench.store.faults().script(Operation::Now, [Fault::Before(lost())]);
    bench.store.faults().script(Operation::Get, [Fault::After(lost())]);
    bench.store.faults().script(Operation::List, [Fault::After(lost())]);
    bench.store.faults().script(Operation::Put, [Fault::After(lost())]);
    bench.archive.faults().script(Operation::List, [Fault::After(lost())]);
    for operation in [Operation::Shards, Operation::Cursor, Operation::Read] {
        bench.log.faults().script(operation, [Fault::Before(down())]);
    }
    bench.log.faults().script(Operation::Read, [Fault::Before(LogError::Expired)]);
    bench.log.faults().script(Operation::PutRecords, [Fault::After(down())]);
    let report = bench.relay.pass().await;
    assert_eq!((report.published, &report.stayed, report.after), (1, &None, bench.watermark()), "{report:?}");
    let mut arrived = bench.arrived("account/1");
    arrived.dedup();
    assert_eq!(arrived, head.commits);
}

#[tokio::test(start_paused = true)]
async fn an_idle_pass_costs_four_requests_and_a_pass_with_work_a_few_for_each_shard() {
    let bench = Bench::new();
    let counts = |bench: &Bench| {
        let store = bench.store.faults();
        let store =
            [Operation::Now, Operation::Get, Operation::List, Operation::Put].map(|of| store.calls(of));
        let log = bench.log.faults();
        let log = [Operation::Shards, Operation::Cursor, Operation::Read].map(|of| log.calls(of));
        let archive = bench.archive.faults();
        (store, log, [Operation::List, Operation::Get].map(|of| archive.calls(of)))
    };
    bench.relay.pass().await;
    assert_eq!(
        counts(&bench),
        ([1, 1, 2, 1], [0, 0, 0], [0, 0]),
        "nothing exists; memory's first page is empty"
    );
    for number in 0..20 {
        bench.whole(&format!("account/{number}"), 1).await;
    }
    bench.archive(100).await;
    advance(2 * MINUTE).await;
    bench.relay.pass().await;
    bench.whole("account/3", 2).await;
    bench.archive(100).await;
    advance(2 * MINUTE).await;
    let (before_store, before_log, before_archive) = counts(&bench);
    assert_eq!(bench.relay.pass().await.present, 1);
    let (store, log, archive) = counts(&bench);
    let more = |after: u64, before: u64| after - before;
    let store: Vec<u64> =
        store.into_iter().zip(before_store).map(|(after, before)| more(after, before)).collect();
    assert_eq!(store, [1, 2, 2, 1], "the time, watermark and candidate, two pages of heads, watermark");
    assert_eq!(more(log[0], before_log[0]), 1);
    assert!(log.iter().zip(before_log).all(|(after, before)| more(*after, before) <= 4), "a shard has one");
    assert!(more(archive[0], before_archive[0]) <= 8, "two pages a shard: the hint saves the search");
    assert!(more(archive[1], before_archive[1]) <= 4);
}

/// How many records came, and how many of them were repeats, after four writers have taken turns on slow streams.
async fn turns(bench: &Bench, relayed: bool) -> (u64, u64) {
    let stores: Vec<Store> =
        (0..4).map(|_| Store::new(bench.world.ports(), headwater::Settings::default())).collect();
    let event = StoredEvent::new("Noted", 1, RawValue::NULL.to_owned()).expect("an event");
    for round in 0..10 {
        for number in 0..20 {
            let stream: StreamId = format!("note/{number}").parse().expect("a stream");
            let store = &stores[(round + number) % 4];
            store.append(&stream, vec![event.clone()], Options::default()).await.expect("appends");
        }
        for _ in 0..3 {
            advance(MINUTE).await;
            if relayed {
                assert_eq!(bench.relay.pass().await.stayed, None);
            }
        }
    }
    let evidence = Evidence::gather(&bench.world.ports()).await.expect("evidence");
    let broken: Vec<_> =
        evidence.violations().into_iter().filter(|found| found.invariant != Invariant::H10).collect();
    assert_eq!(broken, [], "with or without a relay");
    (evidence.records, evidence.repeats())
}

#[tokio::test(start_paused = true)]
async fn four_writers_on_slow_streams_repeat_less_than_one_record_in_twenty() {
    let (records, repeats) = turns(&Bench::new(), true).await;
    assert!(repeats * 20 < records, "{repeats} of {records} records are repeats");
    let (_, repeats) = turns(&Bench::new(), false).await;
    assert_eq!(repeats, 9 * 20, "without a relay each helps the one before");
}

#[tokio::test(start_paused = true)]
async fn a_fenced_head_is_known_to_be_published_however_young_it_looks() {
    let bench = Bench::new();
    let mut head = bench.left("account/1", 1).await;
    bench.publish(&head).await;
    head.raise_fence("fence".to_owned());
    bench.world.objects.insert("heads/account/1", head.encode().expect("encodes"));
    let mut empty = Head::new("account/2".parse().expect("a stream"));
    empty.raise_fence("fence".to_owned());
    bench.world.objects.insert("heads/account/2", empty.encode().expect("encodes"));
    // Archivers and Kinesis have forgotten the first long ago.
    bench.world.log.trim(Timestamp::MAX);
    advance(2 * MINUTE).await;
    let report = bench.relay.pass().await;
    assert_eq!((report.candidates, report.present, report.published), (2, 2, 0));
    assert!(bench.watermark().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_comes_back_after_days_makes_no_archiver_forget_what_is_still_on_its_way() {
    let bench = Bench::new();
    bench.relay.pass().await;
    let head = bench.left("account/1", 1).await;
    bench.publish(&head).await;
    for number in 0..50 {
        bench.whole(&format!("account/{number}0"), 1).await;
        advance(MINUTE).await;
    }
    bench.archive(1).await;
    advance(72 * 60 * MINUTE).await;
    // Somebody has begun to help a moment before the watermark passes the head.
    bench.relay.pass().await;
    assert_eq!(bench.watermark(), Some(bench.minute_ago()));
    bench.publish(&head).await;
    bench.archive(1).await;
    let replay = Replay::new(bench.segments.clone(), bench.world.entropy.clone(), STREAM).kind("account");
    let archived: Vec<_> = replay.commits().try_collect().await.expect("replays");
    let of = |stream: &str| archived.iter().filter(|it| it.archived.stream.as_str() == stream).count();
    assert_eq!((archived.len(), of("account/1")), (51, 1), "H10");
}
