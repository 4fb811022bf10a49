//! Four service processes race on ten accounts: conflicts happen, none is lost, and no balance is wrong.

#![allow(clippy::expect_used, reason = "a test")]

use headwater_tests::{assert_every_invariant, cluster, plan};
use headwater_tool::drive::drive;
use indicatif::ProgressBar;

#[tokio::test(flavor = "multi_thread")]
async fn racing_processes_lose_nothing_and_never_pass_the_overdraft_limit() {
    let cluster = cluster(2).await;
    let driven =
        drive(plan(&cluster, 10, 7), 1_000, &ProgressBar::hidden()).await.expect("every command is answered");

    let lost_races = cluster.aws().counts().of_status("s3:PutObject", 412).requests;
    assert!(lost_races > 0, "nothing raced");
    assert!(driven.counts.rejected > 0, "the overdraft limit was never met");
    assert!(driven.counts.repeats > 0, "nothing was repeated");
    let found = assert_every_invariant(&cluster, &driven).await;
    assert_eq!(found.evidence.commits(), driven.counts.committed);
    assert!(cluster.stop(headwater_tests::PATIENCE).await);
}
