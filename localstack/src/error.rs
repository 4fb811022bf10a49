//! Why the local AWS does not start.

use std::io;
use std::path::PathBuf;

/// Why the local AWS does not start; each names what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens there.
    #[error(
        "port {port} is taken: stop the program that listens there, or choose another port (0 takes a free one)"
    )]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },
    /// The port can't be opened for another reason.
    #[error("port {port} can't be opened")]
    Port {
        /// The port that was asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The data directory can't be read or written.
    #[error(
        "the data directory {directory} can't be used: check that it is writable and that no other process uses it"
    )]
    Data {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A bucket or stream was not created.
#[derive(Debug, thiserror::Error)]
#[error("{name} was not created: {reason}")]
pub struct CreateError {
    /// The bucket's or stream's name.
    pub name: String,
    /// What the service says.
    pub reason: String,
}
