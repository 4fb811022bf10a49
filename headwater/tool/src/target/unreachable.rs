//! Why the store can't be reached, each with the next step.

use headwater::{
    aws::ConnectError,
    identity::{self, Contradiction},
};
use localstack::{CreateError, StartError};

/// Why the store can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Nothing accepts connections there.
    #[error("nothing listens on {place}: start `headwater up` in another terminal, or give --endpoint")]
    Nobody {
        /// The endpoint.
        place: String,
    },
    /// No answer came, or none that can be read.
    #[error("{place} does not answer ({reason}): check the network, AWS_REGION and --endpoint")]
    Silent {
        /// The endpoint, or AWS.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The bucket or the stream does not exist.
    #[error(
        "there is no {what} {name} at {place}: create it, or give {flag}; on this machine `headwater up` creates it"
    )]
    Missing {
        /// `bucket` or `stream`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The endpoint, or AWS.
        place: String,
        /// The option that names it.
        flag: &'static str,
    },
    /// The credentials are not good for it.
    #[error(
        "{place} does not let you use {what} {name} ({code}): check AWS_PROFILE, or AWS_ACCESS_KEY_ID, \
         AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and what they are allowed"
    )]
    Forbidden {
        /// `bucket` or `stream`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The endpoint, or AWS.
        place: String,
        /// The service's code.
        code: String,
    },
    /// The service refuses for another reason.
    #[error("{place} refuses {what} {name}: {reason}")]
    Refused {
        /// `bucket` or `stream`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The endpoint, or AWS.
        place: String,
        /// What it said.
        reason: String,
    },
    /// The bucket is no store.
    #[error(
        "the bucket {name} at {place} is no store, for it has no store.json: give another --store, or make it one by \
         `headwater adopt`"
    )]
    NoStore {
        /// Its name.
        name: String,
        /// The endpoint, or AWS.
        place: String,
    },
    /// A name is missing that nothing else says.
    #[error("give {flag}: nothing says yet which one the store has")]
    Unnamed {
        /// The option.
        flag: &'static str,
    },
    /// The store has another stream or archive.
    #[error("{0}: leave --stream and --archive out, or give another --store")]
    Contradiction(#[from] Contradiction),
    /// Whose the store is can't be learned, or it can't be given an identity.
    #[error(transparent)]
    Identity(identity::CreateError),
    /// A variable is wrong.
    #[error("{name}: {rule}")]
    Endpoint {
        /// The variable.
        name: &'static str,
        /// The rule that it breaks.
        rule: String,
    },
    /// Region or credentials are missing.
    #[error("{0}; if `headwater up` runs on this machine, give --endpoint http://127.0.0.1:4566")]
    Configuration(#[source] ConnectError),
    /// Nobody should write there.
    #[error(transparent)]
    Unconditional(ConnectError),
    /// The embedded AWS does not start.
    #[error("{0}; if `headwater up` uses it, give --endpoint instead of --data")]
    Start(#[source] StartError),
    /// The embedded AWS does not have what is needed.
    #[error(transparent)]
    Create(CreateError),
}
