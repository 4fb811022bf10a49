//! S3, as far as the store needs it: objects replaced by compare-and-swap.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

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

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When S3 stored it, by S3's clock.
    pub modified: Timestamp,
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

    /// Writes an object if the precondition holds, and tells the new version.
    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError>;

    /// Deletes an object if that version stands. A missing object is [`ObjectError::Precondition`].
    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError>;

    /// Up to 1,000 objects whose keys begin with `prefix` and are greater than `after`, in the order of their keys as
    /// bytes. Fewer than 1,000 may come although there are more; none come only if there are no more.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, ObjectError>;
}
