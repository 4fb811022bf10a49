//! A process: the real store in a runtime of its own, whose time moves only when the process itself has nothing to wait
//! for but time. What it does is a function of what it is given: its callers, answers, and time.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use headwater::{
    ExecuteError, Options, Settings, Store,
    memory::{ManualClock, SeededEntropy, identity},
    port::Ports,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::sleep,
};

use super::{
    case::{Caller, Case, Step},
    desk::{Desk, Gate, Papers, Told, Turn, Word, published},
    request::{Answer, Request},
    tally::{Note, Tally},
};

/// Longer than anything in the store waits: nothing but its callers and answers moves it after that.
const QUIET: Duration = Duration::from_hours(1);

/// More than a case writes; a cache for more is slower to make.
const CACHE_BYTES: u64 = 1 << 20;

/// What a process is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// Callers.
    Callers(Vec<Turn>),
    /// The answer to a call.
    Answer(u32, Answer),
    /// Time, although it waits for an answer.
    Time,
}

/// What it then does: the calls that wait, what its callers have been told so far, and where those are that are not
/// through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reaction {
    pub(super) waiting: Vec<(u32, Request)>,
    pub(super) told: Vec<Told>,
    pub(super) turns: Vec<Turn>,
}

/// A process.
pub(super) struct Process {
    case: Arc<Case>,
    desk: Arc<Desk>,
    store: Store,
    idle: Arc<Idle>,
    // The last to be dropped.
    runtime: Runtime,
}

impl Process {
    pub(super) fn start(case: &Arc<Case>, seed: u64) -> std::io::Result<Self> {
        let idle = Arc::new(Idle::default());
        let hook = Arc::clone(&idle);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || hook.tell())
            .build()?;
        let desk = Arc::new(Desk::default());
        let store = {
            let _inside = runtime.enter();
            let gate = Arc::new(Gate(Arc::clone(&desk)));
            // It stands, and differs from that of any other: what a clock shows is no part of the protocol.
            let clock = ManualClock::standing();
            clock.advance(Duration::from_secs(if case.one_clock { 0 } else { seed }));
            let ports = Ports {
                objects: gate.clone(),
                log: gate,
                clock: Arc::new(clock),
                entropy: Arc::new(SeededEntropy::new(seed)),
                identity: identity(),
            };
            Store::new(ports, Settings { cache_bytes: CACHE_BYTES, ..Settings::default() })
        };
        Ok(Self { case: Arc::clone(case), desk, store, idle, runtime })
    }

    /// Gives it something, and lets it go on until it waits.
    pub(super) fn give(&self, input: Input) {
        match input {
            Input::Callers(turns) => {
                for turn in turns {
                    self.desk.papers().turns.insert(turn.caller, turn);
                    self.runtime.spawn(act(
                        Arc::clone(&self.case),
                        self.store.clone(),
                        Arc::clone(&self.desk),
                        turn,
                    ));
                }
            }
            Input::Answer(call, answer) => {
                let waiting = self.desk.papers().waiting.remove(&call);
                if let Some((_, reply)) = waiting {
                    // It takes the answer: only its own timers could have made it leave, and time stood still.
                    let _ = reply.send(answer);
                }
            }
            Input::Time => {
                let before = glance(&self.desk.papers());
                self.run(move |papers| glance(papers) != before);
            }
        }
        self.run(|papers| !papers.waiting.is_empty());
    }

    pub(super) fn reaction(&self) -> Reaction {
        let papers = self.desk.papers();
        Reaction {
            waiting: papers.waiting.iter().map(|(call, (request, _))| (*call, request.clone())).collect(),
            told: papers.told.clone(),
            turns: papers.turns.values().copied().collect(),
        }
    }

    /// Runs, and lets the clock turn to the next timer whenever there is nothing left to do, until that is `enough`, or no
    /// timer is left to turn to.
    fn run(&self, enough: impl Fn(&Papers) -> bool + Send + 'static) {
        let desk = Arc::clone(&self.desk);
        self.runtime.block_on(async {
            let mut quiet = std::pin::pin!(sleep(QUIET));
            let mut enough: Option<Box<dyn Fn() -> bool + Send>> =
                Some(Box::new(move || enough(&desk.papers())));
            poll_fn(|context| {
                if let Some(enough) = enough.take() {
                    *self.idle.lock() = Some((context.waker().clone(), enough));
                } else if self.idle.lock().is_none() {
                    return Poll::Ready(());
                }
                quiet.as_mut().poll(context)
            })
            .await;
        });
        *self.idle.lock() = None;
    }
}

fn glance(papers: &Papers) -> (Vec<u32>, usize) {
    (papers.waiting.keys().copied().collect(), papers.told.len())
}

/// Whom to wake, and when that is enough.
type Waiting = (Waker, Box<dyn Fn() -> bool + Send>);

/// Tells when a runtime has nothing left to do: it is asked right before the thread parks and a paused clock turns. Waking
/// somebody there keeps the clock where it is.
#[derive(Default)]
struct Idle(Mutex<Option<Waiting>>);

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        if let Some((waker, _)) = self.lock().take_if(|(_, enough)| enough()) {
            waker.wake();
        }
    }
}

/// A caller.
async fn act(case: Arc<Case>, store: Store, desk: Arc<Desk>, mut turn: Turn) {
    let caller = &case.callers[turn.caller];
    while let Some(step) = caller.steps.get(turn.step) {
        desk.papers().turns.insert(turn.caller, turn);
        let what = ask(&store, caller, step).await;
        let again = matches!(what, Word::Unknown(_)) && turn.attempt < Caller::ATTEMPTS;
        desk.papers().told.push(Told { turn, what });
        turn = if again {
            Turn { attempt: turn.attempt + 1, ..turn }
        } else {
            Turn { step: turn.step + 1, attempt: 1, ..turn }
        };
    }
    desk.papers().turns.remove(&turn.caller);
}

async fn ask(store: &Store, caller: &Caller, step: &Step) -> Word {
    match step {
        Step::Load => match store.load::<Tally>(caller.id).await {
            Ok(loaded) => Word::Loaded { version: loaded.version, state: loaded.state.0 },
            Err(error) => Word::failed(&error),
        },
        Step::Commit { id, bytes, expected, on_conflict } => {
            let commit_id = match id.parse() {
                Ok(id) => id,
                Err(error) => return Word::Absurd(format!("{error}")),
            };
            let options = Options {
                commit_id: Some(commit_id),
                expected: expected.clone(),
                on_conflict: *on_conflict,
                ..Options::default()
            };
            match store.execute::<Tally>(caller.id, Note { name: id, bytes: *bytes }, options).await {
                Ok(executed) => Word::Committed {
                    version: executed.token.version,
                    repeat: executed.repeat,
                    publication: published(executed.publication),
                    state: executed.state.0,
                },
                Err(ExecuteError::Store(error)) => Word::failed(&error),
                Err(ExecuteError::Rejected(never)) => match never {},
            }
        }
    }
}
