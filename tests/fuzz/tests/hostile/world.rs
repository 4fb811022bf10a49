//! What the targets share: a world in memory, in which time is paused and nothing fails.

use std::{future::poll_fn, pin::pin, sync::Arc};

use archiver::{
    archive::{Archiver, Bounds},
    replay::{Replay, Replayed},
};
use futures::TryStreamExt;
use headwater::{
    Version,
    format::commit::Commit,
    memory::{MemoryObjects, World},
    port::{Arrival, Sequence},
};
use jiff::Timestamp;
use tokio::runtime::Builder;

/// Most polls of one document's work: what ends at all ends long before.
const POLLS: u64 = 200_000;

pub(crate) const STREAM: &str = "bank";
pub(crate) const SHARD: &str = "shardId-000000000000";

/// Runs to the end, in paused time. Work that goes on for ever fails here, not by the clock.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let mut work = pin!(work);
    let mut polls = 0;
    runtime.block_on(poll_fn(move |context| {
        polls += 1;
        assert!(polls < POLLS, "it does not come to an end");
        work.as_mut().poll(context)
    }))
}

/// An archiver of a bucket of its own.
pub(crate) fn archiver(world: &World) -> (Arc<MemoryObjects>, Archiver) {
    let bucket = Arc::new(MemoryObjects::new(world.clock.clone()));
    let archiver = Archiver::new(world.ports(), bucket.clone(), STREAM, Bounds::default());
    (bucket, archiver)
}

/// All that an archive holds.
pub(crate) async fn replay(
    world: &World,
    bucket: &Arc<MemoryObjects>,
) -> Result<Vec<Replayed>, archiver::chain::ChainError> {
    Replay::new(bucket.clone(), world.entropy.clone(), STREAM).commits().try_collect().await
}

/// A record of the shard, as it arrives.
pub(crate) fn arrival(number: u64, data: &[u8]) -> Arrival {
    Arrival {
        shard: SHARD.to_owned(),
        sequence: Sequence::try_from(format!("4965{number:052}")).expect("digits"),
        at: "2026-11-21T19:30:00.5Z".parse::<Timestamp>().expect("a time"),
        key: "account/42".to_owned(),
        data: data.to_vec().into(),
    }
}

/// Commits that follow one another from `next` on, each as long as it has events.
pub(crate) fn is_whole(commits: &[Arc<Commit>], mut next: Version) {
    for commit in commits {
        assert_eq!(commit.first, next, "{commits:?}");
        assert_eq!(commit.last.get() - commit.first.get() + 1, commit.events.len() as u64);
        assert_eq!(commit.versioned().last().map(|(version, _)| version), Some(commit.last));
        assert!(commit.last < commit.last.next(), "nothing can follow {}", commit.last);
        next = commit.last.next();
    }
}
