//! Counts that can be read while the clients work.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the clients have met so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    answered: AtomicU64,
    conflicts: AtomicU64,
    retries: AtomicU64,
}

/// A reading of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Commands that were answered.
    pub commands: u64,
    /// Answers of 409.
    pub conflicts: u64,
    /// Requests that were repeated for want of an answer.
    pub retries: u64,
}

impl Tally {
    pub(super) fn answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> SoFar {
        SoFar {
            commands: self.answered.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}
