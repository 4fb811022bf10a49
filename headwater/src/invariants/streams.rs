//! H1, H3, H4, H5 and H6: what S3 holds of a stream, against what Kinesis carried of it.

use std::sync::Arc;

use super::{Invariant, Violation};
use crate::{
    format::{commit::Commit, head::Head, key},
    id::{StreamId, Version},
};

/// A stream as S3 holds it.
#[derive(Debug, Clone)]
pub struct History {
    /// Its head.
    pub head: Head,
    /// Its commits, from pages and head, in the order in which those list them.
    pub commits: Vec<Arc<Commit>>,
}

/// Commits of one stream in the order of their arrival in Kinesis, repeats and all.
pub type Published = Vec<Arc<Commit>>;

impl History {
    /// The stream of `head`, where `page` gives the commits of the page at a key.
    ///
    /// # Errors
    ///
    /// The first that `page` gives.
    pub fn join<E>(head: Head, page: impl Fn(&str) -> Result<Vec<Arc<Commit>>, E>) -> Result<Self, E> {
        let mut commits = Vec::new();
        for older in &head.pages {
            commits.extend(page(&key::page(&head.stream, older.first))?);
        }
        commits.extend(head.commits.iter().cloned());
        Ok(Self { head, commits })
    }

    /// The commit that begins at `first`.
    pub(super) fn at(&self, first: Version) -> Option<&Arc<Commit>> {
        let place = self.commits.partition_point(|commit| commit.first < first);
        self.commits.get(place).filter(|commit| commit.first == first)
    }

    fn stream(&self) -> &StreamId {
        &self.head.stream
    }
}

/// H1: the commits cover the versions from 1 to the head's without gap or overlap.
pub fn one_history(history: &History) -> Vec<Violation> {
    let broken = |found: String| Violation::new(Invariant::H1, history.stream(), found);
    let mut violations = Vec::new();
    let mut next = Version::new(1);
    for commit in &history.commits {
        if commit.first != next {
            violations
                .push(broken(format!("commit {} begins at {}, not at {next}", commit.id, commit.first)));
        }
        next = commit.last.next();
    }
    if next != history.head.version.next() {
        violations
            .push(broken(format!("the head is at {}, its commits end before {next}", history.head.version)));
    }
    violations
}

/// H1, as time goes on: what stood of a stream stands for ever, and its fence never falls.
pub fn only_grown(before: &History, after: &History) -> Vec<Violation> {
    let broken = |found: String| Violation::new(Invariant::H1, after.stream(), found);
    let lost = before.commits.iter().filter(|commit| after.at(commit.first) != Some(*commit));
    let mut violations: Vec<Violation> = lost
        .map(|commit| broken(format!("commit {} stood at {}, and is gone", commit.id, commit.first)))
        .collect();
    if after.head.fence < before.head.fence {
        violations.push(broken(format!("the fence fell from {} to {}", before.head.fence, after.head.fence)));
    }
    violations
}

/// H3: what arrived is, word for word, a commit that S3 holds.
pub fn facts_only(history: Option<&History>, stream: &StreamId, published: &Published) -> Vec<Violation> {
    let held = |commit: &Arc<Commit>| history.and_then(|history| history.at(commit.first)) == Some(commit);
    let found =
        |commit: &Arc<Commit>| format!("commit {} of {}..={} arrived", commit.id, commit.first, commit.last);
    let invented = published.iter().filter(|commit| !held(commit));
    invented.map(|commit| Violation::new(Invariant::H3, stream, found(commit))).collect()
}

/// H4: leaving repeats aside, versions arrived in order and without a gap.
pub fn order(stream: &StreamId, published: &Published) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut next = Version::new(1);
    for commit in published {
        if commit.first > next {
            let found = format!("{} arrived when {next} had not", commit.first);
            violations.push(Violation::new(Invariant::H4, stream, found));
        }
        next = next.max(commit.last.next());
    }
    violations
}

/// H5: what has not arrived belongs to the newest write of the head.
pub fn one_behind(history: &History, published: &Published) -> Vec<Violation> {
    missing(history, published)
        .filter(|commit| commit.first < history.head.newest_write)
        .map(|commit| {
            let found = format!(
                "{} has not arrived, and the newest write began at {}",
                commit.first, history.head.newest_write
            );
            Violation::new(Invariant::H5, history.stream(), found)
        })
        .collect()
}

/// H6: everything has arrived.
pub fn delivered(history: &History, published: &Published) -> Vec<Violation> {
    missing(history, published)
        .map(|commit| {
            Violation::new(Invariant::H6, history.stream(), format!("{} has not arrived", commit.first))
        })
        .collect()
}

/// H6, as the watermark says it: of what S3 stored before it, through the version `settled`, everything has arrived.
pub fn settled(history: &History, published: &Published, settled: Version) -> Vec<Violation> {
    missing(history, published)
        .filter(|commit| commit.last <= settled)
        .map(|commit| {
            let found = format!("{} has not arrived, and the watermark says so", commit.first);
            Violation::new(Invariant::H6, history.stream(), found)
        })
        .collect()
}

fn missing<'a>(history: &'a History, published: &Published) -> impl Iterator<Item = &'a Arc<Commit>> {
    let arrived: std::collections::HashSet<Version> = published.iter().map(|commit| commit.first).collect();
    history.commits.iter().filter(move |commit| !arrived.contains(&commit.first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::copies::tests::{commit, history};

    fn names(violations: &[Violation]) -> Vec<Invariant> {
        violations.iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn a_history_in_order_breaks_nothing() {
        let history = history(3);
        let mut published = history.commits.clone();
        published.push(history.commits[1].clone());
        assert_eq!(one_history(&history), []);
        assert_eq!(facts_only(Some(&history), &history.head.stream, &published), []);
        assert_eq!(order(&history.head.stream, &published), []);
        assert_eq!(one_behind(&history, &published), []);
        assert_eq!(delivered(&history, &published), []);
    }

    #[test]
    fn each_break_is_found_by_its_name() {
        let whole = history(3);
        let stream = whole.head.stream.clone();
        let mut lost = whole.clone();
        lost.commits.remove(1);
        assert_eq!(names(&one_history(&lost)), [Invariant::H1]);
        assert_eq!(names(&only_grown(&whole, &lost)), [Invariant::H1]);
        assert_eq!(only_grown(&lost, &whole), []);
        assert_eq!(names(&facts_only(Some(&whole), &stream, &vec![commit(2, "other")])), [Invariant::H3]);
        assert_eq!(names(&facts_only(None, &stream, &vec![commit(1, "c1")])), [Invariant::H3]);
        let swapped = vec![whole.commits[1].clone(), whole.commits[0].clone()];
        assert_eq!(names(&order(&stream, &swapped)), [Invariant::H4]);
        assert_eq!(names(&one_behind(&whole, &vec![])), [Invariant::H5; 2]);
        assert_eq!(names(&delivered(&whole, &whole.commits[..2].to_vec())), [Invariant::H6]);
        assert_eq!(names(&settled(&whole, &whole.commits[..2].to_vec(), Version::new(3))), [Invariant::H6]);
        assert_eq!(settled(&whole, &whole.commits[..2].to_vec(), Version::new(2)), []);
        assert_eq!(one_behind(&whole, &whole.commits[..2].to_vec()), []);
    }
}
