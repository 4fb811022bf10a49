//! What every reader of a history can read: the rest is refused before the swap, by every way in, with field and rule.

use std::convert::Infallible;

use headwater::{
    Aggregate, ExecuteError, Options, Settings, Store, StoreError, StoredEvent, StreamId, Version, limits,
    memory::World,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Keeps whatever JSON it is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept(u64);

#[derive(Serialize, Deserialize)]
enum Event {
    Told { json: Box<RawValue> },
}

impl Aggregate for Kept {
    const KIND: &'static str = "kept";
    type Command = String;
    type Event = Event;
    type Rejection = Infallible;

    fn decide(&self, json: &String) -> Result<Vec<Event>, Infallible> {
        Ok(vec![Event::Told { json: RawValue::from_string(json.clone()).expect("JSON") }])
    }

    fn evolve(&mut self, _: &Event) {
        self.0 += 1;
    }
}

/// JSON that not every reader reads, and what is said of it.
fn unreadable() -> Vec<(String, String)> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    [
        ("1e400", ".json must be a number within a double's range (I-JSON, RFC 7493)"),
        (r#"["\ud800"]"#, ".json[0] must hold no lone surrogate (I-JSON, RFC 7493)"),
        (r#"{"a":1,"a":1}"#, ".json.a must occur once in its object (I-JSON, RFC 7493)"),
        (&deep, " must be nested at most 63 deep"),
    ]
    .map(|(json, rule)| (json.to_owned(), format!("[0].data{rule}")))
    .into()
}

fn told(json: &str) -> StoredEvent {
    let data = RawValue::from_string(format!(r#"{{"json":{json}}}"#)).expect("JSON");
    StoredEvent::new("Told", 1, data).expect("a name")
}

fn refused(answer: Result<(), StoreError>, expected: &str) {
    let Err(StoreError::Invalid { field: "events", rule }) = answer else { panic!("{answer:?}") };
    assert_eq!(rule, expected);
}

#[tokio::test(start_paused = true)]
async fn data_that_not_every_reader_reads_are_refused_before_anything_is_written() {
    let world = World::new(1);
    let store = Store::new(world.ports(), Settings::default());
    let stream: StreamId = "kept/a".parse().expect("a stream");
    for (json, expected) in unreadable() {
        let executed = store.execute::<Kept>("a", json.clone(), Options::default()).await;
        refused(
            executed.map(drop).map_err(|error| match error {
                ExecuteError::Store(error) => error,
                ExecuteError::Rejected(never) => match never {},
            }),
            &expected,
        );
        let appended = store.append(&stream, vec![told(&json)], Options::default()).await;
        refused(appended.map(drop), &expected);
    }
    assert_eq!((world.objects.all("").len(), world.log.records().len()), (0, 0));
    for json in ["12345678901234567890", r#""\ud83d\ude00""#, r#"{"a":{"a":1}}"#] {
        store.execute::<Kept>("a", json.to_owned(), Options::default()).await.expect(json);
    }
    assert_eq!(store.load::<Kept>("a").await.expect("loads").version, Version::new(3));
}

/// The archive would put such an event into quarantine, and no reader could name it.
#[tokio::test(start_paused = true)]
async fn an_event_without_a_type_or_with_a_schema_that_the_archive_has_no_room_for_is_refused() {
    let world = World::new(1);
    let store = Store::new(world.ports(), Settings::default());
    let stream: StreamId = "kept/a".parse().expect("a stream");
    for (event, expected) in [
        (StoredEvent { name: String::new(), ..told("1") }, "[0].type must have 1 to 128 bytes, has 0"),
        (StoredEvent { schema: 0, ..told("1") }, "[0].schema must be 1 to 2147483647, is 0"),
        (StoredEvent { schema: 1 << 31, ..told("1") }, "[0].schema must be 1 to 2147483647, is 2147483648"),
    ] {
        refused(store.append(&stream, vec![event], Options::default()).await.map(drop), expected);
    }
    assert!(world.objects.all("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_time_outside_of_its_bounds_is_refused_and_they_are_named() {
    let world = World::new(1);
    let store = Store::new(world.ports(), Settings::default());
    let at = |text: &str| Options { at: Some(text.parse().expect("a time")), ..Options::default() };
    for text in ["0000-12-31T23:59:59.999Z", "-009000-01-01T00:00:00Z", "9999-12-30T22:00:00.001Z"] {
        let error = store.execute::<Kept>("a", "1".to_owned(), at(text)).await.expect_err(text).to_string();
        let bounds = "at must be a time from 0001-01-01T00:00:00Z to 9999-12-30T22:00:00Z, is ";
        assert!(error.starts_with(bounds), "{error}");
    }
    for text in [limits::AT.start().to_string(), limits::AT.end().to_string()] {
        let executed = store.execute::<Kept>("a", "1".to_owned(), at(&text)).await.expect("executed");
        assert_eq!(executed.commit.expect("a commit").at.to_string(), text);
    }
}
