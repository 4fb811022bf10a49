//! Small cases, every run of them. What they are stands in `simulation::explore::cases`; `docs/exhaustive.md` tells more.

#![allow(clippy::expect_used, reason = "a test")]

use simulation::explore::{Counts, cases, explore, replay};

/// Explores a case to its end. That it stands for so many runs is asked for, so that no test is about nothing.
fn explored(name: &str) -> Counts {
    let case = cases::named(name).expect("a case of this name");
    let counts = explore(&case).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(counts.complete && counts.ends > 0, "{counts:?}");
    println!("{name}: {counts:?}");
    counts
}

/// Takes a path of a case that keeps every promise.
fn taken(name: &str, path: &str) -> String {
    let case = cases::named(name).expect("a case of this name");
    replay(&case, path).unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn two_writers_that_race() {
    assert!(explored("two writers, nothing goes wrong").runs > 1_000);
}

#[test]
fn two_writers_and_a_crash() {
    assert!(explored("two writers and a crash").runs > 500_000);
}

#[test]
fn two_writers_and_a_lost_answer() {
    assert!(explored("two writers and a lost answer").runs > 100_000);
}

#[test]
fn two_writers_an_unread_answer_and_a_slow_one() {
    assert!(explored("two writers, an unread answer and a slow one").runs > 1_000_000);
}

#[test]
fn two_writers_a_409_and_a_throttled_record() {
    assert!(explored("two writers, a 409 and a throttled record").runs > 100_000);
}

#[test]
fn a_crash_and_a_lost_answer_repeated_by_a_new_process() {
    assert!(
        explored("two writers, a crash and a lost answer, repeated by a new process").runs > 1_000_000_000
    );
}

#[test]
fn a_crash_and_a_lost_answer_repeated_by_the_other_writer() {
    assert!(
        explored("two writers, a crash and a lost answer, repeated by the other writer").runs > 30_000_000
    );
}

#[test]
fn a_crash_and_a_slow_answer() {
    assert!(explored("one commit each, a crash and a slow answer").runs > 20_000);
}

#[test]
fn three_writers_and_a_lost_answer() {
    assert!(explored("three writers and a lost answer").runs > 10_000_000);
}

#[test]
fn three_writers_and_a_crash() {
    assert!(explored("three writers and a crash").runs > 10_000_000);
}

#[test]
fn two_streams_of_one_process_and_a_throttled_record() {
    assert!(explored("two streams of one process and a throttled record").runs > 20_000);
}

#[test]
fn two_streams_of_one_process_and_a_lost_answer() {
    assert!(explored("two streams of one process and a lost answer").runs > 500_000);
}

#[test]
fn commits_of_one_write_and_a_lost_answer() {
    assert!(explored("commits of one write and a lost answer").runs > 100_000);
}

#[test]
fn commits_of_one_write_and_a_crash() {
    assert!(explored("commits of one write and a crash").runs > 500_000);
}

#[test]
fn a_stream_that_pages_and_a_lost_answer() {
    assert!(explored("a stream that pages and a lost answer").runs > 10_000);
}

#[test]
fn a_stream_that_pages_and_a_crash() {
    assert!(explored("a stream that pages and a crash").runs > 100_000);
}

#[test]
fn loads_between_commits_and_a_lost_answer() {
    assert!(explored("loads between commits and a lost answer").runs > 100_000);
}

#[test]
fn commits_under_conditions_and_a_lost_answer() {
    assert!(explored("commits under conditions and a lost answer").runs > 5_000);
}

#[test]
fn commits_under_conditions_and_a_crash() {
    assert!(explored("commits under conditions and a crash").runs > 10_000);
}

#[test]
fn commits_under_conditions_an_unread_answer_and_a_slow_one() {
    assert!(explored("commits under conditions, an unread answer and a slow one").runs > 50_000);
}

#[test]
fn one_commit_id_at_two_processes() {
    assert!(explored("one commit id at two processes, nothing goes wrong").runs > 1_000);
}

#[test]
fn one_commit_id_at_two_processes_and_a_lost_answer() {
    assert!(explored("one commit id at two processes and a lost answer").runs > 10_000);
}

#[test]
fn one_commit_id_at_two_processes_and_a_crash() {
    assert!(explored("one commit id at two processes and a crash").runs > 10_000);
}

#[test]
fn one_commit_id_at_two_processes_of_a_stream_that_pages_and_a_lost_answer() {
    assert!(
        explored("one commit id at two processes, of a stream that pages, and a lost answer").runs > 10_000
    );
}

#[test]
fn commits_each_behind_the_one_before_and_a_lost_answer() {
    assert!(explored("commits each behind the one before and a lost answer").runs > 10_000);
}

#[test]
fn commits_each_behind_the_one_before_and_a_crash() {
    assert!(explored("commits each behind the one before and a crash").runs > 100_000);
}

#[test]
fn every_case_of_the_suite_is_a_test() {
    let this = include_str!("exhaustive.rs");
    for case in cases::all() {
        assert!(this.contains(&format!("explored(\"{}\")", case.name)), "{} is not explored", case.name);
    }
}

/// A repeat found its commit standing, could not publish it in time, and said that nothing was committed.
#[test]
fn a_repeat_that_cannot_be_published_is_pending() {
    let story = taken("one commit each, a crash and a slow answer", "a1 a2 a!new c1 c+");
    assert!(
        story.contains("c's caller hears of a1: it is version 1, a repeat, its publication pending"),
        "{story}"
    );
}

/// The request of a dead process is still in the air when its caller asks again, and arrives between the two.
#[test]
fn a_write_that_arrives_late_is_found_by_its_repeat() {
    let story = taken("two writers and a crash", "a1 a!new c1 ^a2 c2");
    assert!(story.contains("c2     PUT heads/tally/1: head at 1, 1=a1, if absent -> 412"), "{story}");
    assert!(story.contains("c's caller hears of a1: it is version 1, a repeat\n"), "{story}");
}

#[test]
fn a_bucket_without_conditions_is_found_out_and_its_path_leads_there_again() {
    let case = cases::two_by_two("two writers on a bucket without conditions").without_conditions();
    let broken = explore(&case).expect_err("H1 cannot hold");
    assert!(broken.wrong.iter().any(|wrong| wrong.starts_with("H1 (one history)")), "{broken}");
    let again = replay(&case, &broken.path).expect_err("it is a function of its path");
    assert_eq!((&again.wrong, &again.story), (&broken.wrong, &broken.story));
    assert!(broken.to_string().contains(&format!("replay(&case, \"{}\")", broken.path)), "{broken}");
}

#[test]
fn a_choice_that_is_not_to_be_had_is_said_so() {
    let case = cases::two_by_two("two writers");
    for path in ["a9", "a!", "^a1", "c1", "a1?", "nonsense"] {
        assert!(replay(&case, path).is_err(), "{path}");
    }
}
