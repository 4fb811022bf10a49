//! The checker against a search that tries every order.

use headwater::{
    Schemas, StreamId,
    format::{commit::Meta, head::Head},
};
use jiff::Timestamp;
use proptest::{prelude::*, sample::Index};
use std::sync::Arc;

use super::*;
use crate::ledger::Entry;

fn id(number: u64) -> CommitId {
    format!("c{number}").parse().expect("an id")
}

/// A stream of that many commits of one event each: `c1` at 1, `c2` at 2 and so on.
fn history(commits: u64) -> History {
    let stream: StreamId = "ledger/0".parse().expect("a stream");
    let event = Schemas::FIRST.encode(&Entry::Booked { amount: 1 }).expect("an event");
    let commit = |number| {
        let version = Version::new(number);
        let (at, events) = (Timestamp::UNIX_EPOCH, vec![event.clone()]);
        Arc::new(Commit { id: id(number), first: version, last: version, at, events, meta: Meta::new() })
    };
    let commits: Vec<_> = (1..=commits).map(commit).collect();
    let mut head = Head::new(stream);
    head.push(commits.clone());
    History { head, commits }
}

fn at(history: &History, version: u64) -> Told {
    let version = Version::new(version);
    Told::State(version, state(history, version).expect("a state"))
}

fn operation(called: u64, answered: u64, commit: Option<u64>, told: Told) -> Operation {
    let answered = (told != Told::Unknown).then_some(answered);
    Operation { called, answered, commit: commit.map(id), told }
}

fn committed(version: u64) -> Told {
    Told::Committed(Version::new(version), None)
}

#[test]
fn reads_and_writes_in_their_order_fit() {
    let history = history(2);
    let operations = [
        operation(0, 1, None, at(&history, 0)),
        operation(2, 5, Some(1), committed(1)),
        operation(3, 4, None, at(&history, 1)),
        operation(6, 9, Some(2), Told::Unknown),
        operation(10, 11, None, at(&history, 2)),
        operation(12, 13, Some(2), committed(2)),
    ];
    assert_eq!(linearizable(&history, &operations), Ok(()));
}

#[test]
fn each_lie_is_found() {
    let history = history(2);
    let made = [operation(0, 1, Some(1), committed(1)), operation(2, 3, Some(2), committed(2))];
    let with = |more: Operation| linearizable(&history, &[made.to_vec(), vec![more]].concat());
    with(operation(4, 5, None, at(&history, 1))).expect_err("a read of yesterday");
    with(operation(4, 5, None, Told::Conflict(Version::new(1)))).expect_err("a conflict of yesterday");
    with(operation(4, 5, Some(9), committed(3))).expect_err("a commit that does not stand");
    with(operation(4, 5, Some(9), Told::Refused(Order::Book(vec![1])))).expect_err("what was never refused");
    let wrong = Told::State(Version::new(2), Ledger::default());
    with(operation(4, 5, None, wrong)).expect_err("another state");
    let failed = [made[0].clone(), operation(2, 3, Some(2), Told::Nothing)];
    linearizable(&history, &failed).expect_err("a committed command that was called failed");
    let late = [made[1].clone(), operation(5, 6, Some(1), committed(1))];
    linearizable(&history, &late).expect_err("the first was asked for after the second was answered");
}

/// Tries every order.
fn search(history: &History, operations: &[Operation]) -> bool {
    fn place(history: &History, done: usize, left: &[Operation]) -> bool {
        let over = left.iter().all(|operation| operation.answered.is_none());
        if over && done == history.commits.len() {
            return true;
        }
        let version = Version::new(done as u64);
        let state = state(history, version).expect("a state");
        let bound = left.iter().filter_map(|operation| operation.answered).min().unwrap_or(u64::MAX);
        (0..left.len()).any(|next| {
            let operation = &left[next];
            let rest = || [&left[..next], &left[next + 1..]].concat();
            if operation.called > bound {
                return false;
            }
            let makes =
                history.commits.get(done).filter(|commit| operation.commit.as_ref() == Some(&commit.id));
            match &operation.told {
                Told::Unknown => makes.is_some() && place(history, done + 1, &rest()),
                Told::Committed(end, _) => {
                    let stands = history.commits[..done]
                        .iter()
                        .find(|commit| Some(&commit.id) == operation.commit.as_ref());
                    let repeats = stands.is_some_and(|commit| commit.last == *end);
                    (makes.is_some_and(|commit| commit.last == *end) && place(history, done + 1, &rest()))
                        || (repeats && place(history, done, &rest()))
                }
                Told::Nothing | Told::Taken => place(history, done, &rest()),
                Told::State(at, told) => *at == version && *told == state && place(history, done, &rest()),
                Told::Refused(order) => state.decide(order).is_err() && place(history, done, &rest()),
                Told::Conflict(actual) => *actual == version && place(history, done, &rest()),
            }
        })
    }
    place(history, 0, operations)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_checker_finds_an_order_where_there_is_one(
        commits in 0_u64..4,
        drawn in proptest::collection::vec((0_u8..6, 0_u64..4, 0_u64..4), 0..6),
        moments in proptest::collection::vec(any::<Index>(), 12),
    ) {
        let history = history(commits);
        // Calls and answers in any order, each answer behind its call.
        let mut free: Vec<u64> = (0..2 * drawn.len() as u64).collect();
        let mut moment = moments.iter();
        let mut take = || free.remove(moment.next().expect("enough").index(free.len()));
        let operations: Vec<Operation> = drawn.iter().map(|(kind, number, version)| {
            let (one, other) = (take(), take());
            let version = (*version).min(commits);
            let told = match kind {
                0 => Told::Unknown,
                1 | 2 => committed(*number),
                3 => at(&history, version),
                4 => Told::Conflict(Version::new(version)),
                _ => Told::Nothing,
            };
            operation(one.min(other), one.max(other), Some(*number), told)
        }).collect();
        prop_assert_eq!(linearizable(&history, &operations).is_ok(), search(&history, &operations));
    }
}
