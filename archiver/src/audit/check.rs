//! What else an audit looks at: a domain's own promises, and what only the domain's code can judge.
//!
//! A check says what it has the code of ([`Check::covers`]). What exists beside that is named by the audit as unchecked: no
//! finding is then no clean bill.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use async_trait::async_trait;
use headwater::{StoreError, StreamId, invariants::History, port::Ports, read::Reader};
use serde::Serialize;

use super::Finding;

/// A part of a store that only somebody with the domain's code can check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What the events of streams of this kind make, and the snapshots that say so.
    Streams(String),
    /// The views of this projection; or how far this process has come, and its timers.
    Views(String),
    /// The claims of this set.
    Claims(String),
}

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Streams(kind) => write!(f, "states of kind {kind}"),
            Self::Views(name) => write!(f, "views or progress of {name}"),
            Self::Claims(set) => write!(f, "claims of {set}"),
        }
    }
}

/// A check of every stream, beside those that the audit makes itself. Streams come in no certain order, some at a time.
///
/// ```
/// use archiver::audit::{Finding, What, check::Check};
/// use headwater::{StoreError, invariants::History, read::Reader};
///
/// /// No stream is longer than a thousand events.
/// struct Short;
///
/// #[async_trait::async_trait]
/// impl Check for Short {
///     async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
///         let long = history.head.version.get() > 1_000;
///         let found = || Finding::new(What::Domain, &history.head.stream, "it is too long");
///         Ok(long.then(found).into_iter().collect())
///     }
/// }
/// ```
#[async_trait]
pub trait Check: Send + Sync {
    /// What it has the code of, claims aside.
    fn covers(&self) -> Vec<Part> {
        Vec::new()
    }

    /// Whether it judges the claims of this stream: all that the stream's state holds, and those that it held once.
    fn judges(&self, _owner: &StreamId) -> bool {
        false
    }

    /// Told of every stream that has a head, before one is read.
    fn begin(&self, _streams: &[StreamId]) {}

    /// Looks at one stream, as S3 holds it. `old`: its newest write is older than the grace, so that nothing of it may be
    /// behind any more. Something corrupt that is read on the way is a finding; other errors end the audit.
    async fn stream(&self, reader: &Reader, history: &History, old: bool)
    -> Result<Vec<Finding>, StoreError>;

    /// What is found once every stream has been looked at. With `repair` it is mended there, where that can be done while
    /// writers go on. Something corrupt is a finding here too, in place of all others of this check.
    async fn end(&self, _: &Reader, _repair: Option<&Ports>) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }

    /// What was counted, for the summary.
    fn counts(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}
