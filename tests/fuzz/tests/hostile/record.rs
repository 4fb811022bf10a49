//! A record: decoded, archived between two others, and taken in by projections.

use std::sync::Arc;

use archiver::segment::unstorable;
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::{
    StreamId,
    consume::{Projection, Projector},
    format::{commit::Commit, identity, record::Record},
    memory::{self, World},
    port::Arrival,
};
use jiff::Timestamp;

use crate::world::{archiver, arrival, is_whole, replay, run};

const OTHER: &str = r#"{"format":1,"kind":"other","stream":"other/1","types":["A"],"commits":[{"id":"o","first":VERSION,"last":VERSION,"at":"2026-11-21T19:30:00Z","events":[{"type":"A","schema":1,"data":null}],"meta":{}}]}"#;

pub(crate) fn holds(document: &[u8]) {
    let decoded = Record::decode(document).ok();
    if let Some(record) = &decoded {
        let written = record.encode().expect("what was read can be written");
        assert_eq!(Record::decode(&written).as_ref(), Ok(record), "it comes back as it was");
        assert_eq!(record.kind, record.stream.kind());
        is_whole(&record.commits, record.commits[0].first);
    }
    let other = |version: &str| OTHER.replace("VERSION", version).into_bytes();
    let batch = [arrival(1, &other("1")), arrival(2, document), arrival(3, &other("2"))];
    // Another store's goes to quarantine, and changes nothing.
    let ours = decoded.filter(|record| identity::check(memory::identity().known(), record).is_ok());
    run(is_archived(&batch, ours.as_ref()));
    run(is_projected(&batch, ours.as_ref()));
}

/// Every record ends in the archive or in quarantine, and what is in the archive is what was sent (H10).
async fn is_archived(batch: &[Arrival], decoded: Option<&Record>) {
    let world = World::new(1);
    let (bucket, archiver) = archiver(&world);
    let outcome = archiver.archive(&batch[0].shard, batch).await.expect("a hostile record stops nothing");
    let storable = decoded.filter(|record| !record.commits.iter().any(|commit| unstorable(commit).is_some()));
    assert_eq!(outcome.quarantined, u64::from(storable.is_none()));
    assert_eq!(bucket.all("quarantine/").len(), usize::from(storable.is_none()));
    let found = replay(&world, &bucket).await.expect("replays");
    let found: Vec<(StreamId, Commit)> =
        found.into_iter().map(|one| (one.archived.stream, (*one.archived.commit).clone())).collect();
    let mut sent = Vec::new();
    let ours = memory::identity();
    for record in batch.iter().filter_map(|arrival| Record::decode_of(&arrival.data, ours.known()).ok()) {
        if storable.is_some() || record.stream.as_str() == "other/1" {
            sent.extend(record.commits.iter().map(|commit| (record.stream.clone(), in_milliseconds(commit))));
        }
    }
    if decoded.is_none_or(|record| record.stream.as_str() != "other/1") {
        assert_eq!(found, sent);
    }
}

/// A stored time has milliseconds.
fn in_milliseconds(commit: &Arc<Commit>) -> Commit {
    let at = Timestamp::from_millisecond(commit.at.as_millisecond()).expect("a time");
    Commit { at, ..(**commit).clone() }
}

/// A projection takes it in, or parks the stream with a reason; it never panics.
async fn is_projected(batch: &[Arrival], decoded: Option<&Record>) {
    let world = World::new(1);
    let ports = world.ports();
    let balances = Projector::new(Balances, &ports);
    let limits = Projector::forwarding(CreditLimits, &ports, Arc::clone(&ports.log));
    assert!(balances.project(batch).await.is_empty(), "nothing has to come again");
    assert!(limits.project(batch).await.is_empty(), "nothing has to come again");
    let Some(record) = decoded else { return };
    is_parked_with_a_reason(&balances, &record.stream).await;
    is_parked_with_a_reason(&limits, &record.stream).await;
}

async fn is_parked_with_a_reason<P: Projection>(projector: &Projector<P>, stream: &StreamId) {
    if let Some(key) = projector.projection().key(stream) {
        let view = projector.query(&key, None).await.expect("a view");
        let panicked = view.parked.values().find(|parked| parked.error.contains("panicked"));
        assert_eq!(panicked, None);
    }
}
