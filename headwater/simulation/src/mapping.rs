//! The event source mapping: it reads shards, children after their parents, and hands batches to functions.
//!
//! It delivers each record at least once and otherwise does what the real one does on a bad day: batches end anywhere, come
//! again whole or in part, are worked on twice at a time, and go on being worked on after it has given them up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use archiver::archive::{Archiver, Bounds};
use futures::future::BoxFuture;
use headwater::{
    Settings, Store,
    consume::{Forward, Projection, Projector, Reactor},
    memory::MemoryLog,
    port::{Arrival, Log, Sequence, Shard, Start},
};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    ledger::{Board, Copies, Milestones},
    moves::Moves,
    process::Process,
    world::{World, lock},
};

/// The archive's name for the stream.
pub(crate) const STREAM: &str = "simulated";

/// The longest that an invocation may take before it is given up.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// The projection of each ledger.
    Copies,
    /// The projection of all ledgers.
    Board,
    /// The projection that forwards.
    Milestones,
    /// The process.
    Moves,
    /// The archiver.
    Archiver,
}

impl Function {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Copies, Self::Board, Self::Milestones, Self::Moves, Self::Archiver];
}

/// What a batch ended with: where it must begin again, if it must.
type Ended = Result<(), Option<Sequence>>;

/// An environment that a function runs in: a process that takes one batch at a time.
struct Environment {
    process: Process,
    handler: Box<dyn Fn(Arc<[Arrival]>) -> BoxFuture<'static, Ended> + Send + Sync>,
}

impl Environment {
    fn start(world: &Arc<World>, function: Function) -> Self {
        let role = format!("{function:?}").to_lowercase();
        let process = Process::start(world, &role);
        let ports = &process.ports;
        let handler = match function {
            Function::Copies => projecting(Projector::new(Copies { bug: !world.is_mended() }, ports)),
            Function::Board => projecting(Projector::new(Board, ports)),
            Function::Milestones => forwarding(Milestones, &process),
            Function::Moves => {
                let store = Store::new(ports.clone(), Settings::default());
                reacting(Reactor::new(Moves, store, ports))
            }
            Function::Archiver => {
                let archive = Arc::clone(&process.archive);
                archiving(Archiver::new(ports.clone(), archive, STREAM, Bounds::default()))
            }
        };
        Self { process, handler }
    }
}

type Handler = Box<dyn Fn(Arc<[Arrival]>) -> BoxFuture<'static, Ended> + Send + Sync>;

fn projecting<P: Projection>(projector: Projector<P>) -> Handler {
    let projector = Arc::new(projector);
    Box::new(move |batch| {
        let projector = Arc::clone(&projector);
        Box::pin(async move {
            match projector.project(&batch).await.into_values().min() {
                None => Ok(()),
                Some(lowest) => Err(Some(lowest)),
            }
        })
    })
}

fn forwarding<P: Forward>(projection: P, process: &Process) -> Handler {
    projecting(Projector::forwarding(projection, &process.ports, Arc::clone(&process.told)))
}

fn reacting<P: headwater::consume::Process>(reactor: Reactor<P>) -> Handler {
    let reactor = Arc::new(reactor);
    Box::new(move |batch| {
        let reactor = Arc::clone(&reactor);
        Box::pin(async move {
            let lowest = reactor.react(&batch).await.into_values().min();
            reactor.store().drain(TIMEOUT).await;
            lowest.map_or(Ok(()), |lowest| Err(Some(lowest)))
        })
    })
}

fn archiving(archiver: Archiver) -> Handler {
    let archiver = Arc::new(archiver);
    Box::new(move |batch| {
        let archiver = Arc::clone(&archiver);
        Box::pin(async move {
            let Some(first) = batch.first() else { return Ok(()) };
            match archiver.archive(&first.shard, &batch).await {
                Ok(_) => Ok(()),
                Err(interrupted) => Err(Some(interrupted.from)),
            }
        })
    })
}

/// A mapping from the stream to one function.
pub(crate) struct Mapping {
    world: Arc<World>,
    log: Arc<MemoryLog>,
    function: Function,
    /// It begins with what arrives from some moment on, and discards a batch that fails: the function must heal what it is not
    /// told of.
    careless: bool,
    idle: Mutex<Vec<Arc<Environment>>>,
    /// Shards whose end was reached.
    finished: Mutex<BTreeSet<String>>,
    /// The last record of each shard that was worked through.
    through: Mutex<BTreeMap<String, Sequence>>,
}

impl Mapping {
    /// A mapping that does nothing yet.
    pub(crate) fn new(world: &Arc<World>, function: Function, careless: bool) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            log: Arc::clone(&world.log),
            function,
            // The archiver's mapping never discards.
            careless: careless && function != Function::Archiver,
            idle: Mutex::default(),
            finished: Mutex::default(),
            through: Mutex::default(),
        })
    }

    /// Goes on for ever, a pump for each shard.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pumped: BTreeSet<String> = BTreeSet::new();
        let mut pumps: Vec<JoinHandle<()>> = Vec::new();
        if self.careless {
            sleep(self.world.time(Duration::from_secs(40))).await;
        }
        let mut passed = if self.careless { self.newest() } else { BTreeMap::new() };
        lock(&self.through).clone_from(&passed);
        loop {
            for Shard { id, parents, .. } in self.log.shards().await.unwrap_or_default() {
                let ready = parents.iter().all(|parent| lock(&self.finished).contains(parent));
                if ready && pumped.insert(id.clone()) {
                    let from = passed.remove(&id).map_or(Start::Oldest, Start::After);
                    pumps.push(tokio::spawn(Arc::clone(&self).pump(id, from)));
                }
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Whether every record was worked through.
    pub(crate) fn is_done(&self) -> bool {
        let through = lock(&self.through);
        let done = |record: &Arrival| through.get(&record.shard).is_some_and(|last| record.sequence <= *last);
        self.log.records().iter().all(done)
    }

    /// The newest record of each shard.
    fn newest(&self) -> BTreeMap<String, Sequence> {
        self.log.records().into_iter().map(|record| (record.shard, record.sequence)).collect()
    }

    /// Kills the environments that wait for a batch, as a deployment does.
    pub(crate) fn renew(&self) {
        for environment in lock(&self.idle).drain(..) {
            environment.process.kill(&self.world);
        }
    }

    /// Hands out one shard from its beginning to its end.
    async fn pump(self: Arc<Self>, shard: String, from: Start) {
        let mut places = vec![from];
        loop {
            let place = places.last().cloned().unwrap_or(Start::Oldest);
            let most =
                self.world.draw(|dice| if dice.bool() { dice.usize(1..4) } else { dice.usize(1..100) });
            let Ok(cursor) = self.log.cursor(&shard, &place).await else { return };
            let Ok(read) = self.log.read(&cursor, most).await else { return };
            let batch: Arc<[Arrival]> = read.records.into();
            let Some(last) = batch.last() else {
                if read.next.is_none() {
                    lock(&self.finished).insert(shard);
                    return;
                }
                sleep(Duration::from_millis(20) + self.world.time(Duration::from_millis(1_500))).await;
                continue;
            };
            let weather = self.world.weather();
            if self.world.happens(weather.overlap) {
                let (mapping, batch) = (Arc::clone(&self), Arc::clone(&batch));
                let after = self.world.time(Duration::from_secs(20));
                tokio::spawn(async move {
                    sleep(after).await;
                    drop(mapping.invoke(batch).await);
                });
            }
            let mut ended = self.invoke(Arc::clone(&batch)).await;
            if self.careless && ended.is_err() {
                self.world.count("batches discarded");
                ended = Ok(());
            }
            match ended {
                Ok(()) => {
                    places.push(Start::After(last.sequence.clone()));
                    lock(&self.through).insert(shard.clone(), last.sequence.clone());
                }
                Err(Some(lowest)) => {
                    let done = batch.iter().take_while(|record| record.sequence < lowest);
                    places.extend(done.last().map(|record| Start::After(record.sequence.clone())));
                    sleep(self.world.time(Duration::from_secs(1))).await;
                }
                Err(None) => sleep(self.world.time(Duration::from_secs(1))).await,
            }
            if self.world.happens(weather.again) {
                self.world.count("batches again");
                let back = self.world.draw(|dice| dice.usize(1..4)).min(places.len() - 1);
                places.truncate(places.len() - back);
            }
        }
    }

    /// Lets an environment work on a batch, and gives it up after a while.
    async fn invoke(&self, batch: Arc<[Arrival]>) -> Ended {
        let idle = {
            let mut idle = lock(&self.idle);
            idle.retain(|environment| !environment.process.life.has_ended());
            let fresh = idle.is_empty() || self.world.draw(|dice| dice.u8(0..12)) == 0;
            if fresh { None } else { idle.pop() }
        };
        let environment = idle.unwrap_or_else(|| Arc::new(Environment::start(&self.world, self.function)));
        let process = environment.process.clone();
        let span = |batch: &[Arrival]| {
            let ends = batch.first().zip(batch.last());
            ends.map_or(String::new(), |(first, last)| {
                format!("{} {}..={}", first.shard, first.sequence, last.sequence)
            })
        };
        self.world.note(format_args!("{} takes {}", process.name, span(&batch)));
        let mut work = tokio::spawn((environment.handler)(batch));
        let given_up = self.world.time(TIMEOUT) + Duration::from_secs(5);
        let ended = tokio::select! {
            biased;
            () = process.life.ended() => Err(None),
            ended = &mut work => {
                lock(&self.idle).push(environment);
                ended.unwrap_or(Err(None))
            }
            () = sleep(if self.world.is_calm() { Duration::from_mins(10) } else { given_up }) => {
                self.world.count("batches given up");
                // Half of them go on all the same.
                if self.world.draw(fastrand::Rng::bool) {
                    process.kill(&self.world);
                }
                Err(None)
            }
        };
        self.world.note(format_args!("{} ended: {ended:?}", process.name));
        ended
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("function", &self.function).finish_non_exhaustive()
    }
}
