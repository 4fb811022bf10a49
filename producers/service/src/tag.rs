//! Entity tags of what is answered from a view: a hash of the answer itself.
//!
//! A view may be fed by many streams, be made anew by other code, or stop at an event, so no stream's version says whether the
//! answer is the same. Its bytes do: the tag is another whenever the answer is another, and only then. It is strong: the
//! same tag means the same bytes.
//!
//! | asked | meaning |
//! |---|---|
//! | `If-None-Match: "9f86…", W/"2c26…"` | nothing (304) if the answer is one of these; compared weakly, for a proxy that compresses makes a tag weak |
//! | `If-None-Match: *` | nothing if there is an answer |

use std::{convert::Infallible, fmt::Write};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use headwater::Token;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{headers::Written, problem::Problem};

/// Bytes of the hash that make a tag.
const TAG_BYTES: usize = 16;

/// The answers that a reader has already, by `If-None-Match`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownAnswers(Vec<String>);

impl KnownAnswers {
    fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::IF_NONE_MATCH).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        // No tag of ours holds a comma.
        let tags = texts.flat_map(|text| text.split(','));
        let tags = tags.map(str::trim).map(|tag| tag.strip_prefix("W/").unwrap_or(tag).to_owned());
        Self(tags.collect())
    }

    fn have(&self, tag: &str) -> bool {
        self.0.iter().any(|known| known == tag || known == "*")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KnownAnswers {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::read(&parts.headers))
    }
}

/// Answers with this body as JSON and its tag, or with 304 to who has it. `token` is what the answer shows of one stream: of
/// several that feed the view it is the one that was asked for.
pub fn tagged(
    known: &KnownAnswers,
    token: Option<Token>,
    body: &impl Serialize,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer has no JSON");
        Problem::internal()
    })?;
    let tag = tag(&body);
    let mut answer = if known.have(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    if let Some(token) = token {
        answer = (Written(token), answer).into_response();
    }
    let tag = HeaderValue::try_from(tag).map_err(|_| Problem::internal())?;
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

/// The tag of a body.
fn tag(body: &[u8]) -> String {
    let mut tag = String::with_capacity(2 * TAG_BYTES + 2);
    tag.push('"');
    for byte in Sha256::digest(body).iter().take(TAG_BYTES) {
        // Writing to a string does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(answer: &Response) -> String {
        answer.headers()[header::ETAG].to_str().expect("ASCII").to_owned()
    }

    fn known(values: &[&str]) -> KnownAnswers {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_NONE_MATCH, value.parse().expect("a value"));
        }
        KnownAnswers::read(&headers)
    }

    #[test]
    fn another_answer_has_another_tag_and_the_same_one_the_same() {
        let shown = |body: &str| etag(&tagged(&known(&[]), None, &body).expect("answers"));
        assert_eq!(shown("a"), shown("a"));
        assert_ne!(shown("a"), shown("b"));
    }

    #[test]
    fn who_has_the_answer_is_told_so_however_the_tag_was_listed() {
        let token: Token = "account/42@17".parse().expect("a token");
        let first = tagged(&known(&[]), Some(token.clone()), &"a").expect("answers");
        assert_eq!(
            (first.status(), first.headers()["session-token"].as_bytes()),
            (StatusCode::OK, &b"account/42@17"[..])
        );
        let tag = etag(&first);
        for (values, status) in [
            (vec![tag.clone()], 304),
            (vec![format!("\"other\", W/{tag}")], 304),
            (vec!["\"other\"".to_owned(), tag.clone()], 304),
            (vec!["*".to_owned()], 304),
            (vec![tag.trim_matches('"').to_owned()], 200),
            (vec!["\"17\"".to_owned()], 200),
        ] {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let answer = tagged(&known(&values), Some(token.clone()), &"a").expect("answers");
            assert_eq!((answer.status().as_u16(), etag(&answer)), (status, tag.clone()), "{values:?}");
            assert_eq!(answer.headers()["session-token"], "account/42@17");
        }
    }
}
