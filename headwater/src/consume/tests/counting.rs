//! Metrics: what a consumer counts, once its view stands.

use std::{collections::HashMap, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::{Bench, Event, arrival, plain, raw, record, stream};
use crate::{
    memory::{Fault, Operation},
    metric::{APPLIED, HEALED, LAG, PARKED},
    port::{Arrival, ObjectError},
    schema::Schemas,
};

/// What was counted since the last look, and the times in milliseconds.
fn counted(snapshotter: &Snapshotter) -> ([u64; 3], Vec<f64>) {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let snapshot: HashMap<String, DebugValue> =
        snapshot.map(|(key, _, _, value)| (key.key().name().to_owned(), value)).collect();
    let counts = [APPLIED, HEALED, PARKED].map(|name| match snapshot.get(name) {
        Some(DebugValue::Counter(count)) => *count,
        _ => 0,
    });
    let lags = match snapshot.get(LAG) {
        Some(DebugValue::Histogram(lags)) => lags.iter().map(|lag| lag.into_inner()).collect(),
        _ => Vec::new(),
    };
    (counts, lags)
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_healed_by_as_many_commits_as_no_record_brought() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (bench, snapshotter) = (Bench::new(), recorder.snapshotter());
    let (account, commits) = (stream("account/a-1"), plain(6));
    bench.store(&account, &commits, 0);
    let projector = bench.projector();
    projector.project(&[record(1, &account, &commits[..2])]).await;
    assert_eq!(counted(&snapshotter).0, [2, 0, 0]);
    projector.project(&[record(2, &account, &commits[5..])]).await;
    assert_eq!(counted(&snapshotter).0, [4, 4, 0]);
    projector.project(&[record(2, &account, &commits[5..])]).await;
    assert_eq!(counted(&snapshotter).0, [0, 0, 0], "a repeat is skipped");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_parked_once_and_what_is_behind_it_is_not_applied() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (bench, snapshotter) = (Bench::new(), recorder.snapshotter());
    let refused = Schemas::FIRST.encode(&Event::Refused).expect("encodes");
    let added = || raw("Added", "1");
    let commits = super::history([vec![added()], vec![refused], vec![added()]]);
    let account = stream("account/a-1");
    let projector = bench.projector();
    // The first write is lost: what it would have counted is counted with the one that stands.
    let lost = ObjectError::Unknown("lost".into());
    bench.objects.faults().script(Operation::Put, [Fault::Before(lost)]);
    projector.project(&[record(1, &account, &commits)]).await;
    assert_eq!(counted(&snapshotter).0, [1, 0, 1]);
    projector.project(&[record(2, &account, &commits[2..])]).await;
    assert_eq!(counted(&snapshotter).0, [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_record_of_a_batch_tells_the_lag_at_its_end() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let (bench, snapshotter) = (Bench::new(), recorder.snapshotter());
    let (account, commits) = (stream("account/a-1"), plain(2));
    let came = |number: u64, seconds_ago: i64, data: &Arrival| Arrival {
        at: bench.ports.clock.now() - jiff::SignedDuration::from_secs(seconds_ago),
        ..arrival(number, data.data.clone())
    };
    let batch =
        [came(1, 9, &record(1, &account, &commits[..1])), came(2, 3, &record(2, &account, &commits[1..]))];
    bench.projector().project(&batch).await;
    assert_eq!(counted(&snapshotter).1, [9_000.0]);
    let ahead = [came(3, -5, &record(3, &account, &commits))];
    bench.projector().project(&ahead).await;
    assert_eq!(counted(&snapshotter).1, [0.0], "a clock that is ahead");
    tokio::time::advance(Duration::from_secs(1)).await;
    bench.projector().project(&[]).await;
    assert_eq!(counted(&snapshotter).1, [0.0; 0]);
}
