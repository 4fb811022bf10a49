//! The `OpenAPI` document: what a service says of itself at `GET /openapi.json`, and `GET /health` beside it.
//!
//! A service says of an operation what is its own. What every operation has is added here, where its layers, headers and bodies
//! are: the problems of each, and a description wherever one is missing.

use axum::{
    Router,
    http::{StatusCode, header},
    routing::get,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{OpenApi, ToSchema, openapi};

use crate::{body::Json, headers::IDEMPOTENCY_SCOPE, problem::Problem};

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
pub(crate) fn routes(document: openapi::OpenApi) -> Router {
    let text = axum::body::Bytes::from(whole(document).to_string());
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], text.clone()) };
    Router::new().route("/health", get(health)).route("/openapi.json", get(answer))
}

/// The document with what every service has.
fn whole(mut document: openapi::OpenApi) -> Value {
    document.merge(Shared::openapi());
    // A document is plain data with text as keys: it can't fail to serialize.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    for operation in paths.filter_map(|(_, item)| item.as_object_mut()).flat_map(Map::values_mut) {
        complete(operation);
    }
    document
}

/// Adds what an operation does not say of itself.
fn complete(operation: &mut Value) {
    let names: Vec<(String, String)> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| (text(&parameter["in"]), text(&parameter["name"])))
        .collect();
    let has =
        |place: &str, name: &str| names.iter().any(|(at, of)| at == place && (name.is_empty() || of == name));
    let body = operation.get("requestBody").is_some();
    let command = has("header", "Idempotency-Key");
    let problems = [
        (
            !names.is_empty() || body,
            400,
            "the path, a header, the query or the body breaks a rule: `field` names which",
        ),
        (true, 403, "the service listens on loopback, and the request comes from another origin"),
        (has("path", ""), 404, "there is none of this name"),
        (command, 409, "others were faster: retry"),
        (
            command,
            412,
            "the version is another one than `If-Match` or `If-None-Match` says: `version` is the newest",
        ),
        (body, 413, "the body is longer than 256 KiB"),
        (body, 415, "the body is not `application/json`"),
        (
            body || command,
            422,
            "a value breaks a rule, the state does not allow it, or the `Idempotency-Key` was used for another request",
        ),
        (true, 500, "the service has a fault, lacks a right, or can't read what is stored: no retry helps"),
        (
            true,
            503,
            "nothing happened (`unavailable`, `overloaded`, `newer-schema`), or that is unknown (`unknown`): retry with the same `Idempotency-Key`",
        ),
    ];
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (_, status, words) in problems.into_iter().filter(|(occurs, ..)| *occurs) {
        let response = responses.entry(status.to_string()).or_insert_with(|| json!({}));
        if response.get("description").is_none() {
            response["description"] = words.into();
        }
        if status == 503 {
            response["headers"]["Retry-After"] = json!({"description": "when to ask again, in seconds", "schema": {"type": "integer", "minimum": 1}});
        }
        response["content"] =
            json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    }
    for (status, response) in responses {
        if command && status.starts_with('2') {
            response["headers"][IDEMPOTENCY_SCOPE.as_str()] = json!({
                "description": "the stream in which the `Idempotency-Key` counts: in another one it is another request",
                "schema": {"type": "string"},
            });
        }
        if response.get("description").is_none() {
            let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
            let words = status.and_then(|status| status.canonical_reason()).unwrap_or("another answer");
            response["description"] = words.to_lowercase().into();
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[utoipa::path(post, path = "/things/{id}", request_body = Health,
        params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
        responses((status = 200, body = Health), (status = 409, description = "it is there")))]
    #[expect(dead_code, reason = "read by the derive alone")]
    fn thing() {}

    #[derive(OpenApi)]
    #[openapi(paths(thing))]
    struct Things;

    #[test]
    fn every_status_that_occurs_is_there_and_described() {
        let document = whole(Things::openapi());
        let responses =
            document["paths"]["/things/{id}"]["post"]["responses"].as_object().expect("responses");
        let statuses: Vec<_> = responses.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "400", "403", "404", "409", "412", "413", "415", "422", "500", "503"]);
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|words| !words.is_empty()), "{status}");
            let problem = response["content"].get("application/problem+json").is_some();
            assert_eq!(problem, status != "200", "{status}: {response}");
        }
        assert_eq!(responses["409"]["description"], "it is there", "what a service says stays");
        let health = &document["paths"]["/health"]["get"]["responses"];
        let statuses: Vec<_> = health.as_object().expect("responses").keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "403", "500", "503"]);
    }
}
