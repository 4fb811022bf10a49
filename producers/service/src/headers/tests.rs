//! Headers, read and written.

use axum::{
    http::{Request, Response},
    response::IntoResponse,
};

use super::*;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

fn read(pairs: &[(&str, &str)]) -> CommandHeaders {
    CommandHeaders::read(&headers(pairs)).expect("valid headers")
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], field: &str) {
    let problem = CommandHeaders::read(&headers(pairs)).expect_err("invalid headers");
    let json = serde_json::to_value(&problem).expect("serializes");
    assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
    assert_eq!(json["field"].as_str().map(str::to_lowercase), Some(field.to_lowercase()), "{json}");
}

async fn session(uri: &str, pairs: &[(&str, &str)]) -> Result<Option<Token>, Problem> {
    let mut request = Request::get(uri).body(()).expect("a request");
    *request.headers_mut() = headers(pairs);
    let (mut parts, ()) = request.into_parts();
    SessionToken::from_request_parts(&mut parts, &()).await.map(|SessionToken(token)| token)
}

#[test]
fn nothing_said_means_any_version() {
    assert_eq!(read(&[]), CommandHeaders::default());
}

#[test]
fn an_idempotency_key_names_the_commit_quoted_or_not() {
    for key in ["order-7", "\"order-7\""] {
        let commit_id = read(&[("idempotency-key", key)]).commit_id.expect("a commit id");
        assert_eq!(commit_id.as_str(), "key:order-7");
    }
    refused(&[("idempotency-key", "two words")], "Idempotency-Key");
    refused(&[("idempotency-key", "")], "Idempotency-Key");
    refused(&[("idempotency-key", &"x".repeat(129))], "Idempotency-Key");
    refused(&[("idempotency-key", "a"), ("idempotency-key", "b")], "Idempotency-Key");
}

#[test]
fn a_precondition_is_one_version_or_nothing_at_all() {
    assert_eq!(read(&[("if-match", "\"17\"")]).expected, Expected::Exact(Version::new(17)));
    assert_eq!(read(&[("if-none-match", "*")]).expected, Expected::NoStream);
    for tag in [
        "17",
        "W/\"17\"",
        "*",
        "\"17\", \"18\"",
        "\"\"",
        "\"-1\"",
        "\"+1\"",
        "\"017\"",
        "\"99999999999999999999\"",
    ] {
        refused(&[("if-match", tag)], "If-Match");
    }
    refused(&[("if-none-match", "\"17\"")], "If-None-Match");
    refused(&[("if-match", "\"17\""), ("if-none-match", "*")], "If-None-Match");
}

#[test]
fn trace_and_correlation_travel_with_the_commit() {
    let meta = read(&[("traceparent", TRACE), ("x-correlation-id", "c-1"), ("x-causation-id", "e-1")]).meta;
    assert_eq!(
        serde_json::to_value(meta).expect("serializes"),
        serde_json::json!({"traceparent": TRACE, "correlation": "c-1", "causation": "e-1"})
    );
    refused(&[("x-correlation-id", &"x".repeat(129))], "X-Correlation-Id");
    refused(&[("x-causation-id", "a b")], "X-Causation-Id");
}

#[test]
fn a_malformed_trace_is_dropped() {
    let upper = TRACE.to_uppercase();
    let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
    for text in
        ["", "00", &TRACE[1..], &upper, &zeros, &format!("{TRACE}-more"), &TRACE.replacen("00", "ff", 1)]
    {
        assert!(read(&[("traceparent", text)]).meta.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn a_session_token_comes_by_header_or_query() {
    let token: Token = "account/42@17".parse().expect("a token");
    let by_header = session("/", &[("session-token", "account/42@17")]).await;
    assert_eq!(by_header.expect("valid"), Some(token.clone()));
    assert_eq!(session("/?token=account%2F42%4017", &[]).await.expect("valid"), Some(token));
    assert_eq!(session("/", &[]).await.expect("valid"), None);
    assert_eq!(session("/?token=42", &[]).await.expect_err("malformed").status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_reader_names_the_version_it_has() {
    for (tag, known) in [("\"17\"", Some(17)), ("W/\"17\"", Some(17)), ("*", None), ("\"x\"", None)] {
        let (mut parts, ()) =
            Request::get("/").header("if-none-match", tag).body(()).expect("a request").into_parts();
        let KnownVersion(version) =
            KnownVersion::from_request_parts(&mut parts, &()).await.expect("never refused");
        assert_eq!(version.map(Version::get), known, "{tag}");
    }
}

#[tokio::test]
async fn an_answer_tells_its_version_and_token_and_the_token_comes_back() {
    let token: Token = "account/zürich@17".parse().expect("a token");
    let answer: Response<_> = (Written(token.clone()), ()).into_response();
    assert_eq!(answer.headers()["etag"], "\"17\"");
    let mut request = Request::get("/").body(()).expect("a request");
    request.headers_mut().insert(SESSION_TOKEN, answer.headers()["session-token"].clone());
    let (mut parts, ()) = request.into_parts();
    let SessionToken(back) = SessionToken::from_request_parts(&mut parts, &()).await.expect("valid");
    assert_eq!(back, Some(token));
}
