//! An answer over HTTP, read to its end.

use headwater::Token;
use reqwest::{RequestBuilder, Response, StatusCode, header::HeaderMap};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its media type; empty without one.
    pub media_type: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null where that is no JSON.
    pub json: Value,
}

impl Answer {
    /// Sends a request; panics where no answer comes.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap_or_else(|error| panic!("no answer: {error:?}"));
        Self::read(response).await.unwrap_or_else(|error| panic!("half an answer: {error:?}"))
    }

    /// Reads an answer to its end.
    pub async fn read(response: Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?;
        let json = serde_json::from_slice(&body).unwrap_or_default();
        let mut answer = Self { status, media_type: String::new(), headers, json };
        answer.media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(answer)
    }

    /// One of its headers, if that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The stream and the version that it shows.
    pub fn token(&self) -> Option<Token> {
        self.header("session-token")?.parse().ok()
    }

    /// The kind of its problem, as `taken`; empty where it is none.
    pub fn problem(&self) -> &str {
        let kind = self.json["type"].as_str().unwrap_or_default();
        kind.strip_prefix("/problems/").unwrap_or_default()
    }
}
