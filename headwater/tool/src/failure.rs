//! Why a command ended early, what to do next, and the exit code.
//!
//! A failure is one line on stderr that names the next step. A reader that has gone (`| head`) is no failure to anybody:
//! the command ends quietly and with success.

use std::{io, process::ExitCode};

use archiver::{chain::ChainError, rebuild};
use headwater::{
    StoreError, StreamId, Version,
    consume::RebuildError,
    port::{LogError, ObjectError},
};

use crate::target::Unreachable;

/// What the help says of exit codes.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 not done (the last line on stderr says why and what to do next), \
     2 a usage error, 3 audited without a finding, but not everything that exists could be checked";

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody reads the output any more: a quiet end.
    #[error("nobody reads the output any more")]
    Closed,
    /// The output can't be written for another reason.
    #[error("the output can't be written: {0}")]
    Output(#[source] io::Error),
    /// The store is not there, or does not let us in.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Somebody stopped it.
    #[error("stopped before it was done: nothing was checked")]
    Stopped,
    /// The stream that was asked for does not exist.
    #[error("there is no stream {stream} in bucket {bucket}: check the name, or give --store")]
    NoStream {
        /// The stream.
        stream: StreamId,
        /// The bucket.
        bucket: String,
    },
    /// The archive has nothing that came by that stream.
    #[error("the archive {archive} has nothing of the stream {stream}: check --stream and --archive")]
    NotArchived {
        /// The stream of Kinesis.
        stream: String,
        /// The archive's bucket.
        archive: String,
    },
    /// Heads are replaced, and nothing of an archive is.
    #[error("the archive must be another bucket than the store, {store}: give another --archive")]
    OneBucket {
        /// The bucket.
        store: String,
    },
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket could not.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The stream could not.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The archive can't be read.
    #[error(transparent)]
    Archive(#[from] ChainError),
    /// The archive can't be read, or the views not be written: the projection was not rebuilt.
    #[error("{}", not_rebuilt(.0))]
    NotRebuilt(#[from] rebuild::Error),
    /// The projection refuses the stream still.
    #[error(
        "{stream} is parked again in {place}, at version {version}: {error}; mend the projection and build this tool with it"
    )]
    ParkedAgain {
        /// Projection and key of the view.
        place: String,
        /// The stream.
        stream: StreamId,
        /// The version of the event that can't be applied.
        version: Version,
        /// What went wrong.
        error: String,
    },
    /// A version parked the stream that did not keep its settings.
    #[error(
        "not unparked: {stream} was parked by a version that kept no settings with it: give --expire-after, the stack's ExpireAfter"
    )]
    NoSettings {
        /// The stream.
        stream: StreamId,
    },
    /// Nothing was found, and not everything was looked at.
    #[error(
        "not everything was checked: no code here for {0}; audit with the application's own build, where a check covers them"
    )]
    Unchecked(String),
    /// Anything else, in its own words.
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

fn not_rebuilt(error: &rebuild::Error) -> String {
    let (what, serves) = match error {
        rebuild::Error::Rebuild(RebuildError::Unswitched { .. }) => {
            ("not done", "one of both generations serves, whole")
        }
        _ => ("not rebuilt", "the old views serve as before"),
    };
    format!("{what}: {error}; {serves}, run it again (--resume goes on with what exists)")
}

impl Failure {
    /// The exit code that says so.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Closed => ExitCode::SUCCESS,
            Self::Unchecked(_) => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Output(error) }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
