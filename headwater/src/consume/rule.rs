//! The version rule: what makes delivery exact, whatever is repeated, late or lost.
//!
//! A commit is applied if it begins at applied + 1; it is skipped if its last version is applied already; otherwise there
//! is a gap, and the missing commits are read from the stream's head. Both functions here are pure: [`judge`] is the rule
//! for one commit, `plan` follows it through a batch, so that all heads that a view needs can be read at once.

use std::{collections::HashMap, sync::Arc};

use crate::{
    format::{commit::Commit, view::View},
    id::{StreamId, Version},
};

/// What the rule says about one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one.
    Apply,
    /// It is in the view already.
    Skip,
    /// Commits before it are missing.
    Gap,
    /// A part of it is in the view, which no history can lead to: stop and look.
    Overlap,
}

/// The version rule for a commit `first..=last` and a view that reflects its stream through `applied`.
///
/// ```
/// use headwater::{Version, consume::rule::{Verdict, judge}};
///
/// let seven = Version::new(7);
/// assert_eq!(judge(seven, Version::new(8), Version::new(9)), Verdict::Apply);
/// assert_eq!(judge(seven, Version::new(6), Version::new(7)), Verdict::Skip);
/// assert_eq!(judge(seven, Version::new(9), Version::new(9)), Verdict::Gap);
/// ```
pub fn judge(applied: Version, first: Version, last: Version) -> Verdict {
    if last <= applied {
        Verdict::Skip
    } else if first == applied.next() {
        Verdict::Apply
    } else if first > applied {
        Verdict::Gap
    } else {
        Verdict::Overlap
    }
}

/// A commit and its stream.
#[derive(Debug, Clone)]
pub(super) struct StreamCommit {
    pub(super) stream: StreamId,
    pub(super) commit: Arc<Commit>,
}

/// One step of a fold.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Take this commit in: it is the next of its stream.
    Apply(StreamCommit),
    /// The stream cannot go on from this version.
    Park { stream: StreamId, version: Version, error: String },
}

/// A step, or the place where missing commits go.
#[derive(Debug, Clone)]
pub(super) enum Planned {
    Step(Step),
    /// Take in all that the stream's head has after this version; `claimed` is the last version that a record told of.
    Heal {
        stream: StreamId,
        after: Version,
        claimed: Version,
    },
}

/// How far a plan has followed one stream.
enum Progress {
    At(Version),
    /// The rest comes from the head, at this place of the plan.
    Healing(usize),
    /// Parked, before or by this plan.
    Standing,
}

/// Follows the rule through `entries`, in the order of their arrival. A stream is healed at most once: its head, read
/// after the batch came, holds whatever the batch tells of it.
pub(super) fn plan<S>(view: &View<S>, entries: &[StreamCommit]) -> Vec<Planned> {
    let mut planned = Vec::with_capacity(entries.len());
    let mut streams: HashMap<&StreamId, Progress> = HashMap::new();
    for StreamCommit { stream, commit } in entries {
        let progress = streams.entry(stream).or_insert_with(|| match view.parked.get(stream) {
            Some(_) => Progress::Standing,
            None => Progress::At(view.applied(stream)),
        });
        let applied = match *progress {
            Progress::At(version) => version,
            Progress::Healing(place) => {
                if let Some(Planned::Heal { claimed, .. }) = planned.get_mut(place) {
                    *claimed = commit.last.max(*claimed);
                }
                continue;
            }
            Progress::Standing => continue,
        };
        let stream = stream.clone();
        match judge(applied, commit.first, commit.last) {
            Verdict::Skip => {}
            Verdict::Apply => {
                *progress = Progress::At(commit.last);
                planned.push(Planned::Step(Step::Apply(StreamCommit { stream, commit: Arc::clone(commit) })));
            }
            Verdict::Gap => {
                *progress = Progress::Healing(planned.len());
                planned.push(Planned::Heal { stream, after: applied, claimed: commit.last });
            }
            Verdict::Overlap => {
                *progress = Progress::Standing;
                planned.push(Planned::Step(overlap(stream, applied, commit)));
            }
        }
    }
    planned
}

/// Parks a stream that says two things about one version (H1 is broken).
pub(super) fn overlap(stream: StreamId, applied: Version, commit: &Commit) -> Step {
    let Commit { id, first, last, .. } = commit;
    let error = format!("commit {id} covers {first}..={last}, and {applied} is applied: it is corrupt");
    Step::Park { stream, version: applied.next(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_says_one_thing_for_every_case() {
        for applied in 0..12_u64 {
            for first in 1..14_u64 {
                for last in first..14 {
                    // Which versions of the commit are new, and which before it are missing: the rule in other words.
                    let new = (first..=last).filter(|version| *version > applied).count() as u64;
                    let missing = (applied + 1..first).count();
                    let expected = match (new, missing) {
                        (0, _) => Verdict::Skip,
                        (_, 1..) => Verdict::Gap,
                        (new, 0) if new == last - first + 1 => Verdict::Apply,
                        _ => Verdict::Overlap,
                    };
                    let verdict = judge(Version::new(applied), Version::new(first), Version::new(last));
                    assert_eq!(verdict, expected, "{first}..={last} on {applied}");
                }
            }
        }
    }
}
