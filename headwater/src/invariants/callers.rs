//! H7 and H8: what callers were told, against what exists.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{History, Invariant, Violation};
use crate::{
    id::{CommitId, StreamId, Version},
    limits,
};

/// What a caller was told about its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The stream.
    pub stream: StreamId,
    /// The caller's name for the commit.
    pub commit: CommitId,
    /// The version that it was told.
    pub version: Version,
}

/// A load that began after a commit had been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The stream, or what was asked.
    pub stream: StreamId,
    /// The version that had been answered.
    pub answered: Version,
    /// The version that the load saw.
    pub seen: Version,
}

/// H7: no load sees less than what had been answered before.
pub fn own_writes(observations: &[Observation]) -> Vec<Violation> {
    let stale = observations.iter().filter(|observation| observation.seen < observation.answered);
    let found = |seen: &Observation| format!("{} was answered, then {} was read", seen.answered, seen.seen);
    stale.map(|observation| Violation::new(Invariant::H7, &observation.stream, found(observation))).collect()
}

/// H8: no id names two commits of a stream that were made within ten minutes, by the times that they say. An id that is used
/// again later names another command.
pub fn committed_once(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut last: HashMap<&CommitId, (Version, Timestamp)> = HashMap::new();
    for commit in &history.commits {
        if let Some((first, at)) = last.insert(&commit.id, (commit.first, commit.at))
            && commit.at.duration_since(at).abs() < window()
        {
            let found = format!("commit {} is at {first} and again at {}", commit.id, commit.first);
            violations.push(Violation::new(Invariant::H8, &history.head.stream, found));
        }
    }
    violations
}

fn window() -> SignedDuration {
    SignedDuration::try_from(limits::REPEATS_FOR).unwrap_or(SignedDuration::MAX)
}

/// H8: every answer names a commit with that id, which ends where the caller was told.
pub fn once(histories: &BTreeMap<StreamId, History>, answers: &[Answer]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut ends: HashMap<(&StreamId, &CommitId), Vec<Version>> = HashMap::new();
    for (stream, history) in histories {
        for commit in &history.commits {
            ends.entry((stream, &commit.id)).or_default().push(commit.last);
        }
    }
    for Answer { stream, commit, version } in answers {
        let stands = ends.get(&(stream, commit)).map(Vec::as_slice).unwrap_or_default();
        if !stands.contains(version) {
            let found = format!("commit {commit} was answered as {version}, and stands at {stands:?}");
            violations.push(Violation::new(Invariant::H8, stream, found));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::copies::tests::{commit, history};

    #[test]
    fn a_stale_read_is_found() {
        let stream: StreamId = "account/1".parse().expect("a stream");
        let seen = |seen| Observation {
            stream: stream.clone(),
            answered: Version::new(4),
            seen: Version::new(seen),
        };
        assert_eq!(own_writes(&[seen(4), seen(5)]), []);
        assert_eq!(own_writes(&[seen(3)])[0].invariant, Invariant::H7);
    }

    #[test]
    fn an_answer_that_does_not_stand_or_stands_twice_is_found() {
        let whole = history(3);
        let stream = whole.head.stream.clone();
        let answer = |id: &str, version| Answer {
            stream: stream.clone(),
            commit: id.parse().expect("an id"),
            version: Version::new(version),
        };
        let histories = BTreeMap::from([(stream.clone(), whole)]);
        assert_eq!(once(&histories, &[answer("c1", 1), answer("c3", 3), answer("c3", 3)]), []);
        assert_eq!(once(&histories, &[answer("c1", 2)]).len(), 1, "answered wrong");
        assert_eq!(once(&histories, &[answer("c9", 4)]).len(), 1, "answered and lost");
    }

    #[test]
    fn an_id_that_comes_again_within_ten_minutes_is_found_and_later_is_none() {
        for (minutes, found) in [(0, 1), (9, 1), (10, 0), (60, 0), (-9, 1)] {
            let mut whole = history(3);
            let mut again = (*commit(3, "c1")).clone();
            again.at = again.at.saturating_add(SignedDuration::from_mins(minutes)).expect("a time");
            whole.commits[2] = std::sync::Arc::new(again);
            let broken = committed_once(&whole);
            assert_eq!(broken.len(), found, "{minutes} minutes");
            assert!(broken.iter().all(|violation| violation.invariant == Invariant::H8));
        }
    }
}
