//! The first question to each service: is the bucket there, is the stream there, and may we use them?
//!
//! A bucket is asked with a read that every part of the store may do. A stream is asked for its shards; a writer may lack
//! that permission, so that a refusal proves nothing there and is passed over. Who writes asks as well whether S3 keeps
//! conditions.

use std::error::Error;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use headwater::{aws::Clients, format::key};

use super::{endpoint::Endpoints, unreachable::Unreachable};

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The store's bucket.
    Store,
    /// The store's bucket, to write there: only where its S3 keeps conditions, and where it says whose records are.
    Writes,
    /// The archive's bucket.
    Archive,
    /// The Kinesis stream.
    Stream,
}

/// What is asked for, in the words of the answer.
struct Thing<'a> {
    what: &'static str,
    name: &'a str,
    flag: &'static str,
    place: &'a str,
}

/// Asks for the store's bucket, if it is needed. Nothing is written there.
pub(super) async fn store(
    clients: &Clients,
    name: &str,
    endpoints: &Endpoints,
    needs: &[Need],
) -> Result<(), Unreachable> {
    let place = &endpoints.s3();
    if needs.contains(&Need::Writes) || needs.contains(&Need::Store) {
        bucket(clients, &Thing { what: "bucket", name, flag: "--store", place }).await?;
    }
    Ok(())
}

/// Asks whether the store's S3 keeps conditions, if the command writes: only where the bucket is known to be a store, for
/// something is written there.
pub(super) async fn conditions(clients: &Clients, name: &str, needs: &[Need]) -> Result<(), Unreachable> {
    if needs.contains(&Need::Writes) {
        clients.objects(name).keeps_conditions().await.map_err(Unreachable::Unconditional)?;
    }
    Ok(())
}

/// Asks for what else is needed, one after the other.
pub(super) async fn others(
    clients: &Clients,
    archive: &str,
    log: &str,
    endpoints: &Endpoints,
    needs: &[Need],
) -> Result<(), Unreachable> {
    for need in needs {
        match need {
            Need::Store | Need::Writes => {}
            Need::Archive => {
                let place = &endpoints.s3();
                bucket(clients, &Thing { what: "bucket", name: archive, flag: "--archive", place }).await?;
            }
            Need::Stream => {
                let place = &endpoints.kinesis();
                stream(clients, &Thing { what: "stream", name: log, flag: "--stream", place }).await?;
            }
        }
    }
    Ok(())
}

async fn bucket(clients: &Clients, thing: &Thing<'_>) -> Result<(), Unreachable> {
    let Err(error) = clients.s3().get_object().bucket(thing.name).key(key::WATERMARK).send().await else {
        return Ok(());
    };
    if error.code() == Some("NoSuchKey") { Ok(()) } else { Err(thing.unreachable(&error)) }
}

async fn stream(clients: &Clients, thing: &Thing<'_>) -> Result<(), Unreachable> {
    let Err(error) = clients.kinesis().list_shards().stream_name(thing.name).max_results(1).send().await
    else {
        return Ok(());
    };
    if error.code() == Some("AccessDeniedException") { Ok(()) } else { Err(thing.unreachable(&error)) }
}

impl Thing<'_> {
    fn unreachable<E>(&self, error: &SdkError<E, HttpResponse>) -> Unreachable
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let (what, flag) = (self.what, self.flag);
        let (name, place) = (self.name.to_owned(), self.place.to_owned());
        let code = error.code().unwrap_or_default().to_owned();
        match (error, code.as_str()) {
            (SdkError::DispatchFailure(failure), _) if failure.is_io() && place != "AWS" => {
                Unreachable::Nobody { place }
            }
            (SdkError::ServiceError(_), "NoSuchBucket" | "ResourceNotFoundException") => {
                Unreachable::Missing { what, name, place, flag }
            }
            (SdkError::ServiceError(answer), _) if matches!(answer.raw().status().as_u16(), 401 | 403) => {
                Unreachable::Forbidden { what, name, place, code }
            }
            // Kinesis answers 400 to credentials that it does not know.
            (
                SdkError::ServiceError(_),
                "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "IncompleteSignatureException"
                | "ExpiredTokenException"
                | "MissingAuthenticationTokenException",
            ) => Unreachable::Forbidden { what, name, place, code },
            (SdkError::ServiceError(answer), _) if !code.is_empty() => {
                let reason = answer.err().message().map_or(code.clone(), |words| format!("{code}, {words}"));
                Unreachable::Refused { what, name, place, reason }
            }
            _ => Unreachable::Silent { place, reason: chain(error) },
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
