//! Headers: what a caller says beside a body, and what the answer says about versions.
//!
//! | asked | meaning |
//! |---|---|
//! | `Idempotency-Key: k` or `"k"` | the commit's id: a repeat takes effect once |
//! | `If-Match: "17"` | only on top of version 17; a list, `*` and weak tags are refused, as they name no one version |
//! | `If-None-Match: *` | only where nothing is yet; with a version, in a read: nothing if it is still the newest |
//! | `Session-Token: account/42@17` | show me at least that; `?token=` says the same |
//! | `traceparent` | W3C trace context, kept with the commit; a malformed one is dropped, as that standard asks |
//! | `X-Correlation-Id`, `X-Causation-Id` | kept with the commit; at most 128 visible ASCII characters |
//!
//! | answered | meaning |
//! |---|---|
//! | `ETag: "17"` | the version |
//! | `Session-Token: account/42@17` | what to bring along to see this write |
//! | `Idempotency-Scope: account/42` | the stream in which the command's `Idempotency-Key` counts, and nowhere else |

use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponseParts, ResponseParts},
};
use headwater::{CommitId, Expected, OnConflict, Options, StreamId, Token, Version, format::commit::Meta};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SESSION_TOKEN: HeaderName = HeaderName::from_static("session-token");
/// Where an [`IDEMPOTENCY_KEY`] counts.
pub(crate) const IDEMPOTENCY_SCOPE: HeaderName = HeaderName::from_static("idempotency-scope");
const TRACEPARENT: HeaderName = HeaderName::from_static(headwater::trace::TRACEPARENT);
/// Longest correlation or causation id, in bytes.
const ID_BYTES: usize = 128;

/// The headers of a command, for the `OpenAPI` document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct CommandParameters {
    /// The caller's name for this request to this account, user or transfer: a repeat takes effect once, and gets the first
    /// answer; one that was refused or changed nothing is decided again. The key counts there only: with the same key and
    /// another `id` it is another request, which takes effect as well. 1 to 128 visible ASCII characters.
    #[param(
        rename = "Idempotency-Key",
        pattern = "^[!-~]{1,128}$",
        example = "6f1c2a34-9f5e-4c5b-8a51-3d1f8d9f0c11"
    )]
    idempotency_key: Option<String>,
    /// Only on top of this version.
    #[param(rename = "If-Match", pattern = "^\"(0|[1-9][0-9]{0,14})\"$", example = "\"17\"")]
    if_match: Option<String>,
    /// `*`: only where nothing is yet.
    #[param(rename = "If-None-Match", pattern = r"^\*$", example = "*")]
    if_none_match: Option<String>,
    /// W3C trace context, kept with the events.
    #[param(rename = "traceparent", example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    traceparent: Option<String>,
    /// Kept with the events. 1 to 128 visible ASCII characters.
    #[param(rename = "X-Correlation-Id", pattern = "^[!-~]{1,128}$")]
    correlation: Option<String>,
    /// Kept with the events. 1 to 128 visible ASCII characters.
    #[param(rename = "X-Causation-Id", pattern = "^[!-~]{1,128}$")]
    causation: Option<String>,
}

/// The header of a read by which a caller says what they have, for the `OpenAPI` document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct KnownTagParameter {
    /// The `ETag` of the answer that the caller has: 304 if there is none that is newer. Anything but a tag is passed over.
    #[param(rename = "If-None-Match", example = "\"17\"")]
    if_none_match: Option<String>,
}

/// The header of a query that says what it must show at least, for the `OpenAPI` document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct SessionTokenHeader {
    /// The `Session-Token` of an answer: show that write at least.
    #[param(rename = "Session-Token", example = "account/42@17")]
    session_token: Option<String>,
}

/// The same in the query, for the `OpenAPI` document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct SessionTokenQuery {
    /// As `Session-Token`, where a header is hard to set.
    #[param(example = "account/42@17")]
    token: Option<String>,
}

/// What a caller says about a command beside its body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommandHeaders {
    /// `Idempotency-Key`.
    pub commit_id: Option<CommitId>,
    /// `If-Match` or `If-None-Match`.
    pub expected: Expected,
    /// `traceparent`, `correlation` and `causation`, as far as given.
    pub meta: Meta,
}

impl CommandHeaders {
    /// The same as options of a command.
    pub fn into_options(self, on_conflict: OnConflict) -> Options {
        let Self { commit_id, expected, meta } = self;
        Options { commit_id, expected, on_conflict, meta, ..Options::default() }
    }

    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let commit_id =
            match text(headers, &IDEMPOTENCY_KEY)? {
                Some(key) => Some(CommitId::of_key(unquoted(key)).map_err(|error| {
                    Problem::invalid(StatusCode::BAD_REQUEST, "Idempotency-Key", error.rule)
                })?),
                None => None,
            };
        let mut meta = Meta::new();
        if let Some(traceparent) = traceparent(headers) {
            meta.insert(headwater::trace::TRACEPARENT.to_owned(), traceparent.into());
        }
        for (name, member) in [("X-Correlation-Id", "correlation"), ("X-Causation-Id", "causation")] {
            if let Some(id) =
                text(headers, &HeaderName::from_bytes(name.as_bytes()).map_err(|_| Problem::internal())?)?
            {
                if id.is_empty() || id.len() > ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let rule = format!("must be 1 to {ID_BYTES} visible ASCII characters");
                    return Err(Problem::invalid(StatusCode::BAD_REQUEST, name, rule));
                }
                meta.insert(member.to_owned(), id.into());
            }
        }
        Ok(Self { commit_id, expected: expected(headers)?, meta })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers)
    }
}

/// The version that a reader has already, by `If-None-Match`; what is no version is passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownVersion(pub Option<Version>);

impl<S: Send + Sync> FromRequestParts<S> for KnownVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let tag = text(&parts.headers, &header::IF_NONE_MATCH)?;
        // A proxy that compresses makes a tag weak; a read may compare weakly (RFC 9110, 13.1.2).
        Ok(Self(tag.and_then(|tag| version(tag.strip_prefix("W/").unwrap_or(tag)))))
    }
}

/// What a reader wants to see at least, by the header `Session-Token` or the query's `token`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionToken(pub Option<Token>);

#[derive(Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for SessionToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<TokenQuery>::from_request_parts(parts, state).await;
        let query =
            query.map_err(|error| Problem::invalid(StatusCode::BAD_REQUEST, "token", error.body_text()))?;
        let (field, token) = match text(&parts.headers, &SESSION_TOKEN)? {
            Some(token) => ("Session-Token", Some(token)),
            None => ("token", query.token.as_deref()),
        };
        let token = token.map(str::parse).transpose().map_err(|error: headwater::InvalidName| {
            Problem::invalid(StatusCode::BAD_REQUEST, field, format!("{error}"))
        })?;
        Ok(Self(token))
    }
}

/// The headers of an answer that shows a stream at a version: `ETag` and `Session-Token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written(pub Token);

impl IntoResponseParts for Written {
    type Error = Problem;

    fn into_response_parts(self, mut answer: ResponseParts) -> Result<ResponseParts, Problem> {
        let Self(token) = self;
        let headers = answer.headers_mut();
        for (name, value) in
            [(header::ETAG, format!("\"{}\"", token.version)), (SESSION_TOKEN, token.to_string())]
        {
            // UTF-8 without control characters, which is what a stream id is, makes a header value.
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Problem::internal())?;
            headers.insert(name, value);
        }
        Ok(answer)
    }
}

/// The header of a command's answer that says where its `Idempotency-Key` counts: the same key in another stream is another
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyScope(pub StreamId);

impl IntoResponseParts for KeyScope {
    type Error = Problem;

    fn into_response_parts(self, mut answer: ResponseParts) -> Result<ResponseParts, Problem> {
        let Self(stream) = self;
        // UTF-8 without control characters, which is what a stream id is, makes a header value.
        let value = HeaderValue::from_bytes(stream.as_str().as_bytes()).map_err(|_| Problem::internal())?;
        answer.headers_mut().insert(IDEMPOTENCY_SCOPE, value);
        Ok(answer)
    }
}

/// The stream and version that an answer shows, as `account/42@17`.
pub(crate) fn shown(headers: &HeaderMap) -> Option<&str> {
    headers.get(&SESSION_TOKEN)?.to_str().ok()
}

/// A header that may stand once, as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let invalid = |rule: &str| Problem::invalid(StatusCode::BAD_REQUEST, name.as_str(), rule);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("must stand once"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| invalid("must be UTF-8"))?;
    Ok(Some(text.trim()))
}

/// Structured headers quote their strings; most callers do not.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let invalid = |field: &str, rule: &str| Err(Problem::invalid(StatusCode::BAD_REQUEST, field, rule));
    match (text(headers, &header::IF_MATCH)?, text(headers, &header::IF_NONE_MATCH)?) {
        (None, None) => Ok(Expected::Any),
        (Some(tag), None) => match version(tag) {
            Some(version) => Ok(Expected::Exact(version)),
            None => invalid("If-Match", "must be one version in quotes, as \"17\""),
        },
        (None, Some("*")) => Ok(Expected::NoStream),
        (None, Some(_)) => invalid("If-None-Match", "must be * in a command"),
        (Some(_), Some(_)) => invalid("If-None-Match", "contradicts If-Match"),
    }
}

/// The version in a strong entity tag, `"17"`.
fn version(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok().map(Version::new))?
}

/// The caller's trace context.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
    headwater::trace::is_traceparent(text).then_some(text)
}

#[cfg(test)]
mod tests;
