//! Two archivers on one stream with different batch boundaries, one of which is killed between a segment's PUT and its
//! answer, while other answers are lost: every commit is archived once (H10).

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use headwater_tests::{PATIENCE, assert_every_invariant, cluster, plan};
use headwater_tool::{
    cluster::{ARCHIVE, STREAM},
    drive::drive,
};
use indicatif::ProgressBar;
use localstack::{Fault, FunctionOptions, Gate, MappingOptions, Request, ResponseType};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn two_archivers_of_which_one_is_killed_archive_every_commit_once() {
    let cluster = cluster(1).await;
    let aws = cluster.aws();
    aws.function(FunctionOptions {
        name: "second".to_owned(),
        timeout: Duration::from_secs(5),
        ..cluster.function("archiver")
    });
    let second = aws.mapping(MappingOptions {
        batch_size: 3,
        response_type: ResponseType::ReportBatchItemFailures,
        ..MappingOptions::new(STREAM, "second")
    });
    let second = second.await.expect("a mapping");

    // Of the segments' PUTs, every fifth answer is lost; the eighth is held until its function is killed at its timeout.
    let (puts, never) = (AtomicU64::new(0), Gate::new());
    let held = never.clone();
    aws.on_request(move |request: &Request| {
        if request.operation != "s3:PutObject" || request.bucket.as_deref() != Some(ARCHIVE) {
            return Fault::Pass;
        }
        match puts.fetch_add(1, Ordering::Relaxed) {
            8 => Fault::HoldAfter(held.clone()),
            put if put.is_multiple_of(5) => Fault::DropAfter,
            _ => Fault::Pass,
        }
    });
    let driven =
        drive(plan(&cluster, 30, 3), 600, &ProgressBar::hidden()).await.expect("every command is answered");
    timeout(PATIENCE, never.reached()).await.expect("a PUT was held");
    timeout(PATIENCE, second.drain()).await.expect("the second archiver catches up");

    let lost_races = aws.counts().of_status("s3:PutObject", 412).requests;
    assert!(lost_races > 0, "the archivers never raced");
    let found = assert_every_invariant(&cluster, &driven).await;
    assert!(found.segments > 8);
    never.release();
}
