//! H2, H10 and H11: the archive and the views, against what S3 holds of the streams.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::{History, Invariant, Violation};
use crate::{
    format::{commit::Commit, pointer::Pointer},
    id::{StreamId, Version},
};

/// A view as it stands, and as the fold of the whole stream says that it should.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewState {
    /// The view's key in S3.
    pub view: String,
    /// The stream.
    pub stream: StreamId,
    /// The version through which the view says that it has applied the stream.
    pub applied: Version,
    /// The state that stands.
    pub state: Value,
    /// The state that every commit through `applied`, once and in order, makes.
    pub expected: Value,
}

/// H2: wherever a copy of a commit is seen, it has all the events that S3 holds, and no other.
pub fn all_or_nothing<'a>(
    histories: &BTreeMap<StreamId, History>,
    copies: impl IntoIterator<Item = (&'a StreamId, &'a Arc<Commit>)>,
) -> Vec<Violation> {
    let whole = |(stream, copy): &(&StreamId, &Arc<Commit>)| {
        let events = copy.last.get().checked_sub(copy.first.get()).map(|more| more + 1);
        let held = histories.get(*stream).and_then(|history| history.at(copy.first));
        events == Some(copy.events.len() as u64) && held.is_none_or(|held| held.events == copy.events)
    };
    let found = |copy: &Commit| format!("commit {} was seen with {} events", copy.id, copy.events.len());
    let torn = copies.into_iter().filter(|copy| !whole(copy));
    torn.map(|(stream, copy)| Violation::new(Invariant::H2, stream, found(copy))).collect()
}

/// H10: the archive holds every commit of every stream exactly once, word for word, in version order, and nothing else.
pub fn archived_once(
    histories: &BTreeMap<StreamId, History>,
    archive: &BTreeMap<StreamId, Vec<Arc<Commit>>>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut broken =
        |stream: &StreamId, found: String| violations.push(Violation::new(Invariant::H10, stream, found));
    for (stream, history) in histories {
        let archived = archive.get(stream).map(Vec::as_slice).unwrap_or_default();
        for pair in archived.windows(2).filter(|pair| pair[0].first >= pair[1].first) {
            broken(stream, format!("{} is archived after {}", pair[1].first, pair[0].first));
        }
        let mut count: HashMap<Version, usize> = HashMap::new();
        for copy in archived {
            *count.entry(copy.first).or_default() += 1;
            if history.at(copy.first) != Some(copy) {
                broken(
                    stream,
                    format!("commit {} at {} is archived, and does not stand so", copy.id, copy.first),
                );
            }
        }
        for commit in &history.commits {
            match count.get(&commit.first).copied().unwrap_or_default() {
                1 => {}
                0 => broken(stream, format!("{} is not archived", commit.first)),
                times => broken(stream, format!("{} is archived {times} times", commit.first)),
            }
        }
    }
    for stream in archive.keys().filter(|stream| !histories.contains_key(*stream)) {
        broken(stream, "it is archived, and has no head".to_owned());
    }
    violations
}

/// H11, as time goes on: how far each stream is applied in the view at `view` never falls.
pub fn only_forward(
    view: &str,
    before: &BTreeMap<StreamId, Version>,
    after: &BTreeMap<StreamId, Version>,
) -> Vec<Violation> {
    let fell =
        |(stream, version): &(&StreamId, &Version)| after.get(*stream).is_none_or(|now| now < *version);
    let found = |(stream, version): (&StreamId, &Version)| {
        let now = after.get(stream).copied().unwrap_or_default();
        Violation::new(
            Invariant::H11,
            view,
            format!("{stream} was applied through {version}, and is through {now}"),
        )
    };
    before.iter().filter(fell).map(found).collect()
}

/// H11, as views are rebuilt: a generation that begins was never written before, and one that serves was the one being built.
pub fn built_then_serving(projection: &str, before: Pointer, after: Pointer) -> Option<Violation> {
    let newest = before.building.unwrap_or(before.serving);
    let begins = after.serving == before.serving && after.building.is_some_and(|building| building > newest);
    let serves = before.building == Some(after.serving) && after.building.is_none();
    let found = || format!("{after:?} stands in the place of {before:?}");
    (!begins && !serves).then(|| Violation::new(Invariant::H11, projection, found()))
}

/// H11: the state that stands is the one that each applied commit makes, once and in order; and nothing is missing.
pub fn applied_once(histories: &BTreeMap<StreamId, History>, views: &[ViewState]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for ViewState { view, stream, applied, state, expected } in views {
        let newest = histories.get(stream).map(|history| history.head.version).unwrap_or_default();
        if *applied != newest {
            let found = format!("{stream} is applied through {applied}, and is at {newest}");
            violations.push(Violation::new(Invariant::H11, view, found));
        }
        // A stream that has only been fenced has no events, and feeds no view yet.
        let unfed = newest == Version::ZERO && state.is_null();
        if state != expected && !unfed {
            violations.push(Violation::new(
                Invariant::H11,
                view,
                format!("{state} stands instead of {expected}"),
            ));
        }
    }
    violations
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{json, value::RawValue};

    use super::*;
    use crate::{
        event::StoredEvent,
        format::{commit::Meta, head::Head},
    };

    /// A commit of one event.
    pub(in crate::invariants) fn commit(version: u64, id: &str) -> Arc<Commit> {
        let (first, last) = (Version::new(version), Version::new(version));
        let events = vec![StoredEvent::new("Noted", 1, RawValue::NULL.to_owned()).expect("an event")];
        let (id, at) = (id.parse().expect("an id"), jiff::Timestamp::UNIX_EPOCH);
        Arc::new(Commit { id, first, last, at, events, meta: Meta::new() })
    }

    /// A stream of that many commits, `c1`, `c2` and so on.
    pub(in crate::invariants) fn history(commits: u64) -> History {
        let mut head = Head::new("account/1".parse().expect("a stream"));
        let commits: Vec<_> = (1..=commits).map(|version| commit(version, &format!("c{version}"))).collect();
        for commit in &commits {
            head.push([commit.clone()]);
        }
        History { head, commits }
    }

    #[test]
    fn an_archive_with_a_hole_a_repeat_or_a_stranger_is_found() {
        let whole = history(3);
        let stream = whole.head.stream.clone();
        let histories = BTreeMap::from([(stream.clone(), whole.clone())]);
        let archive = |commits: &[usize]| {
            let commits = commits.iter().map(|place| whole.commits[*place].clone()).collect();
            BTreeMap::from([(stream.clone(), commits)])
        };
        let found = |commits: &[usize]| archived_once(&histories, &archive(commits)).len();
        assert_eq!(found(&[0, 1, 2]), 0);
        assert_eq!(found(&[0, 2]), 1, "a hole");
        assert_eq!(found(&[0, 1, 1, 2]), 2, "a repeat is out of order, and twice");
        assert_eq!(found(&[1, 0, 2]), 1, "out of order");
        let stranger = BTreeMap::from([("account/9".parse().expect("a stream"), vec![commit(1, "c1")])]);
        assert_eq!(archived_once(&BTreeMap::new(), &stranger).len(), 1);
        let changed =
            BTreeMap::from([(stream.clone(), vec![commit(1, "x"), commit(2, "c2"), commit(3, "c3")])]);
        assert_eq!(archived_once(&histories, &changed).len(), 1, "another commit");
    }

    #[test]
    fn a_torn_commit_is_found() {
        let whole = history(2);
        let stream = whole.head.stream.clone();
        let histories = BTreeMap::from([(stream.clone(), whole.clone())]);
        assert_eq!(all_or_nothing(&histories, [(&stream, &whole.commits[0])]), []);
        let torn = Arc::new(Commit { last: Version::new(3), ..(*whole.commits[1]).clone() });
        assert_eq!(all_or_nothing(&histories, [(&stream, &torn)])[0].invariant, Invariant::H2);
    }

    #[test]
    fn a_view_that_falls_back_is_found() {
        let applied = |versions: &[(&str, u64)]| -> BTreeMap<StreamId, Version> {
            let named = versions.iter();
            named
                .map(|(id, at)| (StreamId::new("account", id).expect("a stream"), Version::new(*at)))
                .collect()
        };
        let before = applied(&[("1", 4), ("2", 7)]);
        assert_eq!(only_forward("v", &before, &applied(&[("1", 4), ("2", 8), ("3", 1)])), []);
        assert_eq!(only_forward("v", &before, &applied(&[("1", 3), ("2", 7)])).len(), 1);
        assert_eq!(only_forward("v", &before, &applied(&[("1", 4)]))[0].invariant, Invariant::H11);
    }

    #[test]
    fn a_generation_serves_after_it_was_built() {
        let pointer = |(serving, building)| Pointer::new(serving, building);
        for (before, after, right) in [
            ((0, None), (0, Some(1)), true),
            ((0, Some(1)), (0, Some(2)), true),
            ((0, Some(2)), (2, None), true),
            ((0, Some(2)), (1, None), false),
            ((0, Some(2)), (0, Some(1)), false),
            ((0, Some(2)), (2, Some(3)), false),
            ((2, None), (1, None), false),
        ] {
            let broken = built_then_serving("projections/x", pointer(before), pointer(after));
            assert_eq!(broken.is_none(), right, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_view_that_is_behind_or_wrong_is_found() {
        let whole = history(2);
        let stream = whole.head.stream.clone();
        let histories = BTreeMap::from([(stream.clone(), whole)]);
        let view = |applied, state| ViewState {
            view: "views/balance/1".to_owned(),
            stream: stream.clone(),
            applied: Version::new(applied),
            state: json!(state),
            expected: json!(2),
        };
        assert_eq!(applied_once(&histories, &[view(2, 2)]), []);
        assert_eq!(applied_once(&histories, &[view(1, 2)]).len(), 1);
        assert_eq!(applied_once(&histories, &[view(2, 3)])[0].invariant, Invariant::H11);
        let unfed = |state: Value| ViewState { state, ..view(0, 0) };
        assert_eq!(applied_once(&BTreeMap::new(), &[unfed(Value::Null)]), []);
        assert_eq!(applied_once(&BTreeMap::new(), &[unfed(json!(1))]).len(), 1);
    }
}
