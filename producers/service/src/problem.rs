//! Problem documents (RFC 9457): the one shape of every error.
//!
//! `type` is `/problems/{kind}` where a program can act on it, else `about:blank`; a kind's facts are members of their own,
//! such as `field` or `available`. What a program does next:
//!
//! | kind | status | next step |
//! |---|---|---|
//! | `invalid` | 400, 422 | mend the request: `field` names what |
//! | `idempotency-key-reused` | 422 | use a fresh key: this one names a command that did something else |
//! | `precondition-failed` | 412 | read again: `version` is the newest |
//! | `conflict` | 409 | retry |
//! | `unknown` | 503 | retry with the same `Idempotency-Key`, also given as `idempotency_key` where the store knows it |
//! | `unavailable`, `overloaded` | 503 | retry after `Retry-After` seconds; nothing happened |
//! | `newer-schema` | 503 | retry after `Retry-After` seconds: a deployment is under way, or was forgotten; nothing happened |
//! | `denied` | 500 | nothing: the service lacks a right, and no retry helps; its operator must act. Nothing happened |
//! | `corrupt`, `internal` | 500 | nothing: the operator's log has the reason, the answer does not |
//!
//! A domain adds its own kinds with [`Problem::new`].

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use headwater::{InvalidName, StoreError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An error as a caller sees it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/invalid", "title": "the request is invalid", "status": 422,
    "detail": "must be 1 to 1000000000000 minor units, not 0", "instance": "/accounts/42/credit", "field": "amount",
}))]
pub struct Problem {
    /// What kind: `/problems/{kind}`, or `about:blank` where the status says it all.
    #[serde(rename = "type", serialize_with = "as_reference")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// The kind in words.
    #[schema(value_type = String)]
    title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// This occurrence in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Facts that a program can use.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    members: Map<String, Value>,
    /// For the header of that name, in seconds.
    #[serde(skip)]
    retry_after: Option<u16>,
}

/// The kind of which the status says it all.
const BLANK: &str = "about:blank";

fn as_reference<S: serde::Serializer>(kind: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    if *kind == BLANK {
        serializer.serialize_str(kind)
    } else {
        serializer.collect_str(&format_args!("/problems/{kind}"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of `kind`, a word of lower-case letters and dashes, with its title.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str) -> Self {
        Self { kind, title, status, detail: None, instance: None, members: Map::new(), retry_after: None }
    }

    /// A problem of which the status says it all.
    pub fn blank(status: StatusCode) -> Self {
        Self::new(status, BLANK, status.canonical_reason().unwrap_or("error"))
    }

    /// A request of which one field breaks a rule: 400 for a header or a name, 422 for a value in a body.
    pub fn invalid(status: StatusCode, field: &str, rule: impl Into<String>) -> Self {
        Self::new(status, "invalid", "the request is invalid").with_detail(rule).with("field", field)
    }

    /// The same problem with this occurrence in words.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same problem with one more fact.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// The same problem with a `Retry-After` header.
    #[must_use]
    pub fn with_retry_after(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same problem with the path of its request.
    pub(crate) fn at(self, path: &str) -> Self {
        Self { instance: Some(path.to_owned()), ..self }
    }

    /// No answer came in time.
    pub(crate) fn late(seconds: u64) -> Self {
        Self::unknown(&format!("no answer within {seconds} s"))
    }

    /// The `Idempotency-Key` names a command that did something else.
    pub fn key_reused() -> Self {
        let title = "the Idempotency-Key was used before";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title).with_detail(
            "in this stream it names a command that did something else, and nothing was done now: use a fresh one",
        )
    }

    /// More requests are under way than the service takes.
    pub(crate) fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many requests are under way")
            .with_retry_after(1)
    }

    /// The service has a fault.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service has a fault")
    }

    fn unknown(what: &str) -> Self {
        let title = "whether the request took effect is unknown";
        let advice = "retry with the same Idempotency-Key, which takes effect once";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unknown", title)
            .with_detail(format!("{what}: {advice}"))
            .with_retry_after(1)
    }
}

impl From<StoreError> for Problem {
    /// Reasons that are not the caller's business go to the log instead.
    fn from(error: StoreError) -> Self {
        let words = error.to_string();
        match error {
            // By HTTP a commit is named by its key.
            StoreError::Invalid { field: "commit id", rule } => {
                Self::invalid(StatusCode::BAD_REQUEST, "Idempotency-Key", rule)
            }
            StoreError::Invalid { field, rule } => Self::invalid(StatusCode::BAD_REQUEST, field, rule),
            StoreError::Conflict { expected: Some(_), actual, .. } => {
                let title = "the precondition does not hold";
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", title)
                    .with_detail(words)
                    .with("version", actual.get())
            }
            StoreError::Conflict { expected: None, actual, .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", "others were faster")
                    .with_detail("nothing was committed: retry")
                    .with("version", actual.get())
            }
            StoreError::Taken { set, value } => {
                Self::new(StatusCode::CONFLICT, "taken", "the value is taken")
                    .with_detail(words)
                    .with("field", set)
                    .with("value", value)
            }
            StoreError::Reused { .. } => Self::key_reused(),
            StoreError::Unknown { commit, .. } => {
                tracing::warn!(error = words, "a commit's fate is unknown");
                Self::unknown("the store did not answer")
                    .with("idempotency_key", commit.key().unwrap_or(commit.as_str()))
            }
            StoreError::Unavailable(_) => {
                tracing::warn!(error = words, "the store is unavailable");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the store does not answer")
                    .with_detail("retry later: a command that is answered so had no effect")
                    .with_retry_after(2)
            }
            // Not 502, 503 or 504, which proxies and clients take for a reason to ask again.
            StoreError::Denied(_) => {
                tracing::error!(error = words, "the store denies the service what it needs");
                let title = "the service lacks a right: its operator must act";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "denied", title)
                    .with_detail("no retry helps: a command that is answered so had no effect")
            }
            StoreError::NewerSchema { .. } => {
                tracing::error!(error = words, "a newer version wrote what is to be read");
                let title = "a newer version of the service wrote this";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "newer-schema", title)
                    .with_detail("it is not known here yet, and the request had no effect: retry later")
                    .with_retry_after(10)
            }
            StoreError::Corrupt { .. } => {
                tracing::error!(error = words, "the store is corrupt");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "corrupt", "what is stored can't be read")
            }
            _ => {
                tracing::error!(error = words, "the store failed");
                Self::internal()
            }
        }
    }
}

impl From<InvalidName> for Problem {
    fn from(InvalidName { field, rule }: InvalidName) -> Self {
        Self::invalid(StatusCode::BAD_REQUEST, field, rule)
    }
}

impl IntoResponse for Problem {
    /// The problem travels along, so that [`app`](crate::app) can add the path of its request.
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use headwater::{CommitId, StreamId, Version};

    use super::*;

    fn stream() -> StreamId {
        "account/42".parse().expect("a stream")
    }

    fn json(error: StoreError) -> (StatusCode, Value) {
        let problem = Problem::from(error);
        (problem.status, serde_json::to_value(problem).expect("serializes"))
    }

    #[test]
    fn a_key_that_is_too_old_is_called_what_its_caller_calls_it() {
        let rule = "must be at most 24 hours old".to_owned();
        let (status, json) = json(StoreError::Invalid { field: "commit id", rule });
        assert_eq!((status, &json["field"]), (StatusCode::BAD_REQUEST, &"Idempotency-Key".into()));
    }

    #[test]
    fn an_invalid_request_names_field_and_limit() {
        let error = StoreError::Invalid { field: "commit", rule: "must have at most 1000 events".to_owned() };
        let (status, json) = json(error);
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(json["type"], "/problems/invalid");
        assert_eq!((&json["field"], &json["status"]), (&"commit".into(), &400.into()));
        assert_eq!(json["detail"], "must have at most 1000 events");
    }

    #[test]
    fn a_conflict_is_412_for_whoever_named_a_version_and_409_for_others() {
        let conflict =
            |expected| StoreError::Conflict { stream: stream(), expected, actual: Version::new(7) };
        let (status, named) = json(conflict(Some(Version::new(5))));
        assert_eq!((status, &named["version"]), (StatusCode::PRECONDITION_FAILED, &7.into()));
        let (status, unnamed) = json(conflict(None));
        assert_eq!((status, &unnamed["version"]), (StatusCode::CONFLICT, &7.into()));
    }

    #[test]
    fn a_value_that_is_taken_is_a_conflict_of_its_own_kind() {
        let (status, json) = json(StoreError::Taken { set: "username", value: "ann".to_owned() });
        assert_eq!((status, &json["type"]), (StatusCode::CONFLICT, &"/problems/taken".into()));
        assert_eq!((&json["field"], &json["value"]), (&"username".into(), &"ann".into()));
    }

    #[test]
    fn an_unknown_commit_tells_how_to_retry() {
        let commit = CommitId::of_key("key-1").expect("a key");
        let problem =
            Problem::from(StoreError::Unknown { stream: stream(), commit, reason: "secret".into() });
        let json = serde_json::to_value(&problem).expect("serializes");
        assert_eq!((&json["type"], &json["idempotency_key"]), (&"/problems/unknown".into(), &"key-1".into()));
        assert!(json["detail"].as_str().is_some_and(|detail| detail.contains("same Idempotency-Key")));
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn what_no_retry_mends_asks_for_none() {
        let denied = Problem::from(StoreError::Denied("AccessDenied".into()));
        assert_eq!(serde_json::to_value(&denied).expect("serializes")["type"], "/problems/denied");
        let denied = denied.into_response();
        assert_eq!(denied.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!denied.headers().contains_key("retry-after"));
        let event = "Opened".to_owned();
        let newer = StoreError::NewerSchema {
            stream: stream(),
            version: Version::new(1),
            event,
            schema: 2,
            newest: 1,
        };
        let newer = Problem::from(newer);
        assert_eq!(serde_json::to_value(&newer).expect("serializes")["type"], "/problems/newer-schema");
        assert!(newer.into_response().headers().contains_key("retry-after"), "a deployment may be under way");
    }

    #[test]
    fn reasons_of_the_store_stay_inside() {
        let unavailable = json(StoreError::Unavailable("secret".into()));
        let denied = json(StoreError::Denied("secret".into()));
        let corrupt = json(StoreError::Corrupt { key: "secret".to_owned(), reason: "secret".to_owned() });
        for ((status, json), expected) in [(unavailable, 503), (denied, 500), (corrupt, 500)] {
            assert_eq!(status.as_u16(), expected);
            assert!(!json.to_string().contains("secret"), "{json}");
        }
    }
}
