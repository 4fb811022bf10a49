//! Two versions of a domain on one store: old events are read, newer ones are refused and never guessed at.

use headwater::{
    Aggregate, ExecuteError, OnConflict, Options, Schemas, StoreError, StoredEvent, Upcaster, Version,
    memory::World,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    counter::{Command, Counter, TooMuch},
    process::{Process, head, named, stream},
};

/// The counter after `Added` has learned to say in which unit: schema 2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Newer(Counter);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum NewerEvent {
    Added { number: i64 },
    Noted { text: String },
}

impl Aggregate for Newer {
    const KIND: &'static str = Counter::KIND;
    const SCHEMA: u32 = 2;
    type Command = Command;
    type Event = NewerEvent;
    const UPCASTERS: &'static [Upcaster] = &[Upcaster {
        event: "Added",
        from: 1,
        up: |number| {
            if number == 13 { panic!("unlucky") } else { Ok(serde_json::json!({ "number": number })) }
        },
    }];
    type Rejection = TooMuch;

    fn decide(&self, command: &Command) -> Result<Vec<NewerEvent>, TooMuch> {
        match command {
            Command::Add(number) => Ok(vec![NewerEvent::Added { number: *number }]),
            _ => Ok(vec![NewerEvent::Noted { text: String::new() }]),
        }
    }

    fn evolve(&mut self, event: &NewerEvent) {
        self.0.events += 1;
        if let NewerEvent::Added { number } = event {
            self.0.sum += number;
        }
    }
}

fn refusal<A>(answer: Result<A, ExecuteError<TooMuch>>) -> StoreError {
    match answer {
        Err(ExecuteError::Store(error @ StoreError::NewerSchema { .. })) => error,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was decided"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_reads_what_an_older_one_wrote_and_writes_its_own() {
    let world = World::new(61);
    let (old, new) = (Process::new(&world), Process::new(&world));
    old.run("a", Command::Add(3)).await;
    let executed =
        new.store.execute::<Newer>("a", Command::Add(4), Options::default()).await.expect("executed");
    assert_eq!(executed.state.0, Counter { sum: 7, events: 2 });
    let schemas: Vec<u32> = head(&world, "a").commits.iter().map(|commit| commit.events[0].schema).collect();
    assert_eq!(schemas, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_older_version_refuses_what_it_does_not_know_and_commits_nothing() {
    let world = World::new(62);
    let (old, new) = (Process::new(&world), Process::new(&world));
    old.run("a", Command::Add(3)).await;
    new.store.execute::<Newer>("a", Command::Add(4), named("theirs")).await.expect("executed");
    let before = head(&world, "a").write;
    let newer = StoreError::NewerSchema {
        stream: stream("a"),
        version: Version::new(2),
        event: "Added".to_owned(),
        schema: 2,
        newest: 1,
    };
    let says = "counter/a@2 cannot be read here: schema 2 of Added is newer than 1, the newest that is known here; deploy the \
                version that wrote it here as well";
    assert_eq!(newer.to_string(), says);
    for on_conflict in [OnConflict::Retry, OnConflict::Abandon, OnConflict::Merge] {
        let options = Options { on_conflict, ..Options::default() };
        assert_eq!(refusal(old.try_run("a", Command::Add(1), options).await), newer, "{on_conflict:?}");
    }
    assert_eq!(old.store.load::<Counter>("a").await.expect_err("no state"), newer);
    match old.try_run("a", Command::Add(4), named("theirs")).await {
        Err(ExecuteError::Store(StoreError::Unknown { commit, .. })) => assert_eq!(commit.as_str(), "theirs"),
        other => panic!("it stands, and its answer must not deny it: {other:?}"),
    }
    assert_eq!(head(&world, "a").write, before, "nothing was written");
    let again = new.store.execute::<Newer>("a", Command::Add(1), Options::default()).await.expect("executed");
    assert_eq!(again.token.version, Version::new(3));
}

#[tokio::test(start_paused = true)]
async fn what_fits_no_schema_is_corrupt() {
    let event = |name: &str, schema, data: &str| {
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        StoredEvent::new(name, schema, data).expect("an event")
    };
    for (bad, reason) in [
        (event("Added", 1, "13"), "its aggregate panicked: unlucky"),
        (event("Added", 2, "{}"), "version 1: event \"Added\", schema 2: missing field `number`"),
        (event("Exploded", 1, "1"), "version 1: event \"Exploded\", schema 1: unknown variant"),
    ] {
        let world = World::new(63);
        let process = Process::new(&world);
        process.store.append(&stream("a"), vec![bad], Options::default()).await.expect("appended");
        match process.store.load::<Newer>("a").await {
            Err(StoreError::Corrupt { reason: told, .. }) => assert!(told.starts_with(reason), "{told}"),
            other => panic!("not corrupt: {other:?}"),
        }
    }
    assert_eq!(Schemas::of::<Newer>().newest("Added"), 2);
}
