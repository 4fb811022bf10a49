//! Loading: a state from its snapshot and the events after it.
//!
//! A snapshot of another schema, or one that does not decode, is passed over: the events are the truth. One that does not fit
//! them is dropped from the head as soon as that is read (`commit/cache.rs`).

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde_json::value::to_raw_value;

use crate::{
    aggregate::Aggregate,
    commit::State,
    error::StoreError,
    event::{EventError, StoredEvent},
    format::{
        commit::Commit,
        head::{Head, Snapshot},
        key,
    },
    id::{StreamId, Version},
    limits,
    read::Reader,
    redact::{json_fault, panic_words},
    schema::Schemas,
};

/// An aggregate's state in the cache.
pub(crate) struct Folded<A>(pub(crate) A);

impl<A: Aggregate> State for Folded<A> {
    fn any(&self) -> &dyn Any {
        &self.0
    }

    fn schema(&self) -> u32 {
        A::SCHEMA
    }

    fn snapshot(&self, version: Version) -> Option<Snapshot> {
        let state = to_raw_value(&self.0).ok().filter(|state| state.get().len() <= limits::SNAPSHOT_BYTES)?;
        Some(Snapshot { schema: A::SCHEMA, version, state, binding: None })
    }
}

/// The state at `version`, which is where a commit ends.
pub(crate) async fn fold<A: Aggregate>(
    reader: &Reader,
    head: &Head,
    version: Version,
) -> Result<A, StoreError> {
    let (mut state, after) = start(head, version);
    if after < version {
        let commits = reader.commits(head, after).await?;
        evolve(&mut state, &head.stream, commits.iter().filter(|commit| commit.last <= version))?;
    }
    Ok(state)
}

/// Where to begin: at the snapshot, or with nothing.
fn start<A: Aggregate>(head: &Head, version: Version) -> (A, Version) {
    let usable = |snapshot: &&Snapshot| snapshot.schema == A::SCHEMA && snapshot.version <= version;
    let Some(snapshot) = head.snapshot.as_ref().filter(usable) else { return (A::default(), Version::ZERO) };
    match serde_json::from_str(snapshot.state.get()) {
        Ok(state) => (state, snapshot.version),
        Err(error) => {
            let error = json_fault(&error);
            tracing::warn!(stream = %head.stream, error, "a snapshot does not decode: folding the events");
            (A::default(), Version::ZERO)
        }
    }
}

/// Folds commits into a state.
pub(crate) fn evolve<'a, A: Aggregate>(
    state: &mut A,
    stream: &StreamId,
    commits: impl IntoIterator<Item = &'a Arc<Commit>>,
) -> Result<(), StoreError> {
    for event in events::<A>(stream, commits)? {
        guard(stream, || state.evolve(&event))?;
    }
    Ok(())
}

/// The typed events of commits. One that a newer version of the domain wrote is not decided upon here: nothing is corrupt.
pub(crate) fn events<'a, A: Aggregate>(
    stream: &StreamId,
    commits: impl IntoIterator<Item = &'a Arc<Commit>>,
) -> Result<Vec<A::Event>, StoreError> {
    let versioned = commits.into_iter().flat_map(|commit| commit.versioned());
    let decode = |(version, event): (Version, &StoredEvent)| {
        guard(stream, || Schemas::of::<A>().decode(event))?.map_err(|error| match error {
            EventError::Newer { name: event, schema, newest } => {
                StoreError::NewerSchema { stream: stream.clone(), version, event, schema, newest }
            }
            EventError::Unfit { .. } => {
                let reason = format!("version {version}: {error}");
                StoreError::Corrupt { key: key::head(stream), reason }
            }
        })
    };
    versioned.map(decode).collect()
}

/// Runs a domain's code: a panic in it is an error of that stream, and of nothing else.
pub(crate) fn guard<T>(stream: &StreamId, run: impl FnOnce() -> T) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let reason = format!("its aggregate panicked: {}", panic_words(&*panic));
        StoreError::Corrupt { key: key::head(stream), reason }
    })
}
