//! The states of an aggregate: every event can be folded, and a snapshot says what its events say.
//!
//! A snapshot that does not fit the events of its head is passed over by every load, and replaced by the next write. One that
//! fits and says something else was made by code that folded otherwise: an `evolve` that was changed without a new
//! [`Aggregate::SCHEMA`]. A new number makes every load fold the events.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use headwater::{Aggregate, StoreError, evidence, format::key, invariants::History, read::Reader};
use serde_json::Value;

use super::{
    Finding, What,
    check::{Check, Part},
    differ::places,
};

/// The states of `A`.
#[derive(Debug)]
pub struct States<A> {
    snapshots: AtomicU64,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Default for States<A> {
    fn default() -> Self {
        Self { snapshots: AtomicU64::default(), aggregate: PhantomData }
    }
}

#[async_trait]
impl<A: Aggregate> Check for States<A> {
    fn covers(&self) -> Vec<Part> {
        vec![Part::Streams(A::KIND.to_owned())]
    }

    async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
        let head = &history.head;
        if head.stream.kind() != A::KIND {
            return Ok(Vec::new());
        }
        evidence::state::<A>(history)?;
        let Some(snapshot) = head.snapshot.as_ref().filter(|snapshot| snapshot.schema == A::SCHEMA) else {
            return Ok(Vec::new());
        };
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        let version = snapshot.version;
        let finding = |found: String| vec![Finding::new(What::Snapshot, key::head(&head.stream), found)];
        if snapshot.binding.is_some() && !snapshot.fits(head) {
            return Ok(finding(format!(
                "the snapshot at {version} was not made from these events: loads fold them, the next write replaces it"
            )));
        }
        let json = |cause: serde_json::Error| StoreError::Corrupt {
            key: key::head(&head.stream),
            reason: cause.to_string(),
        };
        let state = serde_json::to_value(evidence::state_at::<A>(history, version)?).map_err(json)?;
        let says: Value = serde_json::from_str(snapshot.state.get()).map_err(json)?;
        Ok(if says == state {
            Vec::new()
        } else {
            finding(format!(
                "the snapshot at {version} is not what its events make: {}",
                places(&says, &state)
            ))
        })
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let snapshots = self.snapshots.load(Ordering::Relaxed);
        BTreeMap::from([(format!("snapshots of {}", A::KIND), snapshots)])
    }
}
