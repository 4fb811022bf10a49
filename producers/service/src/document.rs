//! The `OpenAPI` document: what a service says of itself at `GET /openapi.json`, and `GET /health` beside it.

use axum::{Router, http::header, routing::get};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema, openapi};

use crate::{body::Json, problem::Problem};

/// What every service has.
#[derive(OpenApi)]
#[openapi(paths(health), components(schemas(Problem)))]
struct Shared;

/// That the service answers.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service answers; says nothing about S3 or Kinesis, whose failures a restart would not mend.
#[utoipa::path(get, path = "/health", tag = "service", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The routes that every service has.
pub(crate) fn routes(mut document: openapi::OpenApi) -> Router {
    document.merge(Shared::openapi());
    // A document is plain data with text as keys: it can't fail to serialize.
    let text = axum::body::Bytes::from(document.to_json().unwrap_or_default());
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], text.clone()) };
    Router::new().route("/health", get(health)).route("/openapi.json", get(answer))
}
