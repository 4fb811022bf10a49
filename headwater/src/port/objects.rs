//! S3, as far as the store needs it: objects replaced by compare-and-swap.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::listing::{Keys, Listed, Listing, Token};
use crate::reason::Reason;

/// What S3 calls a version of an object's bytes: opaque, compared and sent back only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// When a write may happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Precondition {
    /// Only where no object stands: `If-None-Match: *`.
    Absent,
    /// Only where this version stands: `If-Match`.
    Matches(ETag),
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Got {
    /// No object stands there.
    Missing,
    /// The object is the one that the reader has already; no body was sent.
    Unchanged,
    /// The object.
    Found {
        /// Its bytes.
        body: Bytes,
        /// Its version.
        etag: ETag,
        /// When S3 stored it, by S3's clock, in whole seconds rounded down.
        modified: Timestamp,
    },
}

/// Why an operation was not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// 412, or 404 for an `If-Match`: another version stands there, perhaps our own, whose answer was lost.
    #[error("the precondition does not hold")]
    Precondition,
    /// 409: another conditional write of the key was in flight; nothing happened.
    #[error("another conditional write was in flight")]
    InFlight,
    /// A time-out, a lost connection, throttling or a 5xx: whether a write happened is unknown.
    #[error("S3 did not answer: {0}")]
    Unknown(#[source] Reason),
    /// S3 understood and refused, as for a missing bucket or permission; nothing happened, and a repeat will not help: the
    /// operator must act.
    #[error("S3 refused: {0}")]
    Refused(#[source] Reason),
}

/// A bucket.
///
/// # Contract
///
/// - A write is atomic: readers see the old bytes or the new, whole.
/// - Of several writes with the same precondition at most one succeeds.
/// - A read that begins after a write was answered sees it, or a later one; a listing as well.
/// - A listing is whole when a page names no next one. An object that is there from its first page to its last is in just one
///   of them; pages, and objects in them, come in no order, and an empty page need not be the last.
/// - No two writes of different bytes to one key give the same [`ETag`].
/// - What is stored after [`Objects::now`] was answered has a time of storing that is not before that answer, as far as
///   the clocks within S3 agree.
/// - [`ObjectError::Precondition`], [`ObjectError::InFlight`] and [`ObjectError::Refused`] mean that *this attempt* did
///   nothing; after [`ObjectError::Unknown`] it may have happened, or happen yet.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// What time it is by S3's own clock, in whole seconds rounded down.
    async fn now(&self) -> Result<Timestamp, ObjectError>;

    /// Reads an object, unless its version is `known`.
    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError>;

    /// Writes an object if the precondition holds, and tells the new version. No bytes are refused: where S3 has no conditional
    /// DELETE, an empty object says that nothing is there.
    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError>;

    /// Deletes an object if that version stands. A missing object is [`ObjectError::Precondition`].
    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError>;

    /// One page of the objects that `keys` are for: the first, or the one that a token of the same listing names.
    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError>;

    /// All objects that `keys` are for, in the order of their keys as bytes: where they are few, for they are held in memory
    /// at once, and no page is asked for again.
    async fn list_all(&self, keys: &Keys) -> Result<Vec<Listed>, ObjectError> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let Listing { objects, next } = self.list(keys, from.as_ref()).await?;
            all.extend(objects);
            if next.is_none() {
                all.sort_by(|one: &Listed, other| one.key.cmp(&other.key));
                return Ok(all);
            }
            from = next;
        }
    }
}
