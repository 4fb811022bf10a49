//! An answer over HTTP, read to its end.

use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its media type; empty without one.
    pub media_type: String,
    /// Its body; null where that is no JSON.
    pub json: Value,
}

impl Answer {
    /// Sends a request; panics where no answer comes.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let status = response.status();
        let media_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let body = response.bytes().await.unwrap_or_else(|error| panic!("half an answer: {error:?}"));
        Self { status, media_type, json: serde_json::from_slice(&body).unwrap_or_default() }
    }
}
