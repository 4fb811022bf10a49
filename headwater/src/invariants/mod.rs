//! The promises of the store as named, pure predicates over what really stands: simulation, audit, demo and tests call
//! the same ones.
//!
//! | | invariant | predicate |
//! |---|---|---|
//! | H1 | one history | [`one_history`], [`only_grown`] |
//! | H2 | all or nothing | [`all_or_nothing`] |
//! | H3 | facts only | [`facts_only`] |
//! | H4 | order | [`order`] |
//! | H5 | one behind | [`one_behind`] |
//! | H6 | delivered | [`delivered`], [`settled`] |
//! | H7 | own writes | [`own_writes`] |
//! | H8 | once | [`committed_once`], [`once`] |
//! | H9 | unique | [`unique()`] |
//! | H10 | archived once | [`archived_once`] |
//! | H11 | applied once | [`applied_once`], [`only_forward`], [`built_then_serving`] |
//!
//! A predicate returns every violation that it finds, and none where the promise is kept.

mod callers;
mod copies;
mod streams;
mod unique;

use std::fmt;

pub use self::{
    callers::{Answer, Observation, committed_once, once, own_writes},
    copies::{ViewState, all_or_nothing, applied_once, archived_once, built_then_serving, only_forward},
    streams::{
        History, Published, delivered, facts_only, one_behind, one_history, only_grown, order, settled,
    },
    unique::unique,
};

/// A promise, by the name that the documentation gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Invariant {
    /// A version of a stream has exactly one commit, for ever.
    H1,
    /// A commit's events become visible together.
    H2,
    /// Every record in Kinesis is a commit that S3 holds.
    H3,
    /// The first arrival of a stream's versions in Kinesis is in version order.
    H4,
    /// At most the commits of a stream's newest head write are unpublished.
    H5,
    /// Every commit is published in the end.
    H6,
    /// A load that begins after a commit was answered sees it.
    H7,
    /// The same commit id commits once, for at least ten minutes; a repeat gets the first answer.
    H8,
    /// A claimed value has at most one stream whose state holds it.
    H9,
    /// Every commit is in the archive exactly once, in order per stream.
    H10,
    /// A view's state reflects each commit of a stream exactly once, in order.
    H11,
}

impl Invariant {
    /// The promise in a few words.
    pub fn promise(self) -> &'static str {
        match self {
            Self::H1 => "one history",
            Self::H2 => "all or nothing",
            Self::H3 => "facts only",
            Self::H4 => "order",
            Self::H5 => "one behind",
            Self::H6 => "delivered",
            Self::H7 => "own writes",
            Self::H8 => "once",
            Self::H9 => "unique",
            Self::H10 => "archived once",
            Self::H11 => "applied once",
        }
    }
}

/// A promise that was not kept, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Which promise.
    pub invariant: Invariant,
    /// The stream, or the view, where it was not kept.
    pub place: String,
    /// What was found there.
    pub found: String,
}

impl Violation {
    fn new(invariant: Invariant, place: impl fmt::Display, found: impl Into<String>) -> Self {
        Self { invariant, place: place.to_string(), found: found.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, place, found } = self;
        write!(f, "{invariant:?} ({}) is broken at {place}: {found}", invariant.promise())
    }
}
