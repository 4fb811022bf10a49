//! What a run has to say.

use std::{collections::BTreeMap, fmt, time::Duration};

use headwater::invariants::{Invariant, Violation};
use serde::Serialize;

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Promise {
    /// What callers were told has an order in which one store could have told it, one call after another.
    Linearizable,
    /// A caller is told the state that the events make, and no committed command is called failed.
    Answers,
    /// A snapshot is the state that its events make.
    Snapshot,
    /// What is stored can be read.
    Format,
    /// What is forwarded is the same whenever it is forwarded, in order, and not less than the view says.
    Forwarded,
    /// What a process commands takes effect once for each event.
    Reacted,
    /// What is no commit ends in quarantine, all of it and nothing else.
    Quarantine,
    /// Everything comes to rest once the world is calm.
    Ends,
    /// H1 to H11.
    #[serde(untagged)]
    Invariant(Invariant),
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invariant(invariant) => write!(f, "{invariant:?}"),
            other => write!(f, "{}", format!("{other:?}").to_lowercase()),
        }
    }
}

/// A promise that was not kept, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which promise.
    pub promise: Promise,
    /// The stream, or the object, where it was not kept.
    pub place: String,
    /// What was found there.
    pub found: String,
}

impl Finding {
    pub(crate) fn new(promise: Promise, place: impl fmt::Display, found: impl Into<String>) -> Self {
        Self { promise, place: place.to_string(), found: found.into() }
    }
}

impl From<Violation> for Finding {
    fn from(violation: Violation) -> Self {
        let Violation { invariant, place, found } = violation;
        Self { promise: Promise::Invariant(invariant), place, found }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.promise, self.place, self.found)
    }
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was broken; nothing, where all is well.
    pub findings: Vec<Finding>,
    /// How often what happened, as commits, crashes or faults of each kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// The simulated time.
    pub elapsed: Duration,
    /// Every call, effect and answer, a line each: equal for equal seeds.
    pub trace: String,
}
