//! What a failed call means, for S3 and Kinesis alike.
//!
//! A failure is *refused* only where the service itself said so: a 3xx or 4xx with an error code that does not speak of
//! haste or bad luck, or a request that was never sent. All else leaves open whether the call had its effect: it is
//! *unknown*, an answer that can't be read included.

use std::{error::Error, fmt::Write, time::Duration};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::reason::Reason;

/// Codes that AWS sends with a 4xx although a repeat may succeed.
const PASSING: &[&str] = &[
    "BadDigest",
    "ExpiredNextTokenException",
    "IncompleteBody",
    "KMSThrottlingException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "XAmzContentSHA256Mismatch",
];

/// A failed call.
#[derive(Debug)]
pub(super) enum Failure {
    /// Whether the call had its effect is unknown.
    Unknown(Reason),
    /// The call had no effect, and why.
    Refused {
        /// The HTTP status; 0 where nothing was sent.
        status: u16,
        /// The service's code, as `NoSuchBucket`; empty where it sent none.
        code: String,
        /// The service's words.
        message: String,
        /// The SDK's error.
        source: Option<Reason>,
    },
}

impl Failure {
    /// Sorts the SDK's error.
    pub(super) fn new<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match &error {
            SdkError::ConstructionFailure(_) => {
                let message = chain(&error);
                Self::Refused { status: 0, code: String::new(), message, source: Some(error.into()) }
            }
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let words = |text: Option<&str>| text.unwrap_or_default().to_owned();
                let (code, message) = (words(answer.err().code()), words(answer.err().message()));
                Self::of_answer(status, code, message, error)
            }
            _ => Self::Unknown(Reason::worded(chain(&error), error)),
        }
    }

    fn of_answer(status: u16, code: String, message: String, source: impl Into<Reason>) -> Self {
        // 304 and 412 say all with their status, 501 is the one 5xx that is meant.
        let definite = match status {
            304 | 412 => true,
            501 => !code.is_empty(),
            429 => false,
            300..=499 => !code.is_empty() && !PASSING.contains(&code.as_str()),
            _ => false,
        };
        if definite {
            return Self::Refused { status, code, message, source: Some(source.into()) };
        }
        let mut reason = format!("HTTP {status}");
        for part in [code, message] {
            if !part.is_empty() {
                // Writing to a string does not fail.
                let _ = write!(reason, ", {part}");
            }
        }
        Self::Unknown(Reason::worded(reason, source))
    }

    /// The call did not end within its deadline.
    pub(super) fn late(deadline: Duration) -> Self {
        Self::Unknown(format!("no answer within {} ms", deadline.as_millis()).into())
    }

    /// A refusal, with what to look at; `what` is the thing asked, as `bucket events at eu-west-1`.
    pub(super) fn refusal(
        what: &str,
        status: u16,
        (code, message): (&str, &str),
        source: Option<Reason>,
    ) -> Reason {
        let words = Self::words(what, status, code, message);
        match source {
            Some(source) => Reason::worded(words, source),
            None => words.into(),
        }
    }

    fn words(what: &str, status: u16, code: &str, message: &str) -> String {
        let mut words = format!("{what}: ");
        if status > 0 && code.is_empty() {
            let _ = write!(words, "HTTP {status}");
        }
        words.push_str(code);
        if !code.is_empty() && !message.is_empty() {
            words.push_str(", ");
        }
        words.push_str(message);
        if let Some(advice) = advice(status, code) {
            let _ = write!(words, "; {advice}");
        }
        words
    }
}

fn advice(status: u16, code: &str) -> Option<&'static str> {
    Some(match code {
        "" if status == 0 => "check AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "NoSuchBucket" | "ResourceNotFoundException" => "check its name, AWS_REGION and AWS_ENDPOINT_URL",
        "AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" => {
            "check the permissions of the role or user that AWS_PROFILE or AWS_ACCESS_KEY_ID names; S3 says so too of a \
             missing object where s3:ListBucket is not allowed"
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => {
            "check AWS_PROFILE, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        }
        "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect" => {
            "it stands in another region: check AWS_REGION"
        }
        "RequestTimeTooSkewed" | "RequestExpired" => "set this machine's clock",
        _ => return None,
    })
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(status: u16, code: &str) -> bool {
        let failure = Failure::of_answer(status, code.to_owned(), "words".to_owned(), "an error");
        matches!(failure, Failure::Unknown(_))
    }

    #[test]
    fn only_what_the_service_said_is_refused() {
        for (status, code) in [
            (301, "PermanentRedirect"),
            (304, ""),
            (400, "InvalidArgument"),
            (403, "AccessDenied"),
            (404, "NoSuchBucket"),
            (409, "ConditionalRequestConflict"),
            (412, ""),
            (501, "NotImplemented"),
        ] {
            assert!(!unknown(status, code), "{status} {code}");
        }
        for (status, code) in [
            (200, "InternalError"),
            (400, ""),
            (400, "ProvisionedThroughputExceededException"),
            (400, "RequestTimeout"),
            (404, ""),
            (429, "TooManyRequests"),
            (500, "InternalError"),
            (502, ""),
            (503, "SlowDown"),
        ] {
            assert!(unknown(status, code), "{status} {code}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_look_at() {
        let words = Failure::words("bucket events at eu-west-1", 404, "NoSuchBucket", "not here");
        assert_eq!(
            words,
            "bucket events at eu-west-1: NoSuchBucket, not here; check its name, AWS_REGION and AWS_ENDPOINT_URL"
        );
        assert_eq!(
            Failure::words("stream a", 400, "ValidationException", ""),
            "stream a: ValidationException"
        );
    }
}
