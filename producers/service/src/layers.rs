//! What stands around every router, from the outside in:
//!
//! 1. a span per request: method, matched path, status, duration, the stream and version that were shown; never a body, a
//!    query or a header but `traceparent`,
//! 2. a path with a segment `.` or `..` is refused, which a caller or a gateway may resolve and another may not; every error
//!    becomes a [`Problem`] with the path of its request,
//! 3. a panic is a 500 without details,
//! 4. more than [`IN_FLIGHT`] requests at a time are refused, and one that takes longer than [`PATIENCE`] is given up,
//! 5. a body of more than [`BODY_BYTES`] is refused.

use std::{any::Any, time::Duration};

use axum::{
    BoxError, Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{Response, StatusCode, header},
    middleware::{Next, from_fn},
    response::IntoResponse,
};
use headwater::{redact, trace};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::error::Overloaded};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing::{Span, field::Empty};
use utoipa::openapi::OpenApi;

use crate::{document, headers, path, problem::Problem};

/// Largest body of a request, in bytes.
pub const BODY_BYTES: usize = 256 << 10;
/// Most requests at a time; a Lambda has one.
pub const IN_FLIGHT: usize = 1024;
/// Longest that a request may take: twice the store's own deadline.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// What is kept of an error's plain text, in bytes.
const DETAIL_BYTES: usize = 4 << 10;

/// A whole service: `router`, what every service has, and the layers around both.
pub fn app(router: Router, document: OpenApi) -> Router {
    layered(router.merge(document::routes(document)), IN_FLIGHT, PATIENCE)
}

pub(crate) fn layered(router: Router, in_flight: usize, patience: Duration) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(done)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(());
    let limits = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(move |error: BoxError| async move { refused(&error, patience) }))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(in_flight))
        .timeout(patience);
    let layers = ServiceBuilder::new()
        .layer(trace)
        .layer(from_fn(as_problem))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(limits)
        .layer(DefaultBodyLimit::max(BODY_BYTES));
    router.layer(layers)
}

fn span(request: &Request) -> Span {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let caller = headers::traceparent(request.headers());
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        method = %request.method(),
        path,
        status = Empty,
        traceparent = caller,
    );
    if let Some(caller) = caller {
        trace::follow(&span, caller);
    }
    span
}

fn done(response: &Response<Body>, took: Duration, span: &Span) {
    let (status, milliseconds) = (response.status().as_u16(), took.as_secs_f64() * 1e3);
    span.record("status", status);
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
        tracing::warn!(status, milliseconds, "failed");
    } else {
        let shown = headers::shown(response.headers());
        tracing::debug!(status, milliseconds, shown, "answered");
    }
}

fn refused(error: &BoxError, patience: Duration) -> Problem {
    if error.is::<Overloaded>() {
        Problem::overloaded()
    } else if error.is::<tower::timeout::error::Elapsed>() {
        Problem::late(patience.as_secs())
    } else {
        tracing::error!(%error, "a layer failed");
        Problem::internal()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!(panic = redact::panic_words(&*panic), "a handler panicked");
    Problem::internal().into_response()
}

/// Makes every error a problem document: our own get their path, those of the framework (404, 405, 413, 415, 400) get
/// all of it, and keep their headers, as `Allow`.
async fn as_problem(request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path::has_dots(&path) {
        let rule = "must not have a segment . or ..";
        return Problem::invalid(StatusCode::BAD_REQUEST, "path", rule).at(&path).into_response();
    }
    let (mut parts, body) = next.run(request).await.into_parts();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None if is_error(parts.status) => {
            let text = axum::body::to_bytes(body, DETAIL_BYTES).await.unwrap_or_default();
            let problem = Problem::blank(parts.status);
            match std::str::from_utf8(&text) {
                Ok(text) if !text.is_empty() => problem.with_detail(text),
                _ => problem,
            }
        }
        None => return Response::from_parts(parts, body),
    };
    let (own, body) = problem.at(&path).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(own.headers);
    Response::from_parts(parts, body)
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

#[cfg(test)]
mod tests;
