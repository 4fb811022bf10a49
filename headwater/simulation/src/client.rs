//! Clients: they command, append, load and query through whichever writer answers, and remember what they were told.
//!
//! A client that hears nothing calls again with the same commit id, through another writer perhaps, or gives up: both are
//! what people do. Each call is an [`Operation`] of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use headwater::{
    CommitId, ExecuteError, Executed, Expected, OnConflict, Options, Schemas, Settings, Store, StoreError,
    StreamId, Token, Version,
    consume::{Projector, QueryError},
    invariants::{Answer, Observation},
};
use tokio::{
    sync::Barrier,
    time::{advance, sleep},
};

use crate::{
    history::{Operation, Told},
    ledger::{Copies, Entry, Ledger, NewLedger, Order, TooLittle},
    next::NextLedger,
    process::Process,
    report::{Finding, Promise},
    world::{World, lock},
};

/// Commands that a client may ask for again although they were answered.
const REMEMBERED: usize = 5;

/// How long what is under way has before a night.
const EVENING: Duration = Duration::from_mins(1);
/// How long a night is.
const NIGHT: Duration = Duration::from_mins(15);

/// Streams that are seldom written.
const SELDOM: usize = 20;

/// The versions of the domain that run beside one another.
#[derive(Debug, Clone, Copy)]
enum Release {
    Old,
    New,
    Next,
}

impl Release {
    fn drawn(world: &World) -> Self {
        let releases: &[Self] = if world.is_rolling_out() {
            &[Self::Old, Self::New, Self::Next]
        } else {
            &[Self::Old, Self::New]
        };
        releases[world.draw(|dice| dice.usize(0..releases.len()))]
    }
}

/// A process that takes commands, of one of the versions.
pub(crate) struct Writer {
    pub(crate) process: Process,
    pub(crate) store: Store,
    release: Release,
    queries: Projector<Copies>,
}

impl Writer {
    /// Starts one.
    pub(crate) fn start(world: &Arc<World>) -> Self {
        let process = Process::start(world, "writer");
        let settings = Settings {
            deadline: Duration::from_secs(1) + world.time(Duration::from_secs(14)),
            publish_patience: world.time(Duration::from_secs(2)),
            // Nobody's patience may be what keeps a name unique.
            claim_patience: world.time(Duration::from_secs(4)).saturating_sub(Duration::from_secs(2)),
            ..Settings::default()
        };
        let store = Store::new(process.ports.clone(), settings);
        let queries = Projector::new(Copies { bug: !world.is_mended() }, &process.ports);
        Self { store, release: Release::drawn(world), queries, process }
    }
}

/// The writers that are up, and what all clients have been told so far.
pub(crate) struct Desk {
    world: Arc<World>,
    writers: Mutex<Vec<Arc<Writer>>>,
    moments: AtomicU64,
    told: Mutex<Log>,
}

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Every call, by stream.
    pub(crate) operations: BTreeMap<StreamId, Vec<Operation>>,
    /// Commits that were answered.
    pub(crate) answers: Vec<Answer>,
    /// Reads that began after an answer.
    pub(crate) observations: Vec<Observation>,
    /// The newest version of each stream that anybody was told.
    newest: BTreeMap<StreamId, Version>,
}

/// One call on its way.
struct Calling {
    stream: StreamId,
    called: u64,
    newest: Version,
}

impl Desk {
    /// A desk with so many writers.
    pub(crate) fn open(world: &Arc<World>, writers: usize) -> Arc<Self> {
        let started = (0..writers).map(|_| Arc::new(Writer::start(world))).collect();
        Arc::new(Self {
            world: Arc::clone(world),
            writers: Mutex::new(started),
            moments: AtomicU64::new(0),
            told: Mutex::default(),
        })
    }

    /// The writers that are up.
    pub(crate) fn writers(&self) -> Vec<Arc<Writer>> {
        lock(&self.writers).clone()
    }

    /// What was told.
    pub(crate) fn told(&self) -> std::sync::MutexGuard<'_, Log> {
        lock(&self.told)
    }

    /// Starts a new writer wherever one has died, some time after that.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            sleep(Duration::from_millis(100) + self.world.time(Duration::from_secs(3))).await;
            self.restart();
        }
    }

    /// Starts a new writer wherever one has died.
    pub(crate) fn restart(&self) {
        for place in 0..self.writers().len() {
            if self.writers()[place].process.life.has_ended() {
                let writer = Arc::new(Writer::start(&self.world));
                lock(&self.writers)[place] = writer;
            }
        }
    }

    fn any(&self) -> Arc<Writer> {
        let writers = self.writers();
        let place = self.world.draw(|dice| dice.usize(0..writers.len()));
        Arc::clone(&writers[place])
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    fn call(&self, stream: &StreamId) -> Calling {
        let newest = self.told().newest.get(stream).copied().unwrap_or_default();
        Calling { stream: stream.clone(), called: self.moment(), newest }
    }

    /// Remembers how a call ended.
    fn end(&self, calling: Calling, commit: Option<CommitId>, told: Told) {
        let Calling { stream, called, newest } = calling;
        let answered = (told != Told::Unknown).then(|| self.moment());
        self.world.note(format_args!("answer on {stream} to {called}: {told:?}"));
        let mut log = self.told();
        if let (Told::Committed(version, _), Some(commit)) = (&told, &commit) {
            log.answers.push(Answer { stream: stream.clone(), commit: commit.clone(), version: *version });
        }
        if let Told::State(seen, _) = &told {
            log.observations.push(Observation { stream: stream.clone(), answered: newest, seen: *seen });
        }
        if let Told::Committed(version, _) | Told::State(version, _) = &told {
            let known = log.newest.entry(stream.clone()).or_default();
            *known = (*known).max(*version);
        }
        log.operations.entry(stream).or_default().push(Operation { called, answered, commit, told });
    }
}

/// What a client does, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Calls.
    pub(crate) calls: usize,
    /// The longest pause between two of them.
    pub(crate) pause: Duration,
    /// Streams that all clients write.
    pub(crate) streams: usize,
    /// Whether half of what is wanted is one name, or to give it up.
    pub(crate) named: bool,
    /// Whether long texts are noted, so that streams outgrow their heads.
    pub(crate) long: bool,
    /// Whether it calls again when it is not told what became of a command; else that is left to the relay.
    pub(crate) patient: bool,
    /// When all clients sleep, if they do.
    pub(crate) night: Option<Arc<Night>>,
}

/// A time in which nobody calls, longer than archivers remember what the watermark has passed.
#[derive(Debug)]
pub(crate) struct Night {
    /// Before which of its calls each client sleeps.
    before: usize,
    clients: Barrier,
}

impl Night {
    /// A night of so many clients.
    pub(crate) fn new(before: usize, clients: usize) -> Arc<Self> {
        Arc::new(Self { before, clients: Barrier::new(clients) })
    }

    async fn pass(&self, name: usize) {
        if self.clients.wait().await.is_leader() {
            sleep(EVENING).await;
            // Nobody would do anything in it: it costs nothing but its moment.
            advance(NIGHT).await;
        }
        self.clients.wait().await;
        // A barrier lets its tasks go in an order of its own: a run is a function of its seed only if each goes on at another time.
        sleep(Duration::from_millis(name as u64 + 1)).await;
    }
}

/// A client's session, from its first call to its last.
pub(crate) async fn session(desk: Arc<Desk>, name: usize, habits: Habits) {
    let world = Arc::clone(&desk.world);
    let mut asked: VecDeque<Command> = VecDeque::new();
    for call in 0..habits.calls {
        sleep(world.time(habits.pause)).await;
        if let Some(night) = habits.night.as_ref().filter(|night| night.before == call) {
            night.pass(name).await;
        }
        if habits.patient && !asked.is_empty() && world.draw(|dice| dice.u8(0..6)) == 0 {
            world.count("asked again");
            let again = world.draw(|dice| dice.usize(0..asked.len()));
            command(&desk, &asked[again], true).await;
            continue;
        }
        // Now and then one that hardly anybody else writes: what is left behind there is for the relay.
        let ledger = world.draw(|dice| match dice.u8(0..6) {
            0 => dice.usize(habits.streams..habits.streams + SELDOM),
            _ => dice.usize(0..habits.streams),
        });
        let ledger = ledger.to_string();
        let Ok(stream) = StreamId::new("ledger", &ledger) else { return };
        match world.draw(|dice| dice.u8(0..10)) {
            0..6 => {
                let id = format!("c{name}-{call}");
                let order = order(&world, &habits);
                let Some(options) = options(&desk, &stream, &id) else { return };
                let wish = Command { stream, id, order, options };
                command(&desk, &wish, habits.patient).await;
                asked.push_front(wish);
                asked.truncate(REMEMBERED);
            }
            6 => append(&desk, &stream, &format!("c{name}-{call}")).await,
            7 | 8 => load(&desk, &stream).await,
            _ => query(&desk, &stream).await,
        }
    }
}

/// What a client wants.
struct Command {
    stream: StreamId,
    id: String,
    order: Order,
    options: Options,
}

/// Commands, and again while nothing is known, most of the time.
async fn command(desk: &Desk, Command { stream, id, order, options }: &Command, patient: bool) {
    let world = &desk.world;
    let commit = options.commit_id.clone();
    loop {
        let (writer, calling) = (desk.any(), desk.call(stream));
        world.note(format_args!("{id} asks {} for {order:?} on {stream}", writer.process.name));
        let before = wanted(order).map(|name| (name, world.watch().held(name, stream)));
        let told = tokio::select! {
            biased;
            () = writer.process.life.ended() => Told::Unknown,
            told = execute(world, &writer, stream, order, options.clone()) => told,
        };
        if let (Told::Taken, Some((name, (held, taken)))) = (&told, before)
            && !held
            && world.watch().held(name, stream).1 == taken
        {
            let found = format!("{stream} was told that {name} is taken, and nobody had it");
            world.find([Finding::new(Promise::Answers, stream, found)]);
        }
        let again = told == Told::Unknown || (told == Told::Nothing && world.draw(fastrand::Rng::bool));
        desk.end(calling, commit.clone(), told);
        if !again || !patient || world.draw(|dice| dice.u8(0..5)) == 0 {
            return;
        }
        world.count("calls repeated");
        sleep(world.time(Duration::from_secs(3))).await;
    }
}

/// The name that an order asks for.
fn wanted(order: &Order) -> Option<&str> {
    match order {
        Order::Name(name) => Some(name),
        _ => None,
    }
}

/// Asks a writer, whichever version of the domain it runs.
async fn execute(world: &World, writer: &Writer, stream: &StreamId, order: &Order, options: Options) -> Told {
    let (store, id, asked) = (&writer.store, stream.id(), order.clone());
    match writer.release {
        Release::Old => told(world, store.execute::<Ledger>(id, asked, options).await, order, Ledger::clone),
        Release::New => {
            told(world, store.execute::<NewLedger>(id, asked, options).await, order, NewLedger::old)
        }
        Release::Next => {
            told(world, store.execute::<NextLedger>(id, asked, options).await, order, |next| next.0.old())
        }
    }
}

fn told<A>(
    world: &World,
    answer: Result<Executed<A>, ExecuteError<TooLittle>>,
    order: &Order,
    state: impl Fn(&A) -> Ledger,
) -> Told {
    match answer {
        Ok(Executed { token: Token { version, .. }, commit: Some(_), state: at, .. }) => {
            Told::Committed(version, Some(state(&at)))
        }
        Ok(Executed { token: Token { version, .. }, commit: None, state: at, .. }) => {
            Told::State(version, state(&at))
        }
        Err(ExecuteError::Rejected(_)) => Told::Refused(order.clone()),
        Err(ExecuteError::Store(error)) => failed(world, &error),
    }
}

fn failed(world: &World, error: &StoreError) -> Told {
    match error {
        StoreError::Corrupt { key, .. } => {
            world.find([Finding::new(Promise::Answers, key, error.to_string())]);
        }
        StoreError::NewerSchema { .. } => world.count("newer schemas refused"),
        StoreError::Taken { .. } => world.count("names taken"),
        _ => {}
    }
    match error {
        StoreError::Conflict { actual, .. } => Told::Conflict(*actual),
        StoreError::Unknown { .. } => Told::Unknown,
        StoreError::Taken { .. } => Told::Taken,
        _ => Told::Nothing,
    }
}

fn order(world: &World, &Habits { long, named, .. }: &Habits) -> Order {
    world.draw(|dice| match if named { dice.u8(0..8) } else { dice.u8(0..20) } {
        0 => Order::Nothing,
        1 => Order::Odd,
        2 | 3 if long => Order::Note(dice.usize(4_000..30_000)),
        2 | 3 => Order::Note(dice.usize(1..40)),
        // Fewer names than ledgers, so that each is wanted by several.
        4.. if named => Order::Name(["", "ann"][dice.usize(0..2)].to_owned()),
        4 | 5 => Order::Name(["", "ann", "bob"][dice.usize(0..3)].to_owned()),
        6..=9 => Order::Book(vec![-dice.i64(1..60)]),
        _ => Order::Book((0..dice.usize(1..4)).map(|_| dice.i64(1..20)).collect()),
    })
}

fn options(desk: &Desk, stream: &StreamId, id: &str) -> Option<Options> {
    let newest = desk.told().newest.get(stream).copied().unwrap_or_default();
    desk.world.draw(|dice| {
        let expected = match dice.u8(0..8) {
            0 => Expected::NoStream,
            1 | 2 => Expected::Exact(newest),
            _ => Expected::Any,
        };
        let on_conflict = match dice.u8(0..5) {
            0 => OnConflict::Abandon,
            1 => OnConflict::Merge,
            _ => OnConflict::Retry,
        };
        Some(Options { commit_id: Some(id.parse().ok()?), expected, on_conflict, ..Options::default() })
    })
}

/// Appends events as they are; and now and then other events under the same id, which is never a repeat.
async fn append(desk: &Desk, stream: &StreamId, id: &str) {
    let world = &desk.world;
    let Some(options) = options(desk, stream, id) else { return };
    let events = world.draw(|dice| dice.usize(1..4));
    let committed = match appended(desk, stream, id, events, options.clone()).await {
        Some(Ok(_)) => world.draw(|dice| dice.u8(0..4)) == 0,
        _ => false,
    };
    if !committed {
        return;
    }
    match appended(desk, stream, id, events + 1, options).await {
        Some(Ok(version)) => {
            let found = format!("{id} names other events, and was answered with version {version}");
            world.find([Finding::new(Promise::Answers, stream, found)]);
        }
        Some(Err(StoreError::Reused { .. })) => world.count("ids of other events refused"),
        _ => {}
    }
}

/// Appends so many events by any writer; `None` where that one died.
async fn appended(
    desk: &Desk,
    stream: &StreamId,
    id: &str,
    events: usize,
    options: Options,
) -> Option<Result<Version, StoreError>> {
    let event = Schemas::FIRST.encode(&Entry::Booked { amount: 1 }).ok()?;
    let (writer, calling, commit) = (desk.any(), desk.call(stream), options.commit_id.clone());
    desk.world.note(format_args!("{id} asks {} to append {events} to {stream}", writer.process.name));
    let answer = tokio::select! {
        biased;
        () = writer.process.life.ended() => None,
        answer = writer.store.append(stream, vec![event; events], options) => Some(answer),
    };
    let answer = answer.map(|answer| answer.map(|appended| appended.commit.last));
    let told = match &answer {
        None => Told::Unknown,
        Some(Ok(version)) => Told::Committed(*version, None),
        Some(Err(error)) => failed(&desk.world, error),
    };
    desk.end(calling, commit, told);
    answer
}

/// Loads the newest state.
async fn load(desk: &Desk, stream: &StreamId) {
    let (writer, calling) = (desk.any(), desk.call(stream));
    let told = tokio::select! {
        biased;
        () = writer.process.life.ended() => Told::Unknown,
        told = loaded(&desk.world, &writer, stream) => told,
    };
    desk.end(calling, None, told);
}

async fn loaded(world: &World, writer: &Writer, stream: &StreamId) -> Told {
    let (store, id) = (&writer.store, stream.id());
    let loaded = match writer.release {
        Release::Old => store.load::<Ledger>(id).await.map(|loaded| (loaded.version, loaded.state)),
        Release::New => store.load::<NewLedger>(id).await.map(|loaded| (loaded.version, loaded.state.old())),
        Release::Next => {
            store.load::<NextLedger>(id).await.map(|loaded| (loaded.version, loaded.state.0.old()))
        }
    };
    match loaded {
        Ok((version, state)) => Told::State(version, state),
        Err(error) => {
            failed(world, &error);
            Told::Unknown
        }
    }
}

/// Asks the view, with the token of the newest write that anybody was told of.
async fn query(desk: &Desk, stream: &StreamId) {
    let world = &desk.world;
    let (writer, calling) = (desk.any(), desk.call(stream));
    let token = Token { stream: stream.clone(), version: calling.newest };
    let asked = tokio::select! {
        biased;
        () = writer.process.life.ended() => return,
        asked = writer.queries.query(stream.id(), Some(&token)) => asked,
    };
    match asked {
        Ok(view) => {
            let seen = view.applied(stream);
            world.note(format_args!("{stream} is seen at {seen}, told {}", calling.newest));
            let answered = calling.newest;
            desk.told().observations.push(Observation { stream: stream.clone(), answered, seen });
        }
        // A parked stream is what it is told to be; the end checks the views.
        Err(QueryError::Parked { .. }) => {}
        Err(QueryError::Store(StoreError::Unavailable(_))) if !world.is_calm() => {}
        Err(error) => world.find([Finding::new(Promise::Answers, stream, error.to_string())]),
    }
}
