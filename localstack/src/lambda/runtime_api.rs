//! The Lambda Runtime API of one execution environment.
//!
//! 1. `GET …/invocation/next` waits for work and takes it; the time of the invocation runs from here.
//! 2. `POST …/invocation/{id}/response` or `…/error` ends it; one that is not under way is refused.
//! 3. `POST …/init/error` says that the function can't begin.

use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::PAYLOAD_LIMIT;
use crate::browser;

/// One piece of work for the process.
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    pub(crate) payload: Bytes,
    pub(crate) timeout: Duration,
    /// Told when the process takes it.
    pub(crate) taken: oneshot::Sender<()>,
    /// Told how it ended.
    pub(crate) ended: oneshot::Sender<Ended>,
}

/// What the process said in the end.
#[derive(Debug)]
pub(crate) enum Ended {
    Answered(Bytes),
    Failed(Bytes),
}

/// What the handlers share.
pub(crate) struct Runtime {
    function_arn: String,
    asked: Notify,
    work: Mutex<mpsc::Receiver<Invocation>>,
    under_way: Lock<Option<(String, oneshot::Sender<Ended>)>>,
    init_error: Lock<Option<oneshot::Sender<Bytes>>>,
}

impl Runtime {
    pub(crate) fn new(
        function_arn: String,
        work: mpsc::Receiver<Invocation>,
        init_error: oneshot::Sender<Bytes>,
    ) -> Self {
        Self {
            function_arn,
            asked: Notify::new(),
            work: Mutex::new(work),
            under_way: Lock::default(),
            init_error: Lock::new(Some(init_error)),
        }
    }

    /// Waits until the process has asked for work.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    fn end(&self, request_id: &str, ended: Ended) -> Response {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.take() {
            Some((id, waiting)) if id == request_id => {
                // Nobody waits any more when the invocation was given up; its process is killed then.
                let _ = waiting.send(ended);
                accepted()
            }
            other => {
                *under_way = other;
                let body = r#"{"errorType":"InvalidRequestID","errorMessage":"no such invocation"}"#;
                (StatusCode::BAD_REQUEST, body).into_response()
            }
        }
    }
}

/// The routes.
pub(crate) fn router(runtime: Arc<Runtime>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(4 * PAYLOAD_LIMIT))
        .layer(middleware::from_fn(own))
        .with_state(runtime)
}

/// A function is no browser: a web page that finds the port gets no event, and ends no invocation.
async fn own(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if browser::check(&parts).is_err() || parts.headers.contains_key("sec-fetch-mode") {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    runtime.asked.notify_one();
    let Some(invocation) = runtime.work.lock().await.recv().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let deadline = SystemTime::now() + invocation.timeout;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let trace =
        format!("Root=1-00000000-{:0>24};Sampled=0", invocation.request_id.replace('-', "").split_at(8).1);
    *runtime.under_way.lock().unwrap_or_else(PoisonError::into_inner) =
        Some((invocation.request_id.clone(), invocation.ended));
    let _ = invocation.taken.send(());
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", invocation.request_id)
        .header("lambda-runtime-deadline-ms", deadline.to_string())
        .header("lambda-runtime-invoked-function-arn", &runtime.function_arn)
        .header("lambda-runtime-trace-id", trace)
        .body(Body::from(invocation.payload));
    response.unwrap_or_else(|error| {
        tracing::error!(%error, "an invocation can't be written as a response");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    })
}

async fn response(State(runtime): State<Arc<Runtime>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() <= PAYLOAD_LIMIT {
        return runtime.end(&id, Ended::Answered(body));
    }
    let error = r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"the answer is too large"}"#;
    runtime.end(&id, Ended::Failed(Bytes::from_static(error.as_bytes())));
    (StatusCode::PAYLOAD_TOO_LARGE, error).into_response()
}

async fn error(State(runtime): State<Arc<Runtime>>, Path(id): Path<String>, body: Bytes) -> Response {
    runtime.end(&id, Ended::Failed(body))
}

async fn init_error(State(runtime): State<Arc<Runtime>>, body: Bytes) -> Response {
    let waiting = runtime.init_error.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(waiting) = waiting {
        let _ = waiting.send(body);
    }
    accepted()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response()
}
