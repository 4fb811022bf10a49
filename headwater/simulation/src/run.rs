//! One run: a world, its people, its weather, and what stands when all is calm.

use std::{collections::HashMap, sync::Arc, time::Duration};

use archiver::{
    chain::ChainError,
    replay::{Replay, Replayed},
};
use fastrand::Rng;
use futures::TryStreamExt;
use headwater::{
    Schemas, StreamId, Version,
    format::{
        commit::{Commit, Meta},
        head::Head,
        identity::{Identity, Names, StoreId},
        key,
        record::Record,
    },
    invariants::Invariant,
    port::{Clock, Entry, Log, Shard},
};
use tokio::{
    runtime::Builder,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::subscriber::{NoSubscriber, with_default};

use crate::{
    client::{Desk, Habits, Night, session},
    end,
    ledger::Entry as Booking,
    mapping::{Function, Mapping, STREAM},
    process::Process,
    rebuilds::rebuilds,
    relay,
    report::{Finding, Promise, Report},
    weather::Weather,
    world::World,
};

/// The longest that everybody together may take, in simulated time.
const TOO_LONG: Duration = Duration::from_hours(2);

/// Runs a seed to its end, or to the first promise that is broken.
///
/// # Errors
///
/// Where the runtime can't be made, as on a machine without any file descriptors left.
pub fn run(seed: u64) -> std::io::Result<Report> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    // Thousands of warnings about a world that does not exist would be no help to anybody: the trace says more.
    Ok(with_default(NoSubscriber::new(), || runtime.block_on(simulate(seed))))
}

async fn simulate(seed: u64) -> Report {
    let mut dice = Rng::with_seed(seed);
    let world = World::new(dice.u64(..), Weather::drawn(&mut dice));
    world.note(format_args!("seed {seed}: {:?}", world.weather()));
    tokio::select! {
        biased;
        () = world.broken() => {}
        () = live(&world, &mut dice) => {}
    }
    let (trace, elapsed) = world.trace();
    Report { seed, findings: world.findings(), counts: world.counts(), elapsed, trace }
}

/// The whole life of a world.
async fn live(world: &Arc<World>, dice: &mut Rng) {
    let desk = Desk::open(world, dice.usize(2..=4));
    let mut habits = Habits {
        calls: dice.usize(5..30),
        pause: Duration::from_millis(dice.u64(1..2_000)),
        streams: dice.usize(1..=4),
        long: dice.u8(..4) == 0,
        named: dice.u8(..4) == 0,
        patient: dice.u8(..5) < 2,
        night: None,
    };
    let closing = dice.bool();
    let mappings = Function::ALL.map(|function| Mapping::new(world, function, closing && dice.u8(..4) > 0));
    for mapping in &mappings {
        tokio::spawn(Arc::clone(mapping).run());
    }
    let relay = relay::Habits {
        every: Duration::from_secs(dice.u64(1..=6)),
        age: Duration::from_secs(dice.u64(1..=6)),
    };
    tokio::spawn(relay::passes(Arc::clone(world), relay));
    let trouble = trouble(world, &desk);
    let mut sessions = JoinSet::new();
    let names = dice.usize(2..=8);
    // Drawn last, so that runs without one are what they are without nights.
    habits.night = (dice.u8(..4) == 0).then(|| Night::new(dice.usize(1..habits.calls), names));
    for name in 0..names {
        sessions.spawn(session(Arc::clone(&desk), name, habits.clone()));
    }
    if timeout(TOO_LONG, sessions.join_all()).await.is_err() {
        world.find([Finding::new(Promise::Ends, "clients", "a call was never answered")]);
    }
    world.calm_down();
    for task in trouble {
        task.abort();
    }
    end::rest(world, &desk, &mappings, closing).await;
    end::check(world, &desk).await;
}

/// What happens to the world besides the faults of calls.
fn trouble(world: &Arc<World>, desk: &Arc<Desk>) -> Vec<JoinHandle<()>> {
    let weather = world.weather();
    let mut tasks = vec![
        tokio::spawn(Arc::clone(desk).keep()),
        tokio::spawn(clocks(Arc::clone(world), Arc::clone(desk))),
        tokio::spawn(strays(Arc::clone(world))),
        tokio::spawn(repair(Arc::clone(world))),
        tokio::spawn(rollout(Arc::clone(world))),
        tokio::spawn(replays(Arc::clone(world))),
        tokio::spawn(rebuilds(Arc::clone(world))),
        tokio::spawn(rebuilds(Arc::clone(world))),
    ];
    if let Some(every) = weather.deaths {
        tasks.push(tokio::spawn(deaths(Arc::clone(world), Arc::clone(desk), every)));
    }
    if let Some(every) = weather.reshards {
        tasks.push(tokio::spawn(reshards(Arc::clone(world), every)));
    }
    tasks
}

/// Writers die.
async fn deaths(world: Arc<World>, desk: Arc<Desk>, every: Duration) {
    loop {
        sleep(world.time(2 * every)).await;
        let writers = desk.writers();
        writers[world.draw(|dice| dice.usize(0..writers.len()))].process.kill(&world);
    }
}

/// Clocks step.
async fn clocks(world: Arc<World>, desk: Arc<Desk>) {
    loop {
        sleep(world.time(Duration::from_secs(20))).await;
        let writers = desk.writers();
        writers[world.draw(|dice| dice.usize(0..writers.len()))].process.step_clock(&world);
    }
}

/// Something that is no commit, or another store's, arrives now and then.
async fn strays(world: Arc<World>) {
    loop {
        sleep(world.time(Duration::from_mins(1))).await;
        let ledger = format!("ledger/{}", world.draw(|dice| dice.u8(0..4)));
        let number = world.process();
        let stray = foreign(&world, &ledger, number).filter(|_| number.is_multiple_of(2));
        let stray = stray
            .unwrap_or_else(|| Entry { key: ledger.clone(), data: format!("{{\"stray\":{number}}}").into() });
        // The log in memory takes everything of this size.
        let _ = world.log.put(&[stray]).await;
    }
}

/// What another store would publish, which has a ledger of this name too: the commit that could be the next one.
fn foreign(world: &World, ledger: &str, number: u32) -> Option<Entry> {
    let stream: StreamId = ledger.parse().ok()?;
    let (_, head) =
        world.store.all(&key::head(&stream)).into_iter().find(|(at, _)| *at == key::head(&stream))?;
    let after = Head::decode(&head).ok()?.version;
    let events = vec![Schemas::FIRST.encode(&Booking::Booked { amount: 1_000 }).ok()?];
    let (id, at) = (format!("foreign-{number}").parse().ok()?, world.clock.now());
    let commit = Commit { id, first: after.next(), last: after.next(), at, events, meta: Meta::new() };
    let names = Names { store: "b".to_owned(), stream: "b".to_owned(), archive: "b".to_owned() };
    let id = StoreId::try_from("another".to_owned()).ok()?;
    let record = Record::new(stream, vec![Arc::new(commit)]);
    let record = record.of(Some(&Identity::new(id, at, names, false)));
    Some(Entry { key: ledger.to_owned(), data: record.encode().ok()? })
}

/// Somebody mends the bug in the projection.
async fn repair(world: Arc<World>) {
    sleep(world.time(Duration::from_mins(2))).await;
    world.note(format_args!("the projection is mended"));
    world.mend();
}

/// The next version of the domain is rolled out, in half of the runs: writers that start from now on may be of it.
async fn rollout(world: Arc<World>) {
    if world.draw(Rng::bool) {
        sleep(world.time(Duration::from_secs(20))).await;
        world.note(format_args!("the next version is rolled out"));
        world.roll_out();
    }
}

/// Somebody replays the archive while it grows, through the same weather: each commit once, in version order per stream.
async fn replays(world: Arc<World>) {
    loop {
        sleep(world.time(Duration::from_mins(1))).await;
        let process = Process::start(&world, "replayer");
        let replay = Replay::new(Arc::clone(&process.archive), Arc::clone(&process.ports.entropy), STREAM);
        let replayed = tokio::select! {
            biased;
            () = process.life.ended() => continue,
            replayed = replay.commits().try_collect::<Vec<Replayed>>() => replayed,
        };
        match replayed {
            Ok(commits) => {
                world.count("replays");
                let mut newest: HashMap<StreamId, Version> = HashMap::new();
                for Replayed { archived, .. } in commits {
                    let before =
                        newest.insert(archived.stream.clone(), archived.commit.last).unwrap_or_default();
                    if archived.commit.first <= before {
                        let found = format!("{} was replayed behind {before}", archived.commit.first);
                        world.find([Finding::new(
                            Promise::Invariant(Invariant::H10),
                            &archived.stream,
                            found,
                        )]);
                    }
                }
            }
            Err(ChainError::Unavailable { .. }) => {}
            Err(error) => world.find([Finding::new(Promise::Format, "archive", error.to_string())]),
        }
    }
}

/// Shards are split and merged.
async fn reshards(world: Arc<World>, every: Duration) {
    loop {
        sleep(world.time(2 * every)).await;
        let shards = world.log.shards().await.unwrap_or_default();
        let open: Vec<Shard> = shards.into_iter().filter(|shard| !shard.closed).collect();
        let shard = world.draw(|dice| dice.usize(0..open.len()));
        if open.len() < 4 && world.draw(Rng::bool) {
            let split = world.log.split(&open[shard].id);
            world.note(format_args!("{} is split: {split:?}", open[shard].id));
            world.count("reshards");
        } else if open.len() > 1 {
            // Only neighbours can be merged; the others are refused.
            for other in &open {
                if other.id != open[shard].id && world.log.merge(&open[shard].id, &other.id).is_ok() {
                    world.note(format_args!("{} and {} are merged", open[shard].id, other.id));
                    world.count("reshards");
                    break;
                }
            }
        }
    }
}
