//! What callers are told, against what stands: at the moment when they are told, and in the end.

use std::{collections::HashMap, sync::Arc};

use headwater::{
    CommitId, Expected, OnConflict, StreamId, Version,
    format::commit::Commit,
    invariants::{self, Answer, Invariant, Observation, Violation},
};

use super::{
    case::{Case, Step},
    desk::{Told, Word},
    standing::Standing,
};

/// How often a lost command is decided again before that is a conflict.
const RETRIES: usize = 5;

/// What is known when a word is told.
pub(super) struct Circumstances<'a> {
    /// What anybody had been told before.
    pub(super) earlier: &'a [&'a Told],
    /// Something has gone wrong in this run.
    pub(super) harmed: bool,
    /// The process has read before that the commit stands.
    pub(super) seen: bool,
    /// The process has no other caller of the stream, and has read nothing since this one asked.
    pub(super) unproved: bool,
}

/// What is wrong with a word at the moment when it is told.
pub(super) fn wrong(
    case: &Case,
    standing: &Standing,
    told: &Told,
    circumstances: &Circumstances<'_>,
) -> Vec<Violation> {
    let Circumstances { earlier, harmed, seen, unproved } = *circumstances;
    let stream = stream(case, told);
    let broken = |invariant, found: String| vec![Violation { invariant, place: stream.to_string(), found }];
    let history = standing.histories.get(&stream);
    let commits = history.map_or(&[][..], |history| &history.commits);
    let version = history.map(|history| history.head.version).unwrap_or_default();
    let name = name(case, told);
    match &told.what {
        Word::Committed { version, repeat, state, .. } => {
            let mut violations = invariants::once(&standing.histories, &answers(case, [told]));
            if names(commits, *version) != *state {
                violations
                    .extend(broken(Invariant::H7, format!("{name} was answered with the state {state:?}")));
            }
            if let Some((Expected::After(before), _)) = condition(case, told)
                && !state.ends_with(&[before.to_string(), name.clone()])
            {
                let found = format!("{name} stands in {state:?}, and was to go right behind {before}");
                violations.extend(broken(Invariant::H2, found));
            }
            if *repeat && told.turn.attempt == 1 && !is_shared(case, told) {
                violations.extend(broken(
                    Invariant::H8,
                    format!("{name} was called a repeat, and was asked for once"),
                ));
            }
            violations
        }
        Word::Loaded { version, state } => {
            let committed = |earlier: &&Told| match earlier.what {
                Word::Committed { version, .. } if self::stream(case, earlier) == stream => Some(version),
                _ => None,
            };
            let answered =
                earlier.iter().copied().filter_map(|earlier| committed(&earlier)).max().unwrap_or_default();
            let seen = Observation { stream: stream.clone(), answered, seen: *version };
            let mut violations = invariants::own_writes(&[seen]);
            if names(commits, *version) != *state {
                violations
                    .extend(broken(Invariant::H7, format!("the state {state:?} was loaded at {version}")));
            }
            violations
        }
        Word::Conflict { actual } => {
            let found = |what: String| {
                broken(Invariant::H8, format!("{name} was told of a conflict at {actual}, {what}"))
            };
            let others = commits.iter().filter(|commit| commit.id.as_str() != name).count();
            let needed = match condition(case, told) {
                Some((Expected::Exact(expected), _)) if expected == actual => {
                    return found("which it expected".to_owned());
                }
                Some((Expected::NoStream, _)) if *actual == Version::ZERO => {
                    return found("which it expected".to_owned());
                }
                Some((Expected::After(before), _)) if ends_with(commits, *actual, before) => {
                    return found("where the newest commit is the one that it expected".to_owned());
                }
                Some((Expected::Any, OnConflict::Retry)) => RETRIES + 1,
                _ => 1,
            };
            let expects = condition(case, told).is_some_and(|(expected, _)| *expected != Expected::Any);
            if others < needed && !expects {
                return found(format!("and {others} commits of others stand"));
            }
            if *actual > version {
                found(format!("and the stream is at {version}"))
            } else if unproved {
                found("from a head that may be an old one".to_owned())
            } else {
                failed(&stream, &name, &told.what, commits)
            }
        }
        Word::Unknown(reason) | Word::Unavailable { reason, .. } if !harmed => {
            broken(Invariant::H8, format!("{name} failed, and nothing had gone wrong: {reason}"))
        }
        // Who asks again has learned nothing new, unless its process has read that the commit stands, and had the time.
        Word::Unavailable { late, .. } if told.turn.attempt > 1 && (!seen || *late) => Vec::new(),
        // What another caller committed is nothing that this one was to be told.
        Word::Unavailable { .. } if is_shared(case, told) => Vec::new(),
        Word::Unavailable { .. } => failed(&stream, &name, &told.what, commits),
        Word::Unknown(_) => Vec::new(),
        Word::Absurd(error) => broken(Invariant::H8, format!("{name}: {error}")),
    }
}

/// What is wrong with all that was told, when nobody is told anything more.
pub(super) fn wrong_in_the_end(
    case: &Case,
    standing: &Standing,
    told: &[&Told],
    harmed: bool,
) -> Vec<Violation> {
    let mut violations = invariants::once(&standing.histories, &answers(case, told.iter().copied()));
    let mut first: HashMap<(StreamId, String), usize> = HashMap::new();
    for told in told {
        let (stream, name) = (stream(case, told), name(case, told));
        let commits = standing.histories.get(&stream).map_or(&[][..], |history| &history.commits);
        match &told.what {
            Word::Committed { repeat, .. } => {
                *first.entry((stream, name)).or_default() += usize::from(!repeat);
            }
            // Of one that was asked for before, the first request may still be in the air.
            Word::Conflict { .. } | Word::Unavailable { .. }
                if told.turn.attempt == 1 && !is_shared(case, told) =>
            {
                violations.extend(failed(&stream, &name, &told.what, commits));
            }
            _ => {}
        }
    }
    // Where something went wrong, nobody may have heard the first answer.
    for ((stream, name), times) in first.into_iter().filter(|(_, times)| *times > 1 || *times == 0 && !harmed)
    {
        let found = format!("{times} callers were told that it was they who committed {name}");
        violations.push(Violation { invariant: Invariant::H8, place: stream.to_string(), found });
    }
    violations
}

/// The stream of whom was told.
fn stream(case: &Case, told: &Told) -> StreamId {
    super::stream(case.callers[told.turn.caller].id)
}

/// What was asked for.
pub(super) fn name(case: &Case, told: &Told) -> String {
    match case.callers[told.turn.caller].steps.get(told.turn.step) {
        Some(Step::Commit { id, .. }) => (*id).to_owned(),
        _ => "a load".to_owned(),
    }
}

/// Whether another caller asks for the same commit.
fn is_shared(case: &Case, told: &Told) -> bool {
    let name = name(case, told);
    let asks = |step: &Step| matches!(step, Step::Commit { id, .. } if *id == name);
    case.callers.iter().filter(|caller| caller.steps.iter().any(asks)).count() > 1
}

/// Whether the commit that ends at `version` is this one.
fn ends_with(commits: &[Arc<Commit>], version: Version, id: &CommitId) -> bool {
    commits.iter().any(|commit| commit.last == version && commit.id == *id)
}

fn condition<'a>(case: &'a Case, told: &Told) -> Option<(&'a Expected, OnConflict)> {
    match case.callers[told.turn.caller].steps.get(told.turn.step) {
        Some(Step::Commit { expected, on_conflict, .. }) => Some((expected, *on_conflict)),
        _ => None,
    }
}

/// What was reported as failed must not stand.
fn failed(stream: &StreamId, name: &str, word: &Word, commits: &[Arc<Commit>]) -> Vec<Violation> {
    let stands = commits.iter().filter(|commit| commit.id.as_str() == name);
    let found =
        |commit: &Arc<Commit>| format!("{name} stands at {}, and its caller was told: {word}", commit.first);
    let violation =
        |commit| Violation { invariant: Invariant::H8, place: stream.to_string(), found: found(commit) };
    stands.map(violation).collect()
}

/// The state that the commits through `version` make.
fn names(commits: &[Arc<Commit>], version: Version) -> Vec<String> {
    commits.iter().filter(|commit| commit.last <= version).map(|commit| commit.id.to_string()).collect()
}

fn answers<'a>(case: &Case, told: impl IntoIterator<Item = &'a Told>) -> Vec<Answer> {
    let answer = |told: &Told| match told.what {
        Word::Committed { version, .. } => {
            Some(Answer { stream: stream(case, told), commit: name(case, told).parse().ok()?, version })
        }
        _ => None,
    };
    told.into_iter().filter_map(answer).collect()
}
