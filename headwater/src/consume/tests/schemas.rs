//! Schemas in a projection: old events go through their upcasters, newer ones park their stream until they are known.

use serde::Deserialize;
use serde_json::json;

use super::{Bench, Seeing, Seen, added, history, plain, raw, record, stream};
use crate::{
    consume::{ApplyError, Envelope, Kind, Projection, Projector, Reads, Unparked},
    event::StoredEvent,
    id::{StreamId, Version},
    schema::Upcaster,
};

/// [`Seeing`] after `Added` has become an object, and its data schema 2.
struct Newer;

#[derive(Deserialize)]
enum NewerEvent {
    Added { number: u64 },
}

const UPCASTERS: &[Upcaster] =
    &[Upcaster { event: "Added", from: 1, up: |number| Ok(json!({ "number": number })) }];

impl Reads for NewerEvent {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[Kind::new("account", UPCASTERS)];
}

impl Projection for Newer {
    const NAME: &'static str = Seeing::NAME;
    type View = Seen;
    type Reads = NewerEvent;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Seeing::default().key(stream)
    }

    fn apply(&self, view: &mut Seen, envelope: &Envelope<'_, NewerEvent>) -> Result<(), ApplyError> {
        let NewerEvent::Added { number } = envelope.event;
        view.seen.push((envelope.stream.clone(), envelope.version));
        view.sum += number;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_schema_parks_its_stream_until_the_newer_version_is_told_to_take_it_up() {
    let (one, two) = (stream("account/a-1"), stream("account/a-2"));
    let newer = StoredEvent { schema: 2, ..raw("Added", r#"{"number":4}"#) };
    let commits = history([vec![added(3)], vec![newer], vec![added(5)]]);
    let bench = Bench::new();
    bench.store(&one, &commits, 0);
    let old = bench.projector();
    assert!(old.project(&[record(1, &one, &commits), record(2, &two, &plain(2))]).await.is_empty());
    let view = bench.view("a").expect("a view");
    assert_eq!(
        (view.applied(&one), view.applied(&two), view.state.sum),
        (Version::new(1), Version::new(2), 6)
    );
    let says = "schema 2 of Added is newer than 1, the newest that is known here: a newer version wrote it";
    assert_eq!((view.parked[&one].version, view.parked[&one].error.as_str()), (Version::new(2), says));

    let new = Projector::new(Newer, &bench.ports);
    assert_eq!(new.unpark("a", &one).await, Ok(Unparked::Healed(Version::new(3))));
    assert_eq!(bench.view("a").expect("a view").state.sum, 15);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_reads_may_have_any_schema() {
    let one = stream("account/a-1");
    let commits = history([vec![StoredEvent { schema: 7, ..raw("Unheard", "{}") }], vec![added(5)]]);
    let bench = Bench::new();
    assert!(bench.projector().project(&[record(1, &one, &commits)]).await.is_empty());
    let view = bench.view("a").expect("a view");
    assert_eq!((view.applied(&one), view.state.sum, view.parked.len()), (Version::new(2), 5, 0));
}
