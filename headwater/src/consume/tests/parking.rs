//! Parking: what cannot be applied stops its own stream and nothing else, and is mended by `unpark`.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use super::{Bench, Event, Seeing, added, history, plain, raw, record, stream};
use crate::{
    consume::{ParkedStream, Projector, Unparked, parked},
    event::StoredEvent,
    format::{commit::Commit, head::Head, key},
    id::Version,
    memory::{Fault, Operation},
    port::{ETag, ObjectError},
    schema::Schemas,
};

fn bad() -> [(StoredEvent, &'static str); 3] {
    let encode = |event: &Event| Schemas::FIRST.encode(event).expect("encodes");
    [
        (encode(&Event::Refused), "refused"),
        (encode(&Event::Panicking), "the projection panicked: out of range"),
        (raw("Added", r#""many""#), "event \"Added\", schema 1: invalid type: string, expected u64"),
    ]
}

/// One commit, then one that is bad in its second event, then another.
fn poisoned(bad: StoredEvent) -> Vec<Arc<Commit>> {
    history([vec![added(1)], vec![added(2), bad, added(4)], vec![added(8)]])
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_applied_parks_its_stream_and_nothing_else() {
    for (event, reason) in bad() {
        let bench = Bench::new();
        let (one, two, commits, fine) =
            (stream("account/a-1"), stream("account/a-2"), poisoned(event), plain(4));
        let batch = [
            record(1, &two, &fine[..2]),
            record(2, &one, &commits),
            record(3, &two, &fine[2..3]),
            record(4, &one, &commits[2..]),
            record(5, &two, &fine[3..]),
        ];
        assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
        let view = bench.view("a").expect("a view");
        assert_eq!((view.applied(&one), view.applied(&two)), (Version::new(1), Version::new(4)));
        let seen: Vec<_> = view.state.seen.iter().map(|(of, version)| (of.id(), version.get())).collect();
        assert_eq!(
            seen,
            [("a-2", 1), ("a-2", 2), ("a-1", 1), ("a-2", 3), ("a-2", 4)],
            "no half commit is seen"
        );
        assert_eq!(view.state.sum, 1 + 1 + 2 + 3 + 4);
        let mark = &view.parked[&one];
        assert_eq!((mark.version, mark.error.starts_with(reason)), (Version::new(3), true), "{mark:?}");
        assert_eq!(mark.at, bench.ports.clock.now());

        let listed = parked(&bench.ports, "seeing").await.expect("listed");
        let expected = ParkedStream { key: "a".to_owned(), stream: one.clone(), parked: mark.clone() };
        assert_eq!(listed, [expected]);

        bench.calls.lock().expect("a lock").clear();
        assert_eq!(bench.projector().project(&[record(6, &one, &commits[2..])]).await, BTreeMap::new());
        let calls = bench.calls.lock().expect("a lock").clone();
        assert_eq!(
            calls,
            ["Get projections/seeing", "Get views/seeing/a"],
            "a parked stream is passed over, without a look at its head"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn many_streams_may_park_in_one_batch() {
    let bench = Bench::new();
    let mut batch = Vec::new();
    let mut sum = 0;
    for number in 0..40_u64 {
        let of = stream(&format!("account/a-{number}"));
        let (event, _) = bad()[usize::try_from(number % 3).expect("few")].clone();
        let fine = number % 4 == 0;
        let commits = if fine { plain(3) } else { poisoned(event) };
        sum += if fine { 6 } else { 1 };
        for commit in commits.chunks(1) {
            batch.push(record(batch.len() as u64, &of, commit));
        }
    }
    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    let view = bench.view("a").expect("a view");
    assert_eq!((view.parked.len(), view.applied.len(), view.state.sum), (30, 40, sum));
}

#[tokio::test(start_paused = true)]
async fn a_mended_projection_goes_on_from_the_head() {
    for fault in [None, Some(Fault::After(ObjectError::Unknown("lost".into())))] {
        let bench = Bench::new();
        let (one, two, commits) =
            (stream("account/a-1"), stream("account/a-2"), poisoned(bad()[1].0.clone()));
        bench.store(&one, &commits, 1);
        let projector = Projector::new(Seeing::default(), &bench.ports);
        projector.project(&[record(1, &one, &commits[..2]), record(2, &two, &plain(1))]).await;
        let before = bench.view("a").expect("a view");
        assert_eq!(projector.unpark("a", &two).await, Ok(Unparked::NotParked));
        assert_eq!(projector.unpark("nothing", &one).await, Ok(Unparked::NotParked));

        bench.world.clock.advance(std::time::Duration::from_mins(1));
        let again = projector.unpark("a", &one).await.expect("an answer");
        let mark = bench.view("a").expect("a view").parked[&one].clone();
        assert_eq!(again, Unparked::ParkedAgain(mark.clone()));
        assert!(mark.at > before.parked[&one].at);
        assert_eq!(bench.view("a").expect("a view").state, before.state);

        projector.projection().mended.store(true, Ordering::SeqCst);
        bench.objects.faults().script(Operation::Put, fault);
        assert_eq!(projector.unpark("a", &one).await, Ok(Unparked::Healed(Version::new(5))));
        let view = bench.view("a").expect("a view");
        assert_eq!(
            (view.applied(&one), view.parked.len(), view.state.sum),
            (Version::new(5), 0, 1 + 2 + 4 + 8 + 1)
        );
    }
}

/// What makes a head, or what it needs, something else than the records say.
type Break<'a> = &'a dyn Fn(&Bench) -> ETag;

#[tokio::test(start_paused = true)]
async fn a_stream_whose_head_is_not_what_its_records_say_is_parked() {
    let (one, commits) = (stream("account/a-1"), plain(5));
    let broken = |bench: &Bench| bench.world.objects.insert(&key::head(&one), "no head");
    let other = |bench: &Bench| {
        let head = Head::new(stream("account/a-2"));
        bench.world.objects.insert(&key::head(&one), head.encode().expect("encodes"))
    };
    let short = |bench: &Bench| {
        bench.store(&one, &commits[..3], 0);
        bench.world.objects.insert("unrelated", "")
    };
    let unpaged = |bench: &Bench| {
        bench.store(&one, &commits, 2);
        assert!(bench.world.objects.remove(&key::page(&one, Version::new(1))));
        bench.world.objects.insert("unrelated", "")
    };
    let missing = |bench: &Bench| bench.world.objects.insert("unrelated", "");
    let cases: [(Break<'_>, u64, &str); 5] = [
        (&broken, 0, "heads/account/a-1 is corrupt"),
        (&other, 0, "heads/account/a-1 is corrupt"),
        (&short, 3, "a record tells of version 5, and the head ends at 3 (H3)"),
        (&unpaged, 0, "pages/account/a-1/00000000000000000001 is corrupt"),
        (&missing, 0, "a record tells of version 5, and the head ends at 0 (H3)"),
    ];
    for (break_it, applied, error) in cases {
        let bench = Bench::new();
        break_it(&bench);
        let batch = [
            record(1, &one, &commits[3..4]),
            record(2, &stream("account/a-3"), &commits),
            record(3, &one, &commits[4..]),
        ];
        assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
        let view = bench.view("a").expect("a view");
        assert_eq!(view.applied(&one), Version::new(applied), "{error}");
        assert!(view.parked[&one].error.starts_with(error), "{:?}", view.parked);
        assert_eq!(view.applied(&stream("account/a-3")), Version::new(5));

        bench.store(&one, &commits, 0);
        assert_eq!(bench.projector().unpark("a", &one).await, Ok(Unparked::Healed(Version::new(5))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_overlaps_what_is_applied_parks_its_stream() {
    let bench = Bench::new();
    let one = stream("account/a-1");
    let other = history([vec![added(1)], vec![added(2), added(3)]]);
    assert_eq!(
        bench.projector().project(&[record(1, &one, &plain(2)), record(2, &one, &other[1..])]).await,
        BTreeMap::new()
    );
    let view = bench.view("a").expect("a view");
    assert_eq!((view.applied(&one), view.parked[&one].version), (Version::new(2), Version::new(3)));
    assert_eq!(view.state.sum, 3);
}
