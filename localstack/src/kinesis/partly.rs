//! A `PutRecords` of which some entries are refused, as Kinesis does above a shard's throughput.
//!
//! 1. The refused entries are taken out of the request;
//! 2. the rest is done, if there is any;
//! 3. what was refused is put back into the answer, each at its place.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::Kinesis;
use crate::fault::Request;

/// Answers a `PutRecords`; entry `n` is refused with `code` if bit `n % 64` of `mask` is set. A body that names no entries
/// is handed on as it is.
pub(crate) async fn answer(
    kinesis: &Kinesis,
    mut parts: Parts,
    request: &Request,
    mask: u64,
    code: &str,
) -> Response {
    let stream = request.stream.as_deref();
    let document = serde_json::from_slice::<Value>(&request.body).ok();
    let Some((mut document, entries)) = document.and_then(|mut document| {
        let entries = document.get_mut("Records")?.as_array_mut().map(std::mem::take)?;
        Some((document, entries))
    }) else {
        let whole = http::Request::from_parts(parts, Body::from(request.body.clone()));
        return kinesis.answer("PutRecords", stream, whole).await;
    };
    let refused: Vec<bool> = (0..entries.len()).map(|place| mask >> (place % 64) & 1 == 1).collect();
    let rest: Vec<Value> =
        entries.into_iter().zip(&refused).filter(|(_, refused)| !**refused).map(|(entry, _)| entry).collect();
    let mut done = Vec::new();
    if !rest.is_empty() {
        document["Records"] = Value::Array(rest);
        let body = document.to_string();
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let response =
            kinesis.answer("PutRecords", stream, http::Request::from_parts(parts, Body::from(body))).await;
        if !response.status().is_success() {
            return response;
        }
        let Some(entries) = entries_of(response).await else {
            let mut response = Response::new(Body::from(r#"{"__type":"InternalFailure"}"#));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        };
        done = entries;
    }
    let answer = merged(&refused, done, code);
    let mut response = Response::new(Body::from(answer.to_string()));
    let kind = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn entries_of(response: Response) -> Option<Vec<Value>> {
    let body = response.into_body().collect().await.ok()?.to_bytes();
    match serde_json::from_slice::<Value>(&body).ok()?.get_mut("Records")?.take() {
        Value::Array(entries) => Some(entries),
        _ => None,
    }
}

fn merged(refused: &[bool], done: Vec<Value>, code: &str) -> Value {
    let mut done = done.into_iter();
    let message = "refused by the local AWS";
    let entries = refused.iter().map(|refused| {
        if *refused {
            json!({ "ErrorCode": code, "ErrorMessage": message })
        } else {
            done.next().unwrap_or_default()
        }
    });
    let entries: Vec<Value> = entries.collect();
    let failed = entries.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
    json!({ "FailedRecordCount": failed, "Records": entries })
}
