//! The end of a run: everything comes to rest, and what stands is checked as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use archiver::replay::Replay;
use futures::TryStreamExt;
use headwater::{
    ExecuteError, OnConflict, Options, StoreError, StreamId, Version,
    consume::{Projection, Projector, Unparked, parked},
    evidence::Evidence,
    format::{commit::Commit, key, pointer::Pointer, record::Record, view::View},
    invariants::{History, Invariant, ViewState},
    memory::{SeededEntropy, identity},
};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    client::{Desk, Writer},
    history::{self, linearizable},
    ledger::{BOARD, Board, Copies, Milestones, Order, Progress},
    mapping::{Mapping, STREAM},
    moves,
    next::NextLedger,
    process::Process,
    report::{Finding, Promise},
    world::World,
};

/// After this long nothing from before the calm is still on its way: the latest request, behind the slowest call.
const SETTLED: Duration = Duration::from_mins(1);

/// Lets everything come to rest: the relay delivers what was left one behind (H6), and the functions work off what there is.
/// `closing` writes all streams once more, so that who was not told of something is told of what came after it; else all are
/// left as they are, and must be whole in every copy.
pub(crate) async fn rest(world: &Arc<World>, desk: &Desk, mappings: &[Arc<Mapping>], closing: bool) {
    sleep(SETTLED).await;
    desk.restart();
    world.mend();
    for mapping in mappings {
        mapping.renew();
    }
    let writer = Writer::start(world);
    if closing {
        write_all(world, &writer).await;
    }
    names(world, &writer).await;
    writer.store.drain(SETTLED).await;
    let behind = || world.watch().streams(|delivered| !delivered);
    if !waited(|| behind().is_empty()).await {
        let left = behind().into_iter().map(|stream| {
            Finding::new(Promise::Invariant(Invariant::H6), &stream, "the relay does not deliver it")
        });
        world.find(left);
    }
    if waited(|| mappings.iter().all(|mapping| mapping.is_done())).await {
        unpark(world).await;
    } else {
        world.find([Finding::new(Promise::Ends, "mappings", "records are still not worked through")]);
    }
}

/// Waits until `done` says so; false where it never does.
async fn waited(done: impl Fn() -> bool) -> bool {
    for _ in 0..600 {
        sleep(Duration::from_secs(1)).await;
        if done() {
            return true;
        }
    }
    false
}

/// Writes every stream once more.
async fn write_all(world: &Arc<World>, writer: &Writer) {
    let all = world.watch().streams(|_| true);
    for stream in all {
        let options = Options { on_conflict: OnConflict::Retry, ..Options::default() };
        let last = writer.store.execute::<NextLedger>(stream.id(), Order::Book(vec![1]), options).await;
        if let Err(error) = last {
            world.find([Finding::new(Promise::Ends, &stream, format!("it cannot be written: {error}"))]);
        }
    }
}

/// No name is stuck: whoever asks for one has it, or somebody else does.
async fn names(world: &World, writer: &Writer) {
    for name in ["ann", "bob"] {
        let asked = Order::Name(name.to_owned());
        let asked =
            writer.store.execute::<NextLedger>(&format!("wants-{name}"), asked, Options::default()).await;
        match asked {
            Ok(_) => world.count("names free in the end"),
            Err(ExecuteError::Store(StoreError::Taken { .. })) => {}
            Err(error) => world.find([Finding::new(Promise::Ends, name, format!("it is stuck: {error}"))]),
        }
    }
}

/// Heals what the mended projection could not take before.
async fn unpark(world: &Arc<World>) {
    let process = Process::start(world, "operator");
    let projector = Projector::new(Copies { bug: false }, &process.ports);
    let marks = match parked(&process.ports, Copies::NAME).await {
        Ok(marks) => marks,
        Err(error) => return world.find([Finding::new(Promise::Ends, Copies::NAME, error.to_string())]),
    };
    for mark in marks {
        world.count("unparked");
        match projector.unpark(&mark.key, &mark.stream).await {
            Ok(Unparked::Healed(_) | Unparked::NotParked) => {}
            other => world.find([Finding::new(Promise::Ends, &mark.stream, format!("unpark: {other:?}"))]),
        }
    }
}

/// Checks all that stands, and all that was told.
pub(crate) async fn check(world: &Arc<World>, desk: &Desk) {
    let mut evidence = match Evidence::gather(&world.ports()).await {
        Ok(evidence) => evidence,
        Err(error) => return world.find([Finding::new(Promise::Format, "evidence", error.to_string())]),
    };
    if let Err(error) = evidence.claimed::<NextLedger>(&world.ports()).await {
        world.find([Finding::new(Promise::Format, "claims", error.to_string())]);
    }
    match archived(world).await {
        Ok(commits) => evidence.replayed(commits),
        Err(error) => world.find([Finding::new(Promise::Format, "archive", error)]),
    }
    for (stream, history) in &evidence.histories {
        match views(world, stream, history) {
            Ok(views) => evidence.views.extend(views),
            Err(error) => world.find([Finding::new(Promise::Format, stream, error)]),
        }
    }
    world.find(evidence.violations().into_iter().map(Finding::from));
    let told = desk.told();
    world.find(evidence.told(&told.answers, &told.observations).into_iter().map(Finding::from));
    let nothing = Vec::new();
    for (stream, history) in &evidence.histories {
        let operations = told.operations.get(stream).unwrap_or(&nothing);
        let mine = last_command(history, operations);
        // Nobody asked for what stands on an echo but the process.
        if !moves::is_echo(stream)
            && let Err(found) = linearizable(&mine, operations)
        {
            world.find([Finding::new(Promise::Linearizable, stream, found)]);
        }
        let promised = evidence.views.iter().find(|view| {
            view.stream == *stream && key::view_generation(Milestones::NAME, &view.view).is_some()
        });
        let promised = promised.and_then(|view| serde_json::from_value::<Progress>(view.state.clone()).ok());
        let (promised, arrived) =
            (promised.map_or(0, |progress| progress.told), world.watch().told(&milestones(stream)));
        if promised != arrived {
            let found = format!("the view tells of {promised} milestones, {arrived} arrived");
            world.find([Finding::new(Promise::Forwarded, stream, found)]);
        }
    }
    world.find(moves::check(&evidence.histories));
    world.find(quarantine(world));
    for _ in 0..evidence.commits() {
        world.count("commits");
    }
    for _ in 0..evidence.repeats() {
        world.count("repeats");
    }
}

/// The history without the commit that [`rest`] added, which no client asked for.
fn last_command(history: &History, operations: &[history::Operation]) -> History {
    let mut mine = history.clone();
    let asked = |commit: &Arc<Commit>| {
        operations.iter().any(|operation| operation.commit.as_ref() == Some(&commit.id))
    };
    if mine.commits.last().is_some_and(|commit| !asked(commit)) {
        mine.commits.pop();
    }
    mine
}

fn milestones(stream: &StreamId) -> StreamId {
    // The same id as a ledger's, which is one.
    StreamId::new("milestone", stream.id()).unwrap_or_else(|_| stream.clone())
}

async fn archived(world: &World) -> Result<Vec<(StreamId, Arc<Commit>)>, String> {
    let replay = Replay::new(world.archive.clone(), Arc::new(SeededEntropy::new(0)), STREAM);
    let commits = replay.commits().map_ok(|replayed| (replayed.archived.stream, replayed.archived.commit));
    commits.try_collect().await.map_err(|error| error.to_string())
}

/// Every view that a stream feeds, beside what its history makes.
fn views(world: &World, stream: &StreamId, history: &History) -> Result<Vec<ViewState>, String> {
    let newest = history::state(history, history.head.version)?;
    let commits = history.commits.len() as u64;
    let progress = Progress {
        last: history.commits.last().map(|commit| commit.id.to_string()).unwrap_or_default(),
        commits,
        told: commits / 3,
    };
    let json = |value: serde_json::Result<Value>| value.map_err(|error| error.to_string());
    let newest = json(serde_json::to_value(newest))?;
    let mut views = Vec::new();
    for (projection, view, expected) in [
        (Copies::NAME, stream.id(), newest.clone()),
        (Milestones::NAME, stream.id(), json(serde_json::to_value(progress))?),
        (Board::NAME, BOARD, newest),
    ] {
        let at = key::view_in(projection, serving(world, projection)?, view);
        let stands = world.store.all(&at).into_iter().find(|(key, _)| *key == at);
        let (applied, state) = match stands {
            Some((_, body)) => {
                let view = View::<Value>::decode(&body).map_err(|error| error.to_string())?;
                let state = if projection == Board::NAME {
                    view.state[stream.id()].clone()
                } else {
                    view.state.clone()
                };
                (view.applied(stream), state)
            }
            None => (Version::ZERO, Value::Null),
        };
        views.push(ViewState { view: at, stream: stream.clone(), applied, state, expected });
    }
    Ok(views)
}

/// The generation of a projection's views that serves.
fn serving(world: &World, projection: &str) -> Result<u32, String> {
    let Some((_, body)) = world.store.all(&key::pointer(projection)).into_iter().next() else { return Ok(0) };
    Pointer::decode(&body).map(|pointer| pointer.serving).map_err(|error| error.to_string())
}

/// What is no commit of this store is in quarantine, and nothing else is.
fn quarantine(world: &World) -> Option<Finding> {
    let ours = identity();
    let strays = world.log.records().into_iter();
    let strays = strays.filter(|record| Record::decode_of(&record.data, ours.known()).is_err());
    let expected: BTreeSet<String> =
        strays.map(|stray| key::quarantine(STREAM, &stray.shard, &stray.sequence)).collect();
    let stands: BTreeMap<_, _> = world.archive.all("quarantine/").into_iter().collect();
    let stands: BTreeSet<String> = stands.into_keys().collect();
    (stands != expected).then(|| {
        let found = format!("{stands:?} instead of {expected:?}");
        Finding::new(Promise::Quarantine, "quarantine", found)
    })
}
