//! Every order in which a few processes can do a few things, with so many crashes and lost answers: the real
//! [`Store`](headwater::Store), and not a model of it.
//!
//! [`explore`] goes through every state that a [`Case`] can reach, and checks the promises of [`headwater::invariants`] in
//! each. What it finds is told as a story, with a path that [`replay`] takes again.
//!
//! ```
//! use simulation::explore::{Caller, Case, explore};
//!
//! let case = Case::new("two writers")
//!     .process([Caller::on("1").commits("a1")])
//!     .process([Caller::on("1").commits("b1")]);
//! let counts = explore(&case).map_err(|broken| broken.to_string())?;
//! assert!(counts.complete && counts.runs > 10);
//! # Ok::<(), String>(())
//! ```
//!
//! # How
//!
//! 1. A process (`process`) is a store in a runtime of its own, with its own paused clock, its own chance, and ports whose
//!    every call waits at a `desk`. It runs until nothing is left to do. Its clock turns only when it waits for no answer,
//!    or as a choice of its own.
//! 2. So a process is a function of what it was given: callers, answers, time. The `table` keeps what it does for each such
//!    history, found out by running it once, and minds that running it again shows the same.
//! 3. A state is the moment (`standing`) of the world, the history of each process, what is in the air (`search`), and
//!    what may still go wrong. Of the calls that wait, any may be the next (`choice`): states are compared in full, and one
//!    that was reached before is not gone on from again.
//!
//! # Why that is every run
//!
//! - Two runs that reach equal states have equal futures: the world is data, and a process a function. So it is enough
//!   to go on from one of them. Time is no exception, since each process has its own: what it does depends on when the
//!   others did what they did only through answers. Clocks stand, each at a time of its own: a writer only dates its
//!   commits by its clock, and the age of a head counts only against a watermark, which does not stand in these worlds.
//! - A call is done and answered in one step. Between the two, others could act; but then its process only hears later,
//!   and what it does next waits at the desk anyhow. What it would do to hear a second answer before the first is not
//!   tried, where it has two calls under way.
//! - A process whose clock turns does nothing to the world. So the turn commutes with all that others do, and needs
//!   no place of its own in the order.
//! - A lost answer and a crash put what was asked into the air, from where it arrives at any later time, at once too, or
//!   never. That covers a fault before the effect, after it, and a request that comes late.
//! - A request in the air that can never succeed any more is forgotten, and so is a record that only repeats: no `ETag`
//!   comes back, nobody reads the log here, and no promise is about repeats beyond their being facts.
//!
//! What is not tried: more processes, commits and faults than a case says, clocks that differ, an S3 that
//! breaks its contract.

mod callers;
mod case;
pub mod cases;
mod choice;
mod desk;
mod process;
mod request;
mod search;
mod standing;
mod story;
mod table;
mod tally;
mod trail;

pub use self::{
    case::{Again, Budget, Caller, Case},
    story::{Broken, replay},
};

use headwater::{Aggregate, StreamId};

use self::{search::Search, tally::Tally, trail::Trail};

/// What an exploration went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// States.
    pub states: usize,
    /// Steps from a state to a state.
    pub steps: usize,
    /// States in which everybody was through.
    pub ends: usize,
    /// Runs that these stand for, from the beginning to an end.
    pub runs: u128,
    /// Steps of the longest run.
    pub longest: usize,
    /// Different moments of the world.
    pub moments: usize,
    /// Different histories of a process.
    pub histories: usize,
    /// Times that the real code was given something.
    pub given: u64,
    /// Nothing was left out; false where [`Case::most_states`] ended it.
    pub complete: bool,
}

/// Goes through every state that `case` can reach. It must not be called in an asynchronous context: it runs runtimes.
///
/// # Errors
///
/// The first violation, of the fewest steps.
pub fn explore(case: &Case) -> Result<Counts, Broken> {
    let mut search = Search::new(case);
    let first = search.first().map_err(|wrong| story::tell(case, &[], wrong, 0))?;
    let mut trail = Trail::new(&first);
    let (mut layer, mut complete) = (vec![(0, first)], true);
    while !layer.is_empty() && complete {
        let mut next = Vec::new();
        for (place, state) in layer {
            let found = |wrong| story::tell(case, &trail.path(place), wrong, trail.len());
            search.check_moment(&state).map_err(found)?;
            if search.is_end(&state) {
                search.check_end(&state).map_err(found)?;
                trail.end(place);
            }
            for choice in search.choices(&state) {
                let happened = search.happen(&state, choice).map_err(|wrong| {
                    let path = [trail.path(place), vec![choice]].concat();
                    story::tell(case, &path, wrong, trail.len())
                })?;
                if let Some(to) = trail.step(place, choice, &happened.state) {
                    next.push((to, happened.state));
                }
            }
        }
        complete = trail.len() <= case.most_states;
        layer = next;
    }
    let (runs, longest) = trail.runs();
    Ok(Counts {
        states: trail.len(),
        steps: trail.steps(),
        ends: trail.ends(),
        runs,
        longest,
        moments: search.moments.len(),
        histories: search.table.len(),
        given: search.table.given,
        complete,
    })
}

/// The stream of an id.
fn stream(id: &str) -> StreamId {
    match StreamId::new(Tally::KIND, id) {
        Ok(stream) => stream,
        Err(error) => unreachable!("a case names a stream wrongly: {error}"),
    }
}
