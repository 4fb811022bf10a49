//! The HTTP operation Invoke, synchronous; every other kind of invocation is refused.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::InvokeError;
use super::functions::Functions;

pub(crate) async fn invoke(functions: &Functions, name: &str, parts: &Parts, payload: Bytes) -> Response {
    let kind =
        parts.headers.get("x-amz-invocation-type").map_or(&b"RequestResponse"[..], HeaderValue::as_bytes);
    if kind != b"RequestResponse" {
        let message = "only the invocation type RequestResponse is known here";
        return refused(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message);
    }
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    match functions.invoke(name, payload).await {
        Ok(answer) => answered(StatusCode::OK, Body::from(answer)),
        Err(error @ InvokeError::NoSuchFunction(_)) => {
            refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", &error.to_string())
        }
        Err(error @ InvokeError::PayloadTooLarge { .. }) => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &error.to_string())
        }
        Err(error @ InvokeError::Throttled) => {
            refused(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", &error.to_string())
        }
        Err(error @ InvokeError::Stopped) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceException", &error.to_string())
        }
        Err(error) => {
            let mut response = answered(StatusCode::OK, Body::from(error_document(&error)));
            response.headers_mut().insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
            response
        }
    }
}

/// What Lambda says instead of an answer.
pub(crate) fn error_document(error: &InvokeError) -> Vec<u8> {
    match error {
        InvokeError::Failed(document) => document.clone(),
        InvokeError::TimedOut(after) => {
            let message = format!("Task timed out after {:.2} seconds", after.as_secs_f64());
            serde_json::json!({ "errorType": "Sandbox.Timedout", "errorMessage": message }).to_string().into()
        }
        other => {
            let message = other.to_string();
            serde_json::json!({ "errorType": "Runtime.ExitError", "errorMessage": message })
                .to_string()
                .into()
        }
    }
}

fn answered(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    response
}

fn refused(status: StatusCode, code: &'static str, message: &str) -> Response {
    let body = serde_json::json!({ "Type": "User", "Message": message }).to_string();
    let mut response = answered(status, Body::from(body));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}
