//! The world of one run: services, time and chance, and what everybody in it has in common.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use headwater::{
    memory::{ManualClock, MemoryLog, MemoryObjects, SeededEntropy, identity},
    port::Ports,
};
use tokio::sync::Notify;

use crate::{report::Finding, trace::Trace, watch::Watch, weather::Weather};

/// Shards of the stream at first.
const SHARDS: usize = 2;
/// Objects of one page of a listing: few, so that most listings have several.
const LISTED: usize = 3;

/// A run's world. Everything in it is a function of the seed.
pub(crate) struct World {
    /// S3, as it is behind all faults: the store's bucket.
    pub(crate) store: Arc<MemoryObjects>,
    /// The archive's bucket.
    pub(crate) archive: Arc<MemoryObjects>,
    /// Kinesis, as it is behind all faults.
    pub(crate) log: Arc<MemoryLog>,
    /// The stream that milestones are told on.
    pub(crate) told: Arc<MemoryLog>,
    /// The true time.
    pub(crate) clock: Arc<ManualClock>,
    weather: Weather,
    calm: AtomicBool,
    /// The bug in the projection has been mended.
    mended: AtomicBool,
    /// The next version of the domain is being rolled out.
    rolling: AtomicBool,
    dice: Mutex<Rng>,
    trace: Mutex<Trace>,
    watch: Mutex<Watch>,
    findings: Mutex<Vec<Finding>>,
    found: Notify,
    processes: AtomicU32,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl World {
    /// A new world.
    pub(crate) fn new(seed: u64, weather: Weather) -> Arc<Self> {
        let clock = Arc::new(ManualClock::following_tokio());
        let mut dice = Rng::with_seed(seed);
        // A day ends early in the run: segments carry dates.
        clock.advance(Duration::from_secs(dice.u64(24 * 3600 - 60..24 * 3600)));
        Arc::new(Self {
            store: Arc::new(MemoryObjects::new(clock.clone()).with_pages_of(LISTED)),
            archive: Arc::new(MemoryObjects::new(clock.clone()).with_pages_of(LISTED)),
            log: Arc::new(MemoryLog::new(clock.clone(), SHARDS)),
            told: Arc::new(MemoryLog::new(clock.clone(), 1)),
            clock,
            weather,
            calm: AtomicBool::new(false),
            mended: AtomicBool::new(false),
            rolling: AtomicBool::new(false),
            dice: Mutex::new(dice),
            trace: Mutex::new(Trace::new()),
            watch: Mutex::default(),
            findings: Mutex::default(),
            found: Notify::new(),
            processes: AtomicU32::new(0),
            counts: Mutex::default(),
        })
    }

    /// Ports without faults, for whoever looks at the end.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            objects: self.store.clone(),
            log: self.log.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(0)),
            identity: identity(),
        }
    }

    /// Draws from the run's chance.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut lock(&self.dice))
    }

    /// Whether something happens that has this chance in a thousand. Nothing does once the world has calmed down.
    pub(crate) fn happens(&self, chance: u16) -> bool {
        !self.is_calm() && self.draw(|dice| dice.u16(0..1_000)) < chance
    }

    /// A time of up to `most`, drawn.
    pub(crate) fn time(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.draw(|dice| dice.u64(0..=most)))
    }

    /// The number of a new process.
    pub(crate) fn process(&self) -> u32 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// The weather, which is calm in the end.
    pub(crate) fn weather(&self) -> Weather {
        if self.is_calm() { Weather::calm() } else { self.weather.clone() }
    }

    /// Ends all faults.
    pub(crate) fn calm_down(&self) {
        self.note(format_args!("the weather is calm"));
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether faults have ended.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Mends the bug in the projection.
    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    /// Whether the projection has been mended.
    pub(crate) fn is_mended(&self) -> bool {
        self.mended.load(Ordering::Relaxed)
    }

    /// Begins to roll out the next version of the domain.
    pub(crate) fn roll_out(&self) {
        self.rolling.store(true, Ordering::Relaxed);
    }

    /// Whether the next version is being rolled out.
    pub(crate) fn is_rolling_out(&self) -> bool {
        self.rolling.load(Ordering::Relaxed)
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        lock(&self.trace).line(line);
    }

    /// Counts something for the report.
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// The trace so far, and the simulated time.
    pub(crate) fn trace(&self) -> (String, Duration) {
        let trace = lock(&self.trace);
        (trace.text().to_owned(), trace.elapsed())
    }

    /// Whoever watches the invariants.
    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        lock(&self.watch)
    }

    /// A promise was broken: the run ends.
    pub(crate) fn find(&self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.note(format_args!("BROKEN {finding}"));
            lock(&self.findings).push(finding);
            self.found.notify_one();
        }
    }

    /// Waits until a promise is broken.
    pub(crate) async fn broken(&self) {
        self.found.notified().await;
    }

    /// What was broken.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        lock(&self.findings).clone()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("weather", &self.weather).finish_non_exhaustive()
    }
}

/// Locks; one thread runs a world, so nobody was interrupted while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
