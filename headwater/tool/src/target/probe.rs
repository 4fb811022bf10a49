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

use super::{Target, unreachable::Unreachable};

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The store's bucket.
    Store,
    /// The store's bucket, to write there: only where its S3 keeps conditions.
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

/// Asks for everything that is needed, one after the other.
pub(super) async fn all(
    clients: &Clients,
    target: &Target,
    place: &str,
    needs: &[Need],
) -> Result<(), Unreachable> {
    for need in needs {
        let (what, name, flag) = match need {
            Need::Store | Need::Writes => ("bucket", &target.store, "--store"),
            Need::Archive => ("bucket", &target.archive, "--archive"),
            Need::Stream => ("stream", &target.stream, "--stream"),
        };
        let thing = Thing { what, name, flag, place };
        match need {
            Need::Store | Need::Writes | Need::Archive => bucket(clients, &thing).await?,
            Need::Stream => stream(clients, &thing).await?,
        }
        if *need == Need::Writes {
            let kept = clients.objects(thing.name).keeps_conditions().await;
            kept.map_err(Unreachable::Unconditional)?;
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
