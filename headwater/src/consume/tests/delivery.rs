//! H11 under everything that delivery does: repeats, losses, late records, racing handlers.

use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use proptest::prelude::*;

use super::{Bench, added, history, number, plain, raw, record, stream};
use crate::{
    format::commit::Commit,
    id::{StreamId, Version},
    memory::Fault,
    port::{Arrival, ObjectError},
};

const STREAMS: [&str; 3] = ["account/a-1", "account/a-2", "account/b-1"];

/// What happens to one call: most often nothing.
fn fault(drawn: u8) -> Fault<ObjectError> {
    let lost = || ObjectError::Unknown("lost".into());
    match drawn {
        0..3 => Fault::Before(lost()),
        3..6 => Fault::After(lost()),
        6..8 => Fault::Late(lost(), Duration::from_millis(u64::from(drawn) * 3)),
        8..10 => Fault::Before(ObjectError::InFlight),
        10..30 => Fault::Delay(Duration::from_millis(u64::from(drawn))),
        _ => Fault::None,
    }
}

/// Hands batches over as an event source mapping does: what failed comes again from its lowest sequence number on.
async fn deliver(
    bench: &Bench,
    batches: Vec<Vec<Arrival>>,
    histories: &BTreeMap<StreamId, Vec<Arc<Commit>>>,
) {
    let projector = bench.projector();
    for batch in batches {
        let mut rest = &batch[..];
        while let Some(sequence) = projector.project(rest).await.into_values().next() {
            let from =
                rest.iter().position(|arrival| arrival.sequence == sequence).expect("one of the batch");
            rest = &rest[from..];
            bench.check(histories);
        }
        bench.check(histories);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any delivery with repeats and losses that in the end includes the newest record of each stream.
    #[test]
    fn any_delivery_gives_exactly_the_fold_of_the_streams(
        sizes in proptest::collection::vec(proptest::collection::vec(1_u64..4, 1..9), 3),
        paged in 0_usize..8,
        handlers in proptest::collection::vec(
            proptest::collection::vec(
                proptest::collection::vec((0_usize..3, 0_usize..9, 1_usize..4), 1..7),
                0..5,
            ),
            1..4,
        ),
        faults in proptest::collection::vec(0_u8..100, 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let bench = Bench::new();
            let histories: BTreeMap<StreamId, Vec<Arc<Commit>>> = STREAMS.iter().zip(&sizes).map(|(name, sizes)| {
                let commits = sizes.iter().map(|events| (1..=*events).map(added).collect());
                (stream(name), history(commits))
            }).collect();
            for (stream, commits) in &histories {
                bench.store(stream, commits, paged);
            }
            bench.objects.faults().hook(move |call| {
                let drawn = faults.get(usize::try_from(call.number).expect("few"));
                drawn.map_or(Fault::None, |drawn| fault(*drawn))
            });

            let sequence = Cell::new(0);
            let next = |(of, from, most): (usize, usize, usize)| {
                sequence.set(sequence.get() + 1);
                let stream = stream(STREAMS[of]);
                let commits = &histories[&stream];
                let from = from.min(commits.len() - 1);
                record(sequence.get(), &stream, &commits[from..(from + most).min(commits.len())])
            };
            let racing = handlers.into_iter().map(|batches| {
                let batches = batches.into_iter().map(|batch| batch.into_iter().map(next).collect()).collect();
                deliver(&bench, batches, &histories)
            });
            join_all(racing.collect::<Vec<_>>()).await;
            let newest = (0..3).map(|of| next((of, usize::MAX, 1))).collect();
            deliver(&bench, vec![newest], &histories).await;
            bench.check_complete(&histories);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_reads_and_writes_each_view_once_and_each_gapped_head_once() {
    let bench = Bench::new();
    let (one, two, other) = (stream(STREAMS[0]), stream(STREAMS[1]), stream(STREAMS[2]));
    let commits = plain(9);
    for stream in [&one, &two, &other] {
        bench.store(stream, &commits, 5);
    }
    let batch = [
        record(1, &one, &commits[..1]),
        record(2, &two, &commits[6..7]),
        record(3, &one, &commits[1..2]),
        record(4, &two, &commits[8..9]),
        record(5, &other, &commits[..1]),
        record(6, &two, &commits[3..4]),
    ];
    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    let mut calls = std::mem::take(&mut *bench.calls.lock().expect("a lock"));
    calls.sort();
    let page = "Get pages/account/a-2/00000000000000000001";
    let (a, b) = ("views/seeing/a", "views/seeing/b");
    let expected = [
        "Get heads/account/a-2",
        page,
        "Get projections/seeing",
        &format!("Get {a}"),
        &format!("Get {b}"),
        &format!("Put {a}"),
        &format!("Put {b}"),
    ];
    assert_eq!(calls, expected);
    let view = bench.view("a").expect("a view");
    assert_eq!((view.applied(&one), view.applied(&two)), (Version::new(2), Version::new(9)));

    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    let calls = bench.calls.lock().expect("a lock").clone();
    assert_eq!(
        calls.iter().filter(|call| call.starts_with("Put")).count(),
        0,
        "nothing new, nothing written"
    );
    assert_eq!(calls.len(), 3, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn types_that_the_projection_does_not_read_count_as_versions_only() {
    let bench = Bench::new();
    let one = stream(STREAMS[0]);
    let commits =
        history([vec![added(1), raw("Renamed", r#"{"to":"x"}"#)], vec![raw("Renamed", "1")], vec![added(2)]]);
    let batch: Vec<_> = (1..).zip(commits.chunks(1)).map(|(n, commits)| record(n, &one, commits)).collect();
    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    let view = bench.view("a").expect("a view");
    assert_eq!((view.state.sum, view.applied(&one), view.parked.len()), (3, Version::new(4), 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_record_of_a_known_format_is_passed_over() {
    let bench = Bench::new();
    let (one, commits) = (stream(STREAMS[0]), plain(1));
    let good = record(3, &one, &commits);
    let newer =
        String::from_utf8(good.data.to_vec()).expect("UTF-8").replacen(r#""format":1"#, r#""format":9"#, 1);
    let foreign = record(4, &stream("user/1"), &commits);
    let batch = [super::arrival(1, "no JSON"), super::arrival(2, newer), good, foreign];
    assert_eq!(bench.projector().project(&batch).await, BTreeMap::new());
    assert_eq!(bench.view("a").expect("a view").applied(&one), Version::new(1));
    assert_eq!(bench.world.objects.all("views/").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_several_shards_names_the_lowest_failure_of_each() {
    let bench = Bench::new();
    let commits = plain(3);
    let lost = || ObjectError::Refused("denied".into());
    bench.objects.faults().hook(move |call| match call.key.as_str() {
        "views/seeing/a" => Fault::Before(lost()),
        _ => Fault::None,
    });
    let shard = |arrival: Arrival| Arrival { shard: "shardId-000000000001".to_owned(), ..arrival };
    let batch = [
        record(10, &stream(STREAMS[2]), &commits[..1]),
        record(100, &stream(STREAMS[0]), &commits[..1]),
        record(99, &stream(STREAMS[1]), &commits[..1]),
        shard(record(7, &stream(STREAMS[0]), &commits[1..2])),
        shard(record(9, &stream(STREAMS[2]), &commits[1..2])),
    ];
    let failed = bench.projector().project(&batch).await;
    let expected =
        [("shardId-000000000000".to_owned(), number(99)), ("shardId-000000000001".to_owned(), number(7))];
    assert_eq!(failed, BTreeMap::from(expected));
    let view = bench.view("b").expect("the other view goes on");
    assert_eq!(view.applied(&stream(STREAMS[2])), Version::new(2));

    // A denied call is the world's failure too: nothing is lost meanwhile.
    let denied = || ObjectError::Refused("denied".into());
    bench.objects.faults().hook(move |_| Fault::Before(denied()));
    let failed = bench.projector().project(&batch).await;
    let lowest: Vec<_> = failed.into_values().collect();
    assert_eq!(lowest, [number(10), number(7)], "the lowest over all views that failed");
}
