//! What a stream's history says: its states, and whether the callers' answers fit it.

use std::collections::HashMap;

use headwater::{Aggregate, CommitId, Schemas, Version, format::commit::Commit, invariants::History};

use crate::{
    ledger::{Ledger, Order},
    next::{NextEntry, NextLedger},
};

/// The state at `version`, where a commit ends.
pub(crate) fn state(history: &History, version: Version) -> Result<Ledger, String> {
    let mut state = Ledger::default();
    for commit in history.commits.iter().filter(|commit| commit.last <= version) {
        evolve(&mut state, commit)?;
    }
    Ok(state)
}

fn evolve(state: &mut Ledger, commit: &Commit) -> Result<(), String> {
    for event in &commit.events {
        let entry: NextEntry =
            Schemas::of::<NextLedger>().decode(event).map_err(|error| error.to_string())?;
        state.evolve(&entry.old());
    }
    Ok(())
}

/// A call, from the moment when it was made to the moment when it was answered, in the order of all moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// When it was made.
    pub called: u64,
    /// When it was answered; `None` where no answer came.
    pub answered: Option<u64>,
    /// The commit that it would make, if it is a command.
    pub commit: Option<CommitId>,
    /// What it was told.
    pub told: Told,
}

/// What a call was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing, or that nothing is known.
    Unknown,
    /// That its commit stands, through this version, and the state there, where it was told one.
    Committed(Version, Option<Ledger>),
    /// That nothing had to happen, and the state at this version.
    State(Version, Ledger),
    /// That the domain refuses this order.
    Refused(Order),
    /// That the stream was at this version, which was not the right one.
    Conflict(Version),
    /// That another stream has the name.
    Taken,
    /// That nothing was committed.
    Nothing,
}

/// Looks for an order of the operations on one stream in which a single store, doing one thing after another, gives the
/// same answers, and in which no operation comes before one that was answered before it was made (Wing and Gong, 1993).
/// Gives the reason where there is none.
///
/// The order of the commits is known, because versions tell it, so the search never has a choice: an operation that only
/// reads goes where it fits as soon as it may, which takes nothing from the others, and when none fits the next commit
/// must come.
pub fn linearizable(history: &History, operations: &[Operation]) -> Result<(), String> {
    let mut states = vec![(Version::ZERO, Ledger::default())];
    let mut ends: HashMap<&CommitId, Version> = HashMap::new();
    for commit in &history.commits {
        let mut state = states.last().map(|(_, state)| state.clone()).unwrap_or_default();
        evolve(&mut state, commit)?;
        states.push((commit.last, state));
        ends.insert(&commit.id, commit.last);
    }
    for operation in operations {
        if let Told::Committed(end, Some(told)) = &operation.told
            && states.iter().any(|(version, state)| version == end && state != told)
        {
            return Err(format!("{operation:?} was told another state than the events make"));
        }
    }
    let mut waiting: Vec<&Operation> = operations.iter().collect();
    waiting.sort_by_key(|operation| operation.called);
    let mut commits = history.commits.iter();
    for (version, state) in &states {
        // Whatever fits here goes here.
        loop {
            let bound = bound(&waiting);
            let before = waiting.len();
            let mut fault = None;
            waiting.retain(|operation| {
                let stays = operation.called > bound || operation.answered.is_none();
                stays
                    || !fits(operation, *version, state, &ends).unwrap_or_else(|reason| {
                        fault.get_or_insert(reason);
                        false
                    })
            });
            if let Some(reason) = fault {
                return Err(reason);
            }
            if waiting.len() == before {
                break;
            }
        }
        let Some(commit) = commits.next() else { break };
        let bound = bound(&waiting);
        let makes = |operation: &&&Operation| {
            operation.commit.as_ref() == Some(&commit.id)
                && matches!(operation.told, Told::Unknown | Told::Committed(..))
        };
        let maker = waiting.iter().filter(makes).map(|operation| operation.called).min();
        let early = maker.is_none_or(|called| called > bound);
        if early {
            let late = waiting.iter().find(|operation| operation.answered == Some(bound));
            return Err(match maker {
                None => format!(
                    "commit {} at {} was made by no call that may have made it",
                    commit.id, commit.first
                ),
                Some(_) => format!("at {version}, before {}: {late:?} fits nowhere", commit.id),
            });
        }
    }
    match waiting.iter().find(|operation| operation.answered.is_some()) {
        Some(operation) => Err(format!("{operation:?} fits nowhere")),
        None => Ok(()),
    }
}

/// The first moment at which an operation that waits was answered: none that was made later may come before it.
fn bound(waiting: &[&Operation]) -> u64 {
    waiting.iter().filter_map(|operation| operation.answered).min().unwrap_or(u64::MAX)
}

/// Whether an answer fits this version and state; an error where it fits none.
fn fits(
    operation: &Operation,
    version: Version,
    state: &Ledger,
    ends: &HashMap<&CommitId, Version>,
) -> Result<bool, String> {
    Ok(match &operation.told {
        Told::Unknown => false,
        // What others have is no part of this stream.
        Told::Nothing | Told::Taken => true,
        Told::Committed(end, _) => {
            let stands = operation.commit.as_ref().and_then(|commit| ends.get(commit));
            if stands != Some(end) {
                return Err(format!("{operation:?} was told of a commit that stands at {stands:?}"));
            }
            *end <= version
        }
        Told::State(at, told) => *at == version && told == state,
        Told::Refused(order) => state.decide(order).is_err(),
        Told::Conflict(actual) => *actual == version,
    })
}

#[cfg(test)]
mod tests;
