//! What can go wrong, in few kinds, each naming the caller's next step.

use crate::{
    format::FormatError,
    id::{CommitId, InvalidName, StreamId, Version},
    port::{LogError, ObjectError},
};

/// Why the store did not do as asked. What a command's domain refuses is [`ExecuteError::Rejected`](crate::ExecuteError).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else committed first, or the stream is not at the expected version: load again and decide again.
    #[error("{stream} is at version {actual}{}", expected.map_or(String::new(), |v| format!(", not {v}")))]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that the caller expected, if it did.
        expected: Option<Version>,
        /// The version that the stream is at.
        actual: Version,
    },
    /// Another stream holds a value that is unique: choose another one.
    #[error("the {set} {value} is taken")]
    Taken {
        /// The set of unique values, as `username`.
        set: &'static str,
        /// The value.
        value: String,
    },
    /// The commit id names a commit with other content: nothing was done now, and what that commit did was done before. Use
    /// another id.
    #[error("commit id {commit} of {stream} was used before, for other content")]
    Reused {
        /// The stream.
        stream: StreamId,
        /// The commit id.
        commit: CommitId,
    },
    /// The request breaks a rule or a limit: mend it.
    #[error("{field} {rule}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// The rule, with its limit.
        rule: String,
    },
    /// Whether the commit stands could not be learned before the deadline: retry with the same commit id, which commits
    /// once (H8).
    #[error(
        "whether commit {commit} of {stream} stands is unknown: retry with the same commit id ({reason})"
    )]
    Unknown {
        /// The stream.
        stream: StreamId,
        /// The commit.
        commit: CommitId,
        /// What happened.
        reason: String,
    },
    /// A service does not answer, or refuses: nothing was committed; back off and retry.
    #[error("nothing was committed: {0}")]
    Unavailable(String),
    /// What is stored is not what this library wrote: stop and look.
    #[error("{key} is corrupt: {reason}")]
    Corrupt {
        /// The object's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn corrupt(key: impl Into<String>, error: &FormatError) -> Self {
        Self::Corrupt { key: key.into(), reason: error.to_string() }
    }
}

impl From<InvalidName> for StoreError {
    fn from(InvalidName { field, rule }: InvalidName) -> Self {
        Self::Invalid { field, rule }
    }
}

impl From<ObjectError> for StoreError {
    fn from(error: ObjectError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
