//! The world behind ports: [`Objects`] is S3, [`Log`] is Kinesis, [`Clock`] and [`Entropy`] are time and chance.
//!
//! Each port has an implementation [`in memory`](crate::memory) and one [on AWS](crate::aws), held to the same contract by
//! one conformance suite (`tests/conformance.rs`). Waiting is `tokio::time`'s, so that a paused clock drives it.

mod listing;
mod log;
mod objects;
mod world;

pub use self::{
    listing::{Keys, Listed, Listing, Token, any, folders, pages},
    log::{
        Arrival, Batch, Cursor, Digits, Entry, EntryError, Log, LogError, Position, Sequence, Shard, Start,
    },
    objects::{ETag, Got, ObjectError, Objects, Precondition},
    world::{Clock, Entropy, SystemClock, SystemEntropy, backoff},
};

use std::sync::Arc;

use crate::identity::IdentitySource;

/// All that the library knows of the world.
#[derive(Clone)]
pub struct Ports {
    /// The store's bucket.
    pub objects: Arc<dyn Objects>,
    /// The stream that commits are published to.
    pub log: Arc<dyn Log>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Which store this is: records of another one change nothing.
    pub identity: IdentitySource,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}
