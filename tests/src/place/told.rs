//! What callers were told of a run, for H7 and H8: every answer to a command, and every read after one.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use headwater::{
    CommitId, StreamId, Token, Version,
    invariants::{Answer, Observation},
};

/// Everything that was told.
#[derive(Debug, Default)]
pub struct Told(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: Vec<Answer>,
    observations: Vec<Observation>,
    newest: BTreeMap<StreamId, Version>,
}

impl Told {
    /// Everything until now.
    pub fn all(&self) -> (Vec<Answer>, Vec<Observation>) {
        let kept = self.kept();
        (kept.answers.clone(), kept.observations.clone())
    }

    /// A command was answered.
    pub(super) fn answered(&self, key: &str, Token { stream, version }: Token) {
        let mut kept = self.kept();
        let newest = kept.newest.entry(stream.clone()).or_default();
        *newest = version.max(*newest);
        if let Ok(commit) = CommitId::of_key(key) {
            kept.answers.push(Answer { stream, commit, version });
        }
    }

    /// Whether a command to this stream was answered.
    pub(super) fn knows(&self, stream: &StreamId) -> bool {
        self.kept().newest.contains_key(stream)
    }

    /// The newest version of a stream that was answered until now.
    pub(super) fn newest(&self, stream: &StreamId) -> Option<Version> {
        self.kept().newest.get(stream).copied()
    }

    /// A read that had to show `answered` at least has shown `seen`.
    pub(super) fn observed(&self, answered: Version, Token { stream, version: seen }: Token) {
        self.kept().observations.push(Observation { stream, answered, seen });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
