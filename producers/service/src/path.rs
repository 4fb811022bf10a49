//! The `{id}` of a path: one that is no text is told like any other field.

use std::borrow::Cow;

use axum::{
    extract::{FromRequestParts, Path},
    http::{StatusCode, request::Parts},
};

use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// What stands for `{id}` in a path, decoded. What a service takes for an id is for it to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathId(pub String);

/// Whether a segment is `.` or `..`, encoded or not.
pub(crate) fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| {
        let decoded: Cow<'_, [u8]> = percent_decode_str(segment).into();
        matches!(&*decoded, b"." | b"..")
    })
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id))
            .map_err(|error| Problem::invalid(StatusCode::BAD_REQUEST, "id", error.body_text()))
    }
}
