//! Rebuilding: the new views are the ones that live projection made, whoever is late, frozen or dead meanwhile.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use super::{Bench, Event, Seeing, Seen, added, history, number, plain, record, stream};
use crate::{
    consume::{Begin, Projection, Projector, Rebuild, RebuildError, Unparked, generations},
    format::{commit::Commit, key, pointer::Pointer, view::View},
    id::{StreamId, Token, Version},
    memory::{Fault, Operation},
    port::{ETag, ObjectError},
    read::Reader,
    schema::Schemas,
};

type Histories = BTreeMap<StreamId, Vec<Arc<Commit>>>;

/// The view `key` that serves.
async fn serving(bench: &Bench, key: &str) -> View<Seen> {
    let generation =
        generations(&Reader::new(&bench.world.ports()), Seeing::NAME).await.expect("a pointer").serving;
    let object = key::view_in(Seeing::NAME, generation, key);
    let all = bench.world.objects.all(&object);
    let (_, body) = all.into_iter().find(|(at, _)| *at == object).expect("a view serves");
    View::decode(&body).expect("a view")
}

/// H11 for what serves: every commit of every stream exactly once.
async fn assert_whole(bench: &Bench, histories: &Histories) {
    bench.check(histories);
    for (stream, commits) in histories {
        let view = serving(bench, &Seeing::default().key(stream).expect("a key")).await;
        assert_eq!(view.applied(stream), commits.last().expect("a commit").last, "{stream}");
    }
}

/// The steps of a rebuild, one after the other, from an archive that lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Nothing,
    Begun,
    Taken,
    Passed,
    Switched,
    Cleaned,
}

const STAGES: [Stage; 6] =
    [Stage::Nothing, Stage::Begun, Stage::Taken, Stage::Passed, Stage::Switched, Stage::Cleaned];

/// What the archive has: all but the newest commit of each stream.
fn archive(histories: &Histories) -> Vec<(StreamId, Arc<Commit>)> {
    let all = |(stream, commits): (&StreamId, &Vec<Arc<Commit>>)| {
        commits[..commits.len() - 1]
            .iter()
            .map(|commit| (stream.clone(), Arc::clone(commit)))
            .collect::<Vec<_>>()
    };
    histories.iter().flat_map(all).collect()
}

async fn step(
    rebuild: &Rebuild<'_, Seeing>,
    stage: Stage,
    histories: &Histories,
) -> Result<(), RebuildError> {
    match stage {
        Stage::Nothing | Stage::Begun => Ok(()),
        Stage::Taken => rebuild.take(archive(histories)).await,
        Stage::Passed => rebuild.pass(|_| {}).await.map(drop),
        Stage::Switched => rebuild.switch().await,
        Stage::Cleaned => rebuild.clean(|_| {}).await.map(drop),
    }
}

async fn whole(
    projector: &Projector<Seeing>,
    begin: Begin,
    histories: &Histories,
) -> Result<(), RebuildError> {
    let rebuild = projector.rebuild(begin).await?;
    for stage in STAGES {
        step(&rebuild, stage, histories).await?;
    }
    Ok(())
}

/// Streams of two views, the heads of all of them; what was projected of them so far.
async fn scene(bench: &Bench) -> Histories {
    let histories = Histories::from(
        [("account/a-1", 5), ("account/a-2", 3), ("account/b-1", 4)]
            .map(|(name, commits)| (stream(name), plain(commits))),
    );
    for (stream, commits) in &histories {
        bench.store(stream, commits, 1);
        let failed = bench.projector().project(&[record(1, stream, commits)]).await;
        assert_eq!(failed, BTreeMap::new());
    }
    histories
}

/// Polls a future `steps` times; tells whether it ended.
async fn poll_for<F: Future>(steps: usize, mut future: Pin<&mut F>) -> bool {
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn the_new_views_are_the_ones_that_live_projection_made_and_the_old_are_gone() {
    let bench = Bench::new();
    let histories = scene(&bench).await;
    let old = [serving(&bench, "a").await, serving(&bench, "b").await];
    for generation in 1..4 {
        whole(&bench.projector(), Begin::Anew, &histories).await.expect("rebuilt");
        let pointer = generations(&Reader::new(&bench.ports), Seeing::NAME).await.expect("a pointer");
        assert_eq!(pointer, Pointer::new(generation, None));
        assert_whole(&bench, &histories).await;
        for (key, old) in ["a", "b"].into_iter().zip(&old) {
            let new = serving(&bench, key).await;
            assert_eq!((new.state.sum, &new.applied), (old.state.sum, &old.applied));
        }
        let stand: Vec<String> =
            bench.world.objects.all(key::VIEWS).into_iter().map(|(key, _)| key).collect();
        assert_eq!(stand, ["a", "b"].map(|key| key::view_in(Seeing::NAME, generation, key)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_loses_nothing_wherever_it_is_frozen_while_views_are_rebuilt() {
    for (begins, before) in STAGES.into_iter().enumerate() {
        for (ends, _) in STAGES.into_iter().enumerate().skip(begins) {
            for steps in 0.. {
                let bench = Bench::new();
                let mut histories = scene(&bench).await;
                let projector = bench.projector();
                let mut rebuild = None;
                let archived = histories.clone();
                let live = bench.projector();
                live.query("a", None).await.expect("it knows the pointer");
                let mut live = Some(live);
                let mut handler = None;
                let mut ended = false;
                for (place, stage) in STAGES.into_iter().enumerate() {
                    if stage == Stage::Begun {
                        rebuild = Some(projector.rebuild(Begin::Anew).await.expect("begun"));
                    }
                    if let Some(rebuild) = &rebuild {
                        step(rebuild, stage, &archived).await.expect("not taken over");
                    }
                    if stage == before {
                        // A stream goes on, and another begins.
                        for (name, commits) in [("account/a-1", 7), ("account/n-1", 2)] {
                            let (stream, commits) = (stream(name), plain(commits));
                            bench.store(&stream, &commits, 0);
                            histories.insert(stream, commits);
                        }
                        let batch = ["account/a-1", "account/n-1"].map(|name| {
                            let stream = stream(name);
                            record(1, &stream, &histories[&stream][histories[&stream].len() - 2..])
                        });
                        let live = live.take().expect("one batch");
                        let mut working = Box::pin(async move { live.project(&batch).await });
                        ended = poll_for(steps, working.as_mut()).await;
                        handler = (!ended).then_some(working);
                    }
                    if place == ends
                        && let Some(handler) = handler.take()
                    {
                        assert_eq!(handler.await, BTreeMap::new());
                    }
                }
                assert_whole(&bench, &histories).await;
                if ended {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_dies_anywhere_is_begun_again_or_gone_on_with_and_the_old_views_serve() {
    for begin in [Begin::Anew, Begin::Resumed] {
        for steps in 0.. {
            let bench = Bench::new();
            let histories = scene(&bench).await;
            let projector = bench.projector();
            let ended = poll_for(steps, pin!(whole(&projector, begin, &histories))).await;
            assert_whole(&bench, &histories).await;
            whole(&bench.projector(), begin, &histories).await.expect("rebuilt");
            assert_whole(&bench, &histories).await;
            let pointer = generations(&Reader::new(&bench.ports), Seeing::NAME).await.expect("a pointer");
            assert_eq!(pointer.building, None);
            for (at, _) in bench.world.objects.all(key::VIEWS) {
                assert_eq!(
                    key::view_generation(Seeing::NAME, &at),
                    Some(pointer.serving),
                    "{at} is left over"
                );
            }
            if ended {
                assert!(steps >= 10, "there are that many awaits to die at, at least");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_rebuilds_only_the_one_that_was_begun_last_serves() {
    let bench = Bench::new();
    let histories = scene(&bench).await;
    let projector = bench.projector();
    let first = projector.rebuild(Begin::Anew).await.expect("begun");
    first.take(archive(&histories)).await.expect("taken");
    let second = projector.rebuild(Begin::Anew).await.expect("begun");
    assert!(matches!(first.take(archive(&histories)).await, Err(RebuildError::TakenOver(1))));
    assert!(matches!(first.pass(|_| {}).await, Err(RebuildError::TakenOver(1))));
    assert!(matches!(first.switch().await, Err(RebuildError::TakenOver(1))));
    second.pass(|_| {}).await.expect("passed");
    second.switch().await.expect("switched");
    assert!(matches!(first.switch().await, Err(RebuildError::TakenOver(1))));
    assert_whole(&bench, &histories).await;

    // Two that build the same generation may both say that it serves.
    let third = projector.rebuild(Begin::Anew).await.expect("begun");
    let resumed = projector.rebuild(Begin::Resumed).await.expect("resumed");
    assert_eq!(third.generation(), resumed.generation());
    third.pass(|_| {}).await.expect("passed");
    resumed.switch().await.expect("switched");
    third.switch().await.expect("it serves already");
    resumed.clean(|_| {}).await.expect("cleaned");
    assert_whole(&bench, &histories).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_pointer_is_decided_by_what_stands() {
    let lost = || ObjectError::Unknown("lost".into());
    for fault in [Fault::After(lost()), Fault::Before(lost()), Fault::Before(ObjectError::InFlight)] {
        let bench = Bench::new();
        let histories = scene(&bench).await;
        let projector = bench.projector();
        bench.objects.faults().script(Operation::Put, [fault.clone()]);
        let rebuild = projector.rebuild(Begin::Anew).await.expect("begun");
        rebuild.pass(|_| {}).await.expect("passed");
        bench.objects.faults().script(Operation::Put, [fault.clone()]);
        rebuild.switch().await.expect("switched");
        assert_whole(&bench, &histories).await;
        let serving = generations(&Reader::new(&bench.ports), Seeing::NAME).await.expect("a pointer").serving;
        assert_eq!(serving, rebuild.generation());
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_never_misses_a_view_while_the_old_ones_go() {
    let bench = Bench::new();
    let histories = scene(&bench).await;
    let (asked, projector) = (bench.projector(), bench.projector());
    let one = stream("account/a-1");
    let rebuild = projector.rebuild(Begin::Anew).await.expect("begun");
    rebuild.pass(|_| {}).await.expect("passed");
    let token = Token { stream: one.clone(), version: Version::new(5) };
    asked.query("a", None).await.expect("an answer");
    rebuild.switch().await.expect("switched");
    let queries = async {
        for _ in 0..200 {
            for token in [None, Some(&token)] {
                let view = asked.query("a", token).await.expect("an answer");
                assert_eq!(view.applied(&one), Version::new(5));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (cleaned, ()) = tokio::join!(rebuild.clean(|_| {}), queries);
    assert_eq!(cleaned.expect("cleaned").deleted, 2);
    assert_whole(&bench, &histories).await;

    // Whoever was asleep since before looks again where nothing stands any more.
    let sleeper = bench.projector();
    sleeper.query("a", None).await.expect("an answer");
    whole(&projector, Begin::Anew, &histories).await.expect("rebuilt");
    assert_eq!(sleeper.query("a", None).await.expect("an answer").applied(&one), Version::new(5));
}

#[tokio::test(start_paused = true)]
async fn what_a_clean_up_can_not_delete_is_left_to_the_next_one() {
    let bench = Bench::new();
    let histories = scene(&bench).await;
    let projector = bench.projector();
    let stored = || bench.world.objects.all(key::VIEWS).len();
    let refused = || Fault::Before(ObjectError::Refused("no such right".into()));
    bench.objects.faults().script(Operation::Delete, [refused(), refused()]);
    for (deleted, left, remain) in [(0, 2, 4), (4, 0, 2)] {
        let rebuild = projector.rebuild(Begin::Anew).await.expect("begun");
        rebuild.pass(|_| {}).await.expect("passed");
        rebuild.switch().await.expect("switched");
        let cleaned = rebuild.clean(|_| {}).await.expect("cleaned");
        assert_eq!((cleaned.deleted, cleaned.left, stored()), (deleted, left, remain));
        let cause = cleaned.cause.unwrap_or_default();
        assert_eq!(cause.contains("views/") && cause.contains("no such right"), left > 0, "{cause}");
    }
    assert_whole(&bench, &histories).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_pointer_is_not_answered_for_it_is_not_known_what_serves() {
    let bench = Bench::new();
    scene(&bench).await;
    let projector = bench.projector();
    let rebuild = projector.rebuild(Begin::Anew).await.expect("begun");
    rebuild.pass(|_| {}).await.expect("passed");
    let lost = || Fault::Before(ObjectError::Unknown("lost".into()));
    bench.objects.faults().script(Operation::Put, (0..20).map(|_| lost()));
    let unknown = rebuild.switch().await.expect_err("no answer");
    assert!(matches!(unknown, RebuildError::Unswitched { generation: 1, .. }), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_a_view_that_a_late_batch_has_made_where_the_old_ones_were() {
    let bench = Bench::new();
    let histories = scene(&bench).await;
    let (one, two) = (stream("account/a-1"), stream("account/a-2"));
    let (projector, late, asked) = (bench.projector(), bench.projector(), bench.projector());
    let batch = [record(2, &one, &histories[&one][4..])];
    let mut late = pin!(late.project(&batch));
    // It knows the pointer, and has not looked at the view.
    assert!(!poll_for(2, late.as_mut()).await);
    let rebuild = projector.rebuild(Begin::Anew).await.expect("begun");
    rebuild.pass(|_| {}).await.expect("passed");
    asked.query("a", None).await.expect("an answer");
    rebuild.switch().await.expect("switched");
    rebuild.clean(|_| {}).await.expect("cleaned");
    late.await;
    let half = bench.view("a").expect("a view of generation 0");
    assert_eq!((half.applied(&one), half.applied(&two)), (Version::new(5), Version::ZERO));
    assert_eq!(asked.query("a", None).await.expect("an answer").applied(&two), Version::new(3));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_parked_is_parked_in_the_new_views_too_and_taken_up_in_both() {
    let bench = Bench::new();
    let one = stream("account/a-1");
    let refused = Schemas::FIRST.encode(&Event::Refused).expect("encodes");
    let commits = history([vec![added(1)], vec![refused], vec![added(4)]]);
    bench.store(&one, &commits, 0);
    let projector = Projector::new(Seeing::default(), &bench.ports);
    projector.project(&[record(1, &one, &commits)]).await;
    let rebuild = projector.rebuild(Begin::Anew).await.expect("begun");
    rebuild.pass(|_| {}).await.expect("passed");
    projector.projection().mended.store(true, Ordering::SeqCst);
    assert_eq!(projector.unpark("a", &one).await, Ok(Unparked::Healed(Version::new(3))));
    rebuild.switch().await.expect("switched");
    let view = serving(&bench, "a").await;
    assert_eq!((view.applied(&one), view.parked.len(), view.state.sum), (Version::new(3), 0, 5));
}

#[tokio::test(start_paused = true)]
async fn a_pointer_that_is_not_told_brings_the_batch_again() {
    let bench = Bench::new();
    let histories = scene(&bench).await;
    let pointer = key::pointer(Seeing::NAME);
    let (one, commits) = (stream("account/a-1"), plain(6));
    bench.store(&one, &commits, 0);
    let failed = async |bench: &Bench| {
        let failed = bench.projector().project(&[record(7, &one, &commits[5..])]).await;
        assert_eq!(failed.into_values().collect::<Vec<_>>(), [number(7)]);
    };
    bench.world.objects.insert(&pointer, r#"{"format":2}"#);
    failed(&bench).await;
    assert!(bench.world.objects.remove(&pointer));
    let at = pointer.clone();
    bench.objects.faults().hook(move |call| {
        if call.key == at { Fault::Before(ObjectError::Unknown("lost".into())) } else { Fault::None }
    });
    failed(&bench).await;
    bench.objects.faults().clear();
    bench.check(&histories);

    // One that stood and is gone is not taken for none: the views that served would be forgotten.
    let projector = bench.projector();
    let stood: ETag =
        bench.world.objects.insert(&pointer, Pointer::new(0, Some(1)).encode().expect("encodes"));
    assert_eq!(projector.project(&[record(7, &one, &commits[5..])]).await, BTreeMap::new());
    assert!(bench.world.objects.remove(&pointer), "{stood:?}");
    assert!(!projector.project(&[record(8, &one, &commits[5..])]).await.is_empty());
}
