//! Metrics: what the archiver counts of a segment that it wrote, and of none that another one did.

use headwater::memory::World;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::{
    lab::{SHARD, archiver, arrival, at, bucket, commit},
    *,
};
use crate::metric::{ARCHIVED_COMMITS, QUARANTINED, SEGMENT_BYTES, SEGMENTS, describe};

/// What was counted since the last look, and what was measured.
fn counted(snapshotter: &Snapshotter) -> ([u64; 3], Vec<f64>) {
    let snapshot = snapshotter.snapshot().into_vec();
    let value =
        |name: &str| snapshot.iter().find(|(key, ..)| key.key().name() == name).map(|(.., value)| value);
    let counts = [SEGMENTS, ARCHIVED_COMMITS, QUARANTINED].map(|name| match value(name) {
        Some(DebugValue::Counter(count)) => *count,
        _ => 0,
    });
    let sizes = match value(SEGMENT_BYTES) {
        Some(DebugValue::Histogram(sizes)) => sizes.iter().map(|size| size.into_inner()).collect(),
        _ => Vec::new(),
    };
    (counts, sizes)
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_counted_by_whoever_wrote_it() {
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    describe();
    let (world, snapshotter) = (World::new(1), recorder.snapshotter());
    let objects = bucket(&world);
    let noon = at("2026-11-21T12:00:00Z");
    let record = |number: u64| arrival(number, noon, "account/1", vec![commit(number, 1)]);
    let mut batch: Vec<Arrival> = (1..=4).map(record).collect();
    batch[1].data = "no commit".into();
    archiver(&world, objects.clone()).archive(SHARD, &batch).await.expect("archives");
    let (_, body) = objects.all("archive/").pop().expect("a segment");
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    let bytes = body.len() as f64;
    assert_eq!(counted(&snapshotter), ([1, 3, 1], vec![bytes]));
    archiver(&world, objects.clone()).archive(SHARD, &batch).await.expect("archives");
    assert_eq!(counted(&snapshotter), ([0, 0, 0], vec![]), "it stands already");
}
