//! JSON bodies: an error names the field.
//!
//! 415 where the media type is not JSON, 413 where the body is too long, 400 where it is no JSON at all, 422 where it is
//! JSON of another shape.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::problem::Problem;

/// The field of an error that is about the whole body.
const WHOLE: &str = "body";

/// A JSON body, asked or answered.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::blank(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_detail("the body must be application/json"));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::blank(rejection.status()).with_detail(rejection.body_text()))?;
        parse(&body).map(Json)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde takes an array for a struct, member by member, which no caller means.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid(
            StatusCode::UNPROCESSABLE_ENTITY,
            WHOLE,
            "must be an object, not an array",
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        let words = cause.to_string();
        match cause.classify() {
            Category::Data => {
                let path = if path == "." { WHOLE.to_owned() } else { path };
                let field = unknown_or_missing(&words).map_or(path, str::to_owned);
                Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, &field, without_place(&words))
            }
            Category::Syntax | Category::Eof | Category::Io => malformed(&words),
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error.to_string()))?;
    Ok(parsed)
}

fn malformed(words: &str) -> Problem {
    Problem::invalid(StatusCode::BAD_REQUEST, WHOLE, format!("the body is no JSON: {words}"))
}

/// The field that serde's words name, where the path ends above it.
fn unknown_or_missing(words: &str) -> Option<&str> {
    let rest = words.strip_prefix("unknown field `").or_else(|| words.strip_prefix("missing field `"))?;
    rest.split('`').next()
}

/// serde's words without ` at line 1 column 7`, which is of no use to whoever sent one line.
fn without_place(words: &str) -> &str {
    words.rsplit_once(" at line ").map_or(words, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is of interest")]
    struct Sample {
        amount: u32,
        nested: Option<Vec<Sample>>,
    }

    fn refused(body: &str) -> serde_json::Value {
        serde_json::to_value(parse::<Sample>(body.as_bytes()).expect_err(body)).expect("serializes")
    }

    #[test]
    fn an_error_names_the_field() {
        for (body, field, detail) in [
            (r#"{"amount":"1"}"#, "amount", "invalid type: string \"1\", expected u32"),
            (r#"{"amount":-1}"#, "amount", "invalid value: integer `-1`, expected u32"),
            (r"{}", "amount", "missing field `amount`"),
            (r#"{"amount":1,"colour":2}"#, "colour", "unknown field `colour`, expected `amount` or `nested`"),
            (
                r#"{"amount":1,"nested":[{"amount":null}]}"#,
                "nested[0].amount",
                "invalid type: null, expected u32",
            ),
            ("[1,null]", "body", "must be an object, not an array"),
            ("5", "body", "invalid type: integer `5`, expected struct Sample"),
        ] {
            let problem = refused(body);
            assert_eq!(problem["field"], field, "{problem}");
            assert_eq!(problem["detail"], detail, "{problem}");
            assert_eq!(problem["status"], 422);
        }
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for body in ["", "{", "amount", r#"{"amount":1} and more"#] {
            assert_eq!(refused(body)["status"], 400, "{body}");
        }
    }
}
