//! A segment: its footer, its spans and its commits, and what replay and a cold archiver make of it.

use archiver::{
    place::shard_prefix,
    segment::{Segment, Span, encode},
};
use bytes::Bytes;
use fuzz::hunt::Memory;
use headwater::{
    Schemas,
    memory::World,
    port::{Arrival, Sequence},
};
use serde::de::IgnoredAny;

use crate::world::{STREAM, archiver, arrival, replay, run};

/// A decoder of Parquet reserves by what a file says of itself, so that the bound is the one that a segment is held to
/// before it is decoded, and not one by its length.
pub(crate) const MEMORY: Memory = Memory { at_least: 64 << 20, per_byte: 1_024 };

pub(crate) fn holds(document: &[u8]) {
    let Ok(segment) = Segment::open(Bytes::copy_from_slice(document)) else { return };
    let footer = segment.footer().clone();
    let (spans, commits) = (segment.spans(), segment.commits());
    let events = segment.events::<IgnoredAny>(Schemas::FIRST, |_, _| true).map(|events| events.len() as u64);
    if let Ok(commits) = &commits {
        assert_eq!(events, Ok(footer.rows), "events are those of the commits");
        let told: Vec<Span> = commits.iter().map(Span::from).collect();
        assert_eq!(spans.as_ref(), Ok(&told), "spans are those of the commits");
        let written = encode(&footer, commits).expect("what was read can be written");
        let again = Segment::open(written).expect("and read again");
        assert_eq!(
            (again.footer(), again.commits()),
            (&footer, Ok(commits.clone())),
            "it comes back as it was"
        );
    }
    run(async {
        let world = World::new(1);
        let (bucket, archiver) = archiver(&world);
        let key = footer.place.key(&shard_prefix(STREAM, &footer.shard));
        bucket.insert(&key, document.to_vec());
        if let Ok(found) = replay(&world, &bucket).await {
            assert_eq!(Ok(found.len()), commits.as_ref().map(Vec::len));
        }
        // One record more, after all that the segment covers.
        let after = Sequence::try_from(format!("9{}", "0".repeat(128))).expect("digits");
        let record = Arrival { shard: footer.shard.clone(), sequence: after, ..arrival(1, b"no commit") };
        let _ = archiver.archive(&footer.shard, &[record]).await;
    });
}
