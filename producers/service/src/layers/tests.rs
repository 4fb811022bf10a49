//! The layers around a small router.

use std::sync::Arc;

use axum::{
    extract::{Path, Query},
    http::Method,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;
use utoipa::openapi::{Info, Paths};

use super::*;
use crate::body::Json;

fn small() -> Router {
    let router = Router::new()
        .route("/echo", post(|Json(value): Json<Value>| async move { Json(value) }))
        .route("/number/{number}", get(|Path(number): Path<u8>| async move { number.to_string() }))
        .route(
            "/query",
            get(|Query(number): Query<Vec<(String, u8)>>| async move { number.len().to_string() }),
        )
        .route("/panic", get(panicking));
    app(router, OpenApi::new(Info::new("small", "1"), Paths::new()))
}

async fn panicking() {
    panic!("secret");
}

async fn send(router: &Router, request: Request) -> (Response<()>, Value) {
    let (parts, body) = router.clone().oneshot(request).await.expect("infallible").into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (Response::from_parts(parts, ()), json)
}

fn request(method: Method, path: &str, content_type: &str, body: impl Into<Body>) -> Request {
    let request = Request::builder().method(method).uri(path);
    request.header("content-type", content_type).body(body.into()).expect("a request")
}

#[tokio::test]
async fn every_error_of_the_framework_is_a_problem_document() {
    let long = vec![b' '; BODY_BYTES + 1];
    for (request, status) in [
        (request(Method::GET, "/nowhere", "", ""), 404),
        (request(Method::DELETE, "/echo", "", ""), 405),
        (request(Method::POST, "/echo", "text/plain", "{}"), 415),
        (request(Method::POST, "/echo", "application/json", "{"), 400),
        (request(Method::POST, "/echo", "application/json", long), 413),
        (request(Method::GET, "/number/x", "", ""), 400),
        (request(Method::GET, "/query?a=x", "", ""), 400),
        (request(Method::GET, "/panic", "", ""), 500),
    ] {
        let path = request.uri().path().to_owned();
        let (response, problem) = send(&small(), request).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        assert_eq!((&problem["status"], &problem["instance"]), (&json!(status), &json!(path)));
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
}

#[tokio::test]
async fn a_wrong_method_still_tells_the_right_ones() {
    let (response, _) = send(&small(), request(Method::DELETE, "/echo", "", "")).await;
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn what_is_right_passes_unchanged() {
    let body = format!("\"{}\"", "x".repeat(BODY_BYTES - 2));
    for content_type in ["application/json", "application/cloudevents+json; charset=utf-8"] {
        let (response, json) =
            send(&small(), request(Method::POST, "/echo", content_type, body.clone())).await;
        assert_eq!(response.status(), 200);
        assert_eq!(json.as_str().map(str::len), Some(BODY_BYTES - 2));
    }
}

#[tokio::test]
async fn health_and_the_document_are_there() {
    let (response, health) = send(&small(), request(Method::GET, "/health", "", "")).await;
    assert_eq!((response.status().as_u16(), health), (200, json!({"status": "ok"})));
    let (response, document) = send(&small(), request(Method::GET, "/openapi.json", "", "")).await;
    assert_eq!(response.status(), 200);
    assert!(document["paths"]["/health"]["get"].is_object(), "{document}");
    assert!(document["components"]["schemas"]["Problem"].is_object(), "{document}");
}

#[tokio::test]
async fn one_that_takes_too_long_is_given_up_and_told_how_to_go_on() {
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let (response, problem) =
        send(&layered(router, 1, Duration::from_millis(10)), request(Method::GET, "/", "", "")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(problem["type"], "/problems/unknown");
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn one_too_many_is_refused_and_the_next_one_is_not() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
        }
    };
    let other = get(|| async {});
    let router = layered(Router::new().route("/slow", get(handler)).route("/other", other), 1, PATIENCE);
    let slow = {
        let router = router.clone();
        tokio::spawn(async move { send(&router, request(Method::GET, "/slow", "", "")).await })
    };
    entered.notified().await;
    let (response, problem) = send(&router, request(Method::GET, "/other", "", "")).await;
    assert_eq!((response.status().as_u16(), &problem["type"]), (503, &json!("/problems/overloaded")));
    assert_eq!(response.headers()["retry-after"], "1");
    leave.notify_one();
    assert_eq!(slow.await.expect("no panic").0.status(), 200);
    assert_eq!(send(&router, request(Method::GET, "/other", "", "")).await.0.status(), 200);
}
