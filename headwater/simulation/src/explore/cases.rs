//! The cases that the test suite explores, and deeper ones for who has the time.

use headwater::{Expected, OnConflict, Version};

use super::{Again, Budget, Caller, Case};

const NONE: Budget = Budget { crashes: 0, lost: 0, unread: 0, busy: 0, throttled: 0, slow: 0 };
const CRASH: Budget = Budget { crashes: 1, ..NONE };
const LOST: Budget = Budget { lost: 1, ..NONE };
const CRASH_AND_LOST: Budget = Budget { crashes: 1, lost: 1, ..NONE };

/// What the test suite explores: seconds each, without optimization too.
pub fn all() -> Vec<Case> {
    use Again::{Never, New, Other};
    let misread = Budget { unread: 1, slow: 1, ..NONE };
    let refused = Budget { busy: 1, throttled: 1, ..NONE };
    let crash_and_slow = Budget { crashes: 1, slow: 1, ..NONE };
    vec![
        two_by_two("two writers, nothing goes wrong"),
        two_by_two("two writers and a crash").budget(CRASH).after_crash([Never, New, Other]),
        two_by_two("two writers and a lost answer").budget(LOST),
        two_by_two("two writers, an unread answer and a slow one").budget(misread),
        two_by_two("two writers, a 409 and a throttled record").budget(refused),
        two_by_two("two writers, a crash and a lost answer, repeated by a new process")
            .budget(CRASH_AND_LOST)
            .after_crash([New]),
        two_by_two("two writers, a crash and a lost answer, repeated by the other writer")
            .budget(CRASH_AND_LOST)
            .after_crash([Other]),
        one_by_one("one commit each, a crash and a slow answer")
            .budget(crash_and_slow)
            .after_crash([Never, New, Other]),
        three("three writers and a lost answer").budget(LOST),
        three("three writers and a crash").budget(CRASH).after_crash([New, Other]),
        streams("two streams of one process and a throttled record").budget(Budget { throttled: 1, ..NONE }),
        streams("two streams of one process and a lost answer").budget(LOST),
        group("commits of one write and a lost answer").budget(LOST),
        group("commits of one write and a crash").budget(CRASH).after_crash([New, Other]),
        paged("a stream that pages and a lost answer").budget(LOST),
        paged("a stream that pages and a crash").budget(CRASH).after_crash([New, Other]),
        loads("loads between commits and a lost answer").budget(LOST),
        conditions("commits under conditions and a lost answer").budget(LOST),
        conditions("commits under conditions and a crash").budget(CRASH).after_crash([New, Other]),
        conditions("commits under conditions, an unread answer and a slow one").budget(misread),
        one_id("one commit id at two processes, nothing goes wrong"),
        one_id("one commit id at two processes and a lost answer").budget(LOST),
        one_id("one commit id at two processes and a crash").budget(CRASH).after_crash([New, Other]),
        one_id_paged("one commit id at two processes, of a stream that pages, and a lost answer")
            .budget(LOST),
        chain("commits each behind the one before and a lost answer").budget(LOST),
        chain("commits each behind the one before and a crash").budget(CRASH).after_crash([New, Other]),
    ]
}

/// Minutes each.
pub fn deeper() -> Vec<Case> {
    use Again::{Never, New, Other};
    let everything = Budget { crashes: 1, lost: 1, unread: 1, busy: 1, throttled: 1, slow: 1 };
    vec![
        one_by_one("one commit each, everything goes wrong once")
            .budget(everything)
            .after_crash([New, Other]),
        one_by_one("one commit each, two crashes and two lost answers")
            .budget(Budget { crashes: 2, lost: 2, ..NONE })
            .after_crash([New, Other]),
        two_by_two("two writers and two lost answers").budget(Budget { lost: 2, ..NONE }),
        two_by_two("two writers, a crash and a slow answer")
            .budget(Budget { crashes: 1, slow: 1, ..NONE })
            .after_crash([Never, New, Other]),
        two_by_two("two writers, a slow and a lost answer").budget(Budget { lost: 1, slow: 1, ..NONE }),
        three("three writers, a crash and a lost answer").budget(CRASH_AND_LOST).after_crash([New, Other]),
        paged("a stream that pages, a crash and a lost answer")
            .budget(CRASH_AND_LOST)
            .after_crash([New, Other]),
    ]
}

/// The case of that name.
pub fn named(name: &str) -> Option<Case> {
    all().into_iter().chain(deeper()).find(|case| case.name == name)
}

/// Two writers of one stream, two commits each.
pub fn two_by_two(name: &'static str) -> Case {
    Case::new(name)
        .process([Caller::on("1").commits("a1").commits("a2")])
        .process([Caller::on("1").commits("b1").commits("b2")])
}

/// Two writers of one stream, one commit each.
pub fn one_by_one(name: &'static str) -> Case {
    Case::new(name).process([Caller::on("1").commits("a1")]).process([Caller::on("1").commits("b1")])
}

/// Three writers of one stream, one commit each.
fn three(name: &'static str) -> Case {
    one_by_one(name).process([Caller::on("1").commits("c1")])
}

/// A process that writes two streams at once, and one that writes one of them.
fn streams(name: &'static str) -> Case {
    Case::new(name)
        .process([Caller::on("1").commits("a1"), Caller::on("2").commits("x1").commits("x2")])
        .process([Caller::on("1").commits("b1")])
}

/// A process with two callers of one stream, whose commands are committed together, and another process.
fn group(name: &'static str) -> Case {
    Case::new(name)
        .process([Caller::on("1").commits("a1").commits("a2"), Caller::on("1").commits("a3")])
        .process([Caller::on("1").commits("b1")])
}

/// A stream whose next commit moves older ones to a page.
fn paged(name: &'static str) -> Case {
    Case::new(name)
        .before([Caller::on("1").commits_bytes("o1", 30_000).commits_bytes("o2", 30_000)])
        .process([Caller::on("1").commits_bytes("a1", 20_000)])
        .process([Caller::on("1").commits_bytes("b1", 20_000)])
}

/// Loads, by who commits and by another.
fn loads(name: &'static str) -> Case {
    Case::new(name)
        .process([Caller::on("1").commits("a1").loads().commits("a2").loads()])
        .process([Caller::on("1").loads().commits("b1").loads()])
}

/// Commits that others may rule out.
fn conditions(name: &'static str) -> Case {
    let second = Expected::Exact(Version::new(1));
    Case::new(name)
        .process([Caller::on("1").commits_under("a1", Expected::NoStream, OnConflict::Retry).commits_under(
            "a2",
            second,
            OnConflict::Retry,
        )])
        .process([Caller::on("1").commits_under("b1", Expected::Any, OnConflict::Abandon).commits_under(
            "b2",
            Expected::Any,
            OnConflict::Merge,
        )])
}

/// Two processes that are asked for the same commit, and one that writes between them.
fn one_id(name: &'static str) -> Case {
    Case::new(name)
        .one_clock()
        .process([Caller::on("1").commits("k")])
        .process([Caller::on("1").commits("k")])
        .process([Caller::on("1").commits("c1")])
}

/// The same on a stream that pages: the commit may have moved to a page when a process looks whose it is.
fn one_id_paged(name: &'static str) -> Case {
    let large = |id| Caller::on("1").commits_bytes(id, 30_000);
    Case::new(name)
        .one_clock()
        .before([large("o1")])
        .process([large("k")])
        .process([large("k").commits_bytes("c1", 60_000)])
}

/// Commits that are asked for together, each right behind the one before, and one of somebody else.
fn chain(name: &'static str) -> Case {
    let first = Caller::on("1").commits_under("a1", Expected::NoStream, OnConflict::Retry);
    Case::new(name)
        .process([
            first,
            Caller::on("1").commits_after("a2", "a1"),
            Caller::on("1").commits_after("a3", "a2"),
        ])
        .process([Caller::on("1").commits("b1")])
}
