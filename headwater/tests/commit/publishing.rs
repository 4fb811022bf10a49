//! The publisher: batches, back-pressure, and what Kinesis does not take at first.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use headwater::{
    Publication,
    format::{head::Head, key, record::Record, watermark::Watermark},
    limits,
    memory::{Fault, Heard, Journey, Operation, World},
    port::{Batch, Clock, Cursor, Entry, EntryError, Log, LogError, Ports, Position, Shard, Start},
};

use crate::{
    counter::Command,
    process::{Process, assert_order, published},
};

#[tokio::test(start_paused = true)]
async fn a_commit_that_kinesis_does_not_take_is_pending_and_is_published_later() {
    let world = World::new(40);
    let process = Process::new(&world);
    process.log.faults().hook(|_| Fault::Before(LogError::Unknown("down".into())));
    let executed = process.run("a", Command::Add(1)).await;
    assert_eq!(executed.publication, Publication::Pending, "committed, and not reported as failed");
    assert_eq!(process.store.drain(Duration::from_secs(1)).await, 1);
    process.log.faults().clear();
    assert_eq!(process.store.drain(Duration::from_mins(1)).await, 0);
    assert_eq!(published(&world, "a"), [(1, 1)]);
    process.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)], "no help is needed");
}

#[tokio::test(start_paused = true)]
async fn only_the_entries_that_failed_are_sent_again() {
    let world = World::new(41);
    let process = Process::new(&world);
    let seen = Mutex::new(HashSet::new());
    process
        .log
        .throttle(move |entry| entry.key.ends_with('7') && seen.lock().unwrap().insert(entry.key.clone()));
    let ids: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    futures::future::join_all(ids.iter().map(|id| process.run(id, Command::Add(1)))).await;
    assert_eq!(process.log.records(), 100, "each record once");
    for id in &ids {
        assert_eq!(published(&world, id), [(1, 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_stream_keeps_its_order() {
    let world = World::new(42);
    let process = Process::new(&world);
    let random = Mutex::new(fastrand::Rng::with_seed(1));
    process.log.throttle(move |_| random.lock().unwrap().u8(..3) == 0);
    for _ in 0..40 {
        futures::future::join_all((0..3).map(|_| process.run("a", Command::Add(1)))).await;
    }
    assert_order(&world, &process, "a").await;
    assert_eq!(process.sum("a").await.0, 120);
}

/// A log that checks what is under way.
struct Watching {
    inner: Arc<dyn Log>,
    under_way: Mutex<HashSet<String>>,
    largest: Mutex<usize>,
}

#[async_trait::async_trait]
impl Log for Watching {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
        let bytes: usize = entries.iter().map(|entry| entry.data.len() + entry.key.len()).sum();
        assert!(entries.len() <= limits::PUT_RECORDS && bytes <= limits::PUT_RECORDS_BYTES);
        for entry in entries {
            assert!(
                self.under_way.lock().unwrap().insert(entry.key.clone()),
                "H4: two records of {} are under way",
                entry.key
            );
        }
        let largest = self.largest.lock().unwrap().max(entries.len());
        *self.largest.lock().unwrap() = largest;
        tokio::time::sleep(Duration::from_millis(3)).await;
        let put = self.inner.put(entries).await;
        self.under_way.lock().unwrap().retain(|key| entries.iter().all(|entry| entry.key != *key));
        put
    }

    async fn shards(&self) -> Result<Vec<Shard>, LogError> {
        self.inner.shards().await
    }

    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        self.inner.cursor(shard, start).await
    }

    async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
        self.inner.read(cursor, most).await
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_sent_in_batches_and_never_two_of_one_stream_at_a_time() {
    let world = World::new(43);
    let log = Arc::new(Watching {
        inner: world.log.clone(),
        under_way: Mutex::default(),
        largest: Mutex::default(),
    });
    let ports = Ports { log: log.clone(), ..world.ports() };
    let store = headwater::Store::new(ports, headwater::Settings::default());
    let commands = (0..3_000).map(|number| {
        let (store, id) = (&store, (number % 1_000).to_string());
        async move {
            let options = headwater::Options::default();
            let text = "x".repeat(20_000);
            store
                .execute::<crate::counter::Counter>(&id, Command::Note(text), options)
                .await
                .expect("executed")
        }
    });
    futures::future::join_all(commands).await;
    assert!(*log.largest.lock().unwrap() > 50, "batches: {}", log.largest.lock().unwrap());
    let process = Process::new(&world);
    for number in 0..1_000 {
        assert_order(&world, &process, &number.to_string()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_kinesis_loses_publishes_twice_and_in_order() {
    let world = World::new(44);
    let process = Process::new(&world);
    process.log.faults().script(Operation::PutRecords, [Fault::After(LogError::Unknown("lost".into()))]);
    process.run("a", Command::Add(1)).await;
    process.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (1, 1), (2, 2)]);
    assert_order(&world, &process, "a").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_not_published_once_the_relay_has_passed_it() {
    let world = World::new(45);
    let process = Process::new(&world);
    process.log.faults().hook(|_| Fault::Before(LogError::Unknown("down".into())));
    process.run("a", Command::Add(1)).await;
    let given_up = limits::PUBLISH_FOR + Duration::from_mins(1);
    assert_eq!(process.store.drain(given_up).await, 0, "it is given up");
    process.log.faults().clear();
    let Some((_, head)) = world.objects.all("heads/").pop() else { panic!("no head") };
    let record = Record::newest(&Head::decode(&head).expect("a head")).expect("a commit");
    let entry = Entry { key: record.stream.to_string(), data: record.encode().expect("encodes") };
    world.log.put(&[entry]).await.expect("the relay publishes it");
    world.objects.insert(key::WATERMARK, Watermark::new(world.clock.now()).encode().expect("encodes"));
    tokio::time::sleep(Duration::from_mins(1)).await;
    process.run("a", Command::Add(1)).await;
    assert_eq!(published(&world, "a"), [(1, 1), (2, 2)], "archivers may have forgotten the first");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_after_its_commit_leaves_it_to_the_relay() {
    let world = World::new(46);
    let process = Process::hasty(&world, 3 * limits::PUBLISH_FOR);
    // The answer of the PUT comes when the time is over in which anybody may publish.
    process.objects.faults().hook(|call| match call.operation {
        Operation::Put => Fault::Journey(Journey {
            there: Duration::ZERO,
            again: None,
            back: limits::PUBLISH_FOR,
            answer: Heard::Answer,
        }),
        _ => Fault::None,
    });
    let executed = process.run("a", Command::Add(1)).await;
    assert_eq!(executed.publication, Publication::Pending);
    assert_eq!(published(&world, "a"), []);
}
