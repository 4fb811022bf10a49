//! What can go wrong, in few kinds, each naming the caller's next step.

use crate::{
    format::{FormatError, key},
    id::{CommitId, InvalidName, StreamId, Version},
    port::{LogError, ObjectError},
    reason::Reason,
};

/// Why the store did not do as asked. What a command's domain refuses is [`ExecuteError::Rejected`](crate::ExecuteError).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    #[error("a value of the set {set} is taken")]
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
        #[source]
        reason: Reason,
    },
    /// A service does not answer, or too much waits for it: what was asked was not done. Back off and retry.
    #[error("unavailable: {0}")]
    Unavailable(#[source] Reason),
    /// A service refuses, as for a right, a bucket or a key that is not there: what was asked was not done, and a retry
    /// changes nothing. Ask the operator; the words say what to look at.
    #[error("denied: {0}")]
    Denied(#[source] Reason),
    /// A newer version of the domain wrote an event: nothing was decided. Deploy that version here as well; a retry helps
    /// once it runs.
    #[error(
        "{stream}@{version} cannot be read here: schema {schema} of {event} is newer than {newest}, the newest that is known \
         here; deploy the version that wrote it here as well"
    )]
    NewerSchema {
        /// The stream.
        stream: StreamId,
        /// The event's version.
        version: Version,
        /// The event's type.
        event: String,
        /// Its schema number.
        schema: u32,
        /// The newest that is known.
        newest: u32,
    },
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
        Self::Corrupt { key: key::shown(&key.into()).into_owned(), reason: error.to_string() }
    }
}

impl From<InvalidName> for StoreError {
    fn from(InvalidName { field, rule }: InvalidName) -> Self {
        Self::Invalid { field, rule }
    }
}

impl From<ObjectError> for StoreError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Refused(_) => Self::Denied(error.into()),
            ObjectError::Precondition | ObjectError::InFlight | ObjectError::Unknown(_) => {
                Self::Unavailable(error.into())
            }
        }
    }
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Refused(_) => Self::Denied(error.into()),
            LogError::Unknown(_) | LogError::Expired => Self::Unavailable(error.into()),
        }
    }
}

/// Why a command is [`StoreError::Unavailable`] that waited until its deadline: found as its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlinePassed;
