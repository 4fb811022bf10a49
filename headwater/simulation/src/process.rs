//! A process: a clock of its own, chance of its own, ports of its own, and a life that can end at any call.
//!
//! Nobody knows a process but by what it asks of its ports and by what it answers. So a process is dead once its calls are
//! no longer answered and nobody hears its answers any more: what still moves inside of it moves nothing outside. A call
//! that has left goes on without it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use headwater::{
    format::key,
    memory::{
        Call, Fault, FaultyLog, FaultyObjects, Heard, Journey, ManualClock, Operation, SeededEntropy,
        identity,
    },
    port::{Log, LogError, ObjectError, Objects, Ports},
};
use jiff::SignedDuration;
use tokio::{sync::Notify, time::sleep};

use crate::{observed::Services, world::World};

/// The longest that a slow call takes, there or back: longer than a caller has patience.
const SLOW: Duration = Duration::from_secs(12);
/// The longest that a call takes which is not slow, there or back.
const QUICK: Duration = Duration::from_millis(15);
/// How much later a request may have its effect than its caller has given it up.
const LATE: Duration = Duration::from_secs(30);

/// Whether a process is alive.
#[derive(Debug, Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    end: Notify,
}

impl Life {
    /// Ends it.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.end.notify_waiters();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        let end = self.end.notified();
        if !self.has_ended() {
            end.await;
        }
    }
}

/// A process.
#[derive(Clone)]
pub(crate) struct Process {
    /// Its name in the trace.
    pub(crate) name: String,
    /// Its life.
    pub(crate) life: Arc<Life>,
    /// What it knows of the world; its objects are the store's.
    pub(crate) ports: Ports,
    /// The archive's bucket.
    pub(crate) archive: Arc<dyn Objects>,
    /// The stream that milestones are told on.
    pub(crate) told: Arc<dyn Log>,
    clock: Arc<ManualClock>,
}

impl Process {
    /// Starts a process; `role` begins its name.
    pub(crate) fn start(world: &Arc<World>, role: &str) -> Self {
        let number = world.process();
        let name = format!("{role}{number}");
        let life = Arc::new(Life::default());
        let clock = Arc::new(ManualClock::following_tokio());
        // Its clock begins where the world's is, and goes wrong from there.
        let elapsed =
            headwater::port::Clock::now(&*world.clock).duration_since(headwater::port::Clock::now(&*clock));
        clock.shift(elapsed);
        let entropy = Arc::new(SeededEntropy::new(world.draw(|dice| dice.u64(..))));
        let Services { store, archive, log, told } = Services::of(world);
        let gate = Gate { world: Arc::clone(world), name: name.clone(), life: Arc::clone(&life) };
        let process = Self {
            ports: Ports {
                objects: gate.objects(store),
                log: gate.log(log),
                clock: clock.clone(),
                entropy,
                identity: identity(),
            },
            archive: gate.objects(archive),
            told: gate.log(told),
            name,
            life,
            clock,
        };
        process.step_clock(world);
        world.note(format_args!("{} starts", process.name));
        process
    }

    /// Sets its clock somewhere else, within what clocks are off by.
    pub(crate) fn step_clock(&self, world: &World) {
        let skew = world.weather().skew;
        let off = SignedDuration::try_from(world.time(2 * skew)).unwrap_or_default()
            - SignedDuration::try_from(skew).unwrap_or_default();
        let now = headwater::port::Clock::now(&*self.clock);
        let right = headwater::port::Clock::now(&*world.clock);
        self.clock.shift(right.duration_since(now) + off);
    }

    /// Kills it.
    pub(crate) fn kill(&self, world: &World) {
        if !self.life.has_ended() {
            world.note(format_args!("{} dies", self.name));
            world.count("deaths");
            self.life.end();
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Decides what happens to the calls of one process.
#[derive(Clone)]
struct Gate {
    world: Arc<World>,
    name: String,
    life: Arc<Life>,
}

/// What may happen to a call, whichever port it is for.
enum Fate {
    Passes { there: Duration, back: Duration },
    Lost { after: Duration },
    Unheard { there: Duration, after: Duration },
    Late { after: Duration, by: Duration },
    Twice { there: Duration, again: Duration, back: Duration },
    InFlight,
    Throttled,
    CrashBefore,
    CrashAfter { there: Duration },
}

impl Gate {
    fn objects(&self, inner: Arc<dyn Objects>) -> Arc<dyn Objects> {
        let objects = FaultyObjects::new(inner);
        let gate = self.clone();
        objects.faults().gate(move |call| {
            let gate = gate.clone();
            async move { gate.object(call).await }
        });
        Arc::new(objects)
    }

    fn log(&self, inner: Arc<dyn Log>) -> Arc<dyn Log> {
        let log = FaultyLog::new(inner);
        let world = Arc::clone(&self.world);
        log.throttle(move |_| world.happens(world.weather().throttled));
        let gate = self.clone();
        log.faults().gate(move |call| {
            let gate = gate.clone();
            async move { gate.record(call).await }
        });
        Arc::new(log)
    }

    /// Draws what happens to a call.
    fn draw(&self, call: &Call) -> Fate {
        let (world, weather) = (&self.world, self.world.weather());
        let write = matches!(call.operation, Operation::Put | Operation::Delete | Operation::PutRecords);
        let object = matches!(call.operation, Operation::Put | Operation::Delete);
        // Between a fence and the claim that it was raised for is where names are lost, if they are.
        let slow = if call.key.starts_with(key::CLAIMS) { 6 * weather.slow } else { weather.slow };
        let journey = || {
            let most = if world.happens(slow) { SLOW } else { QUICK };
            world.time(most)
        };
        let (there, back) = (journey(), journey());
        let fate = if world.happens(weather.crash) {
            if write && world.draw(fastrand::Rng::bool) {
                Fate::CrashAfter { there }
            } else {
                Fate::CrashBefore
            }
        } else if world.happens(weather.lost) {
            Fate::Lost { after: back }
        } else if write && world.happens(weather.unheard) {
            Fate::Unheard { there, after: back }
        } else if write && world.happens(weather.late) {
            Fate::Late { after: back, by: world.time(LATE) }
        } else if write && world.happens(weather.twice) {
            Fate::Twice { there, again: journey(), back }
        } else if object && world.happens(weather.in_flight) {
            Fate::InFlight
        } else if world.happens(weather.throttled) {
            Fate::Throttled
        } else {
            Fate::Passes { there, back }
        };
        let kind = match fate {
            Fate::Passes { .. } => "passes",
            Fate::Lost { .. } => "is lost",
            Fate::Unheard { .. } => "answer lost",
            Fate::Late { .. } => "comes late",
            Fate::Twice { .. } => "comes twice",
            Fate::InFlight => "in flight",
            Fate::Throttled => "throttled",
            Fate::CrashBefore => "crash before",
            Fate::CrashAfter { .. } => "crash after",
        };
        world.count(kind);
        world.note(format_args!("{} {:?} {} {kind}", self.name, call.operation, call.key));
        fate
    }

    /// What happens to a call, with this error where no answer comes and this one where the service is throttled.
    async fn happen<E>(&self, call: &Call, none: E, busy: E, conflict: E) -> Fault<E> {
        if self.life.has_ended() {
            return std::future::pending().await;
        }
        let journey = |there, again, back, answer| Fault::Journey(Journey { there, again, back, answer });
        match self.draw(call) {
            Fate::Passes { there, back } => journey(there, None, back, Heard::Answer),
            Fate::Lost { after } => {
                sleep(after).await;
                Fault::Before(none)
            }
            Fate::Unheard { there, after } => journey(there, None, after, Heard::Instead(none)),
            Fate::Late { after, by } => {
                sleep(after).await;
                Fault::Late(none, by)
            }
            Fate::Twice { there, again, back } => journey(there, Some(again), back, Heard::Answer),
            Fate::InFlight => Fault::Before(conflict),
            Fate::Throttled => Fault::Before(busy),
            Fate::CrashBefore => {
                self.die();
                std::future::pending().await
            }
            Fate::CrashAfter { there } => {
                self.die();
                journey(there, None, Duration::ZERO, Heard::Nothing)
            }
        }
    }

    async fn object(self, call: Call) -> Fault<ObjectError> {
        let unknown = |reason: &str| ObjectError::Unknown(reason.into());
        self.happen(&call, unknown("no answer"), unknown("SlowDown"), ObjectError::InFlight).await
    }

    async fn record(self, call: Call) -> Fault<LogError> {
        let unknown = |reason: &str| LogError::Unknown(reason.into());
        self.happen(&call, unknown("no answer"), unknown("throttled"), unknown("not for records")).await
    }

    fn die(&self) {
        self.world.note(format_args!("{} dies", self.name));
        self.world.count("deaths");
        self.life.end();
    }
}
