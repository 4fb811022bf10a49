//! A case: which processes there are, what their callers ask for, and what may go wrong how often.

use headwater::{Expected, OnConflict};

/// A small world to be explored.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called, as a test is.
    pub name: &'static str,
    /// Every caller, over all processes.
    pub(super) callers: Vec<Caller>,
    /// The callers of each process that there is at first, as places in `callers`.
    pub(super) processes: Vec<Vec<usize>>,
    /// Callers whose steps were done, without a fault, before the exploration begins.
    pub(super) before: Vec<usize>,
    /// What may go wrong.
    pub(super) budget: Budget,
    /// What the callers of a process may do when it dies.
    pub(super) after_crash: Vec<Again>,
    /// All clocks show the same time, so that two commits of one id are equal to the byte.
    pub(super) one_clock: bool,
    /// The bucket heeds no precondition.
    pub(super) lawless: bool,
    /// Where the exploration gives up.
    pub(super) most_states: usize,
}

/// Somebody who asks one process for one thing after another, all of one stream.
///
/// An answer [`Unknown`](headwater::StoreError::Unknown) makes a caller ask again with the same commit id, up to
/// [`Caller::ATTEMPTS`] times in all.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The stream's id; its kind is `tally`.
    pub(super) id: &'static str,
    pub(super) steps: Vec<Step>,
}

/// One thing that a caller asks for.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Commit { id: &'static str, bytes: usize, expected: Expected, on_conflict: OnConflict },
    Load,
}

/// How often each thing may go wrong in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// A process dies. What it has sent may arrive at any time after, or never.
    pub crashes: u8,
    /// The answer to a write is lost, and the writer told so. The write may happen at any time from then on, or never.
    pub lost: u8,
    /// The answer to a read is lost, and the reader told so.
    pub unread: u8,
    /// A conditional write meets another: 409, and no effect.
    pub busy: u8,
    /// An entry of a `PutRecords` call is throttled.
    pub throttled: u8,
    /// Time passes in a process although it waits for an answer, until something comes of it, as a deadline.
    pub slow: u8,
}

/// What the callers of a process do when it has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// They are gone.
    Never,
    /// They go on, with the same commit ids, at a process that starts.
    New,
    /// They go on, with the same commit ids, at another process that lives.
    Other,
}

impl Case {
    /// A case without processes, and without anything that goes wrong.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            callers: Vec::new(),
            processes: Vec::new(),
            before: Vec::new(),
            budget: Budget::default(),
            after_crash: vec![Again::Never],
            one_clock: false,
            lawless: false,
            most_states: 5_000_000,
        }
    }

    /// With a process that has these callers.
    #[must_use]
    pub fn process(mut self, callers: impl IntoIterator<Item = Caller>) -> Self {
        let callers = self.add(callers);
        self.processes.push(callers);
        self
    }

    /// On a world where these callers, of one process that is gone, have been served.
    #[must_use]
    pub fn before(mut self, callers: impl IntoIterator<Item = Caller>) -> Self {
        self.before = self.add(callers);
        self
    }

    /// With so much that may go wrong.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// With these ways to go on after a crash; [`Again::Never`] alone if not given.
    #[must_use]
    pub fn after_crash(self, again: impl IntoIterator<Item = Again>) -> Self {
        Self { after_crash: again.into_iter().collect(), ..self }
    }

    /// Gives up, incomplete, after so many states; five million if not given.
    #[must_use]
    pub fn most_states(self, most_states: usize) -> Self {
        Self { most_states, ..self }
    }

    /// With clocks that all show the same: what two processes make of one id is equal to the byte.
    #[must_use]
    pub fn one_clock(self) -> Self {
        Self { one_clock: true, ..self }
    }

    /// On a bucket that writes whatever the precondition says: what must not be kept then shows that the checks see.
    #[must_use]
    pub fn without_conditions(self) -> Self {
        Self { lawless: true, ..self }
    }

    fn add(&mut self, callers: impl IntoIterator<Item = Caller>) -> Vec<usize> {
        let first = self.callers.len();
        self.callers.extend(callers);
        (first..self.callers.len()).collect()
    }
}

impl Caller {
    /// How often a caller asks for one commit while the answer is unknown.
    pub const ATTEMPTS: u8 = 3;

    /// A caller on the stream `tally/{id}`.
    pub fn on(id: &'static str) -> Self {
        Self { id, steps: Vec::new() }
    }

    /// Then asks for the commit `id`.
    #[must_use]
    pub fn commits(self, id: &'static str) -> Self {
        self.commits_under(id, Expected::Any, OnConflict::Retry)
    }

    /// Then asks for the commit `id`, under a condition.
    #[must_use]
    pub fn commits_under(self, id: &'static str, expected: Expected, on_conflict: OnConflict) -> Self {
        self.step(Step::Commit { id, bytes: 0, expected, on_conflict })
    }

    /// Then asks for the commit `id`, right behind the commit `before` or not at all.
    #[must_use]
    pub fn commits_after(self, id: &'static str, before: &'static str) -> Self {
        let before = match before.parse() {
            Ok(before) => before,
            Err(error) => unreachable!("a case names a commit wrongly: {error}"),
        };
        self.commits_under(id, Expected::After(before), OnConflict::Retry)
    }

    /// Then asks for the commit `id`, with an event of about so many bytes.
    #[must_use]
    pub fn commits_bytes(self, id: &'static str, bytes: usize) -> Self {
        self.step(Step::Commit { id, bytes, expected: Expected::Any, on_conflict: OnConflict::Retry })
    }

    /// Then loads the state.
    #[must_use]
    pub fn loads(self) -> Self {
        self.step(Step::Load)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
