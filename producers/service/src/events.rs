//! One Lambda for events, requests and ticks: which of them a payload is, its shape tells.

use axum::Router;
use headwater::redact::json_fault;
use lambda_runtime::LambdaEvent;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::value::{RawValue, to_raw_value};

use crate::{gateway, start::BoxError};

/// The little that must be seen to tell a Kinesis event.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "Records", default)]
    records: Vec<Source>,
}

/// The little that must be seen to tell a request.
#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "requestContext")]
    _context: IgnoredAny,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "eventSource", default)]
    event_source: String,
}

/// Whether Kinesis sent this.
fn is_kinesis(payload: &RawValue) -> bool {
    let shape = serde_json::from_str::<Shape>(payload.get());
    shape.is_ok_and(|shape| shape.records.iter().any(|record| record.event_source == "aws:kinesis"))
}

/// The little that must be seen to tell what a schedule sends.
#[derive(Deserialize)]
struct Scheduled {
    source: String,
    #[serde(rename = "detail-type")]
    kind: String,
}

/// What a function was sent that nothing here is for.
#[derive(Debug, thiserror::Error)]
#[error("refused: expected {0}")]
struct Unexpected(&'static str);

/// Kinesis events and requests.
const EVENTS: &str = "the records of a Kinesis event source mapping, or a request of an HTTP API, a function URL or a load balancer";
/// All that a process takes.
const WITH_TICKS: &str = "the records of a Kinesis event source mapping, a request of an HTTP API, a function URL or a load \
     balancer, or the event of an EventBridge schedule";

/// Whether a schedule sent this: a rule of `EventBridge`, or its scheduler.
fn is_scheduled(payload: &RawValue) -> bool {
    let scheduled = serde_json::from_str::<Scheduled>(payload.get());
    scheduled.is_ok_and(|Scheduled { source, kind }| {
        matches!(source.as_str(), "aws.events" | "aws.scheduler") && kind == "Scheduled Event"
    })
}

/// Whether this is a tick.
///
/// # Errors
///
/// It is neither a tick, nor events, nor a request.
pub(crate) fn is_tick(payload: &RawValue) -> Result<bool, BoxError> {
    let tick = is_scheduled(payload);
    if tick || is_kinesis(payload) || is_request(payload) {
        Ok(tick)
    } else {
        Err(Unexpected(WITH_TICKS).into())
    }
}

/// Whether somebody asked this by HTTP.
fn is_request(payload: &RawValue) -> bool {
    serde_json::from_str::<Asked>(payload.get()).is_ok()
}

/// Hands a payload to whom it is for, and answers as that one does.
pub(crate) async fn dispatch<E, A, F>(
    LambdaEvent { payload, .. }: LambdaEvent<Box<RawValue>>,
    router: Router,
    handler: &(impl Fn(E) -> F + Send + Sync),
) -> Result<Box<RawValue>, BoxError>
where
    E: DeserializeOwned + Send,
    A: Serialize,
    F: Future<Output = Result<A, BoxError>> + Send,
{
    if is_kinesis(&payload) {
        let event = serde_json::from_str(payload.get()).map_err(|error| json_fault(&error))?;
        return Ok(to_raw_value(&handler(event).await?)?);
    }
    if !is_request(&payload) {
        return Err(Unexpected(EVENTS).into());
    }
    gateway::answer(router, &payload).await
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::StatusCode, routing::post};
    use lambda_runtime::Context;
    use serde_json::{Value, json};

    use super::*;

    async fn answer(payload: Value) -> Result<Value, String> {
        type Pairs = Query<Vec<(String, String)>>;
        let echo = |Query(query): Pairs, body: String| async move {
            (StatusCode::CREATED, format!("{query:?} {body}"))
        };
        let router = Router::new().route("/accounts", post(echo));
        let handler = |event: Value| async move {
            match event["Records"][0]["kinesis"]["data"].as_str() {
                Some("bad") => Err(BoxError::from("no")),
                _ => Ok(json!({"batchItemFailures": []})),
            }
        };
        let event = LambdaEvent::new(to_raw_value(&payload).expect("serializes"), Context::default());
        let answer = dispatch(event, router, &handler).await.map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(answer.get()).expect("JSON"))
    }

    fn kinesis(data: &str) -> Value {
        json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": data}}]})
    }

    #[tokio::test]
    async fn kinesis_events_go_to_the_handler() {
        assert_eq!(answer(kinesis("fine")).await, Ok(json!({"batchItemFailures": []})));
        assert_eq!(answer(kinesis("bad")).await, Err("no".to_owned()));
    }

    #[tokio::test]
    async fn requests_go_to_the_router() {
        let answer = answer(json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/accounts", "rawQueryString": "a=1",
            "headers": {"content-type": "text/plain", "host": "x"}, "isBase64Encoded": false, "body": "hello",
            "requestContext": {
                "accountId": "1", "apiId": "a", "domainName": "x", "domainPrefix": "x", "requestId": "r",
                "routeKey": "$default", "stage": "$default", "time": "12/Mar/2026:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64,
                "http": {"method": "POST", "path": "/accounts", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"},
            },
        }))
        .await
        .expect("an answer");
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(201), &json!(r#"[("a", "1")] hello"#)));
    }

    #[test]
    fn what_a_schedule_sends_is_a_tick_and_what_nobody_knows_is_refused() {
        let tick = |payload: &Value| {
            is_tick(&to_raw_value(payload).expect("serializes")).map_err(|error| error.to_string())
        };
        for source in ["aws.events", "aws.scheduler"] {
            let scheduled =
                json!({"source": source, "detail-type": "Scheduled Event", "detail": {}, "time": "x"});
            assert_eq!(tick(&scheduled), Ok(true));
        }
        for payload in [kinesis("fine"), json!({"requestContext": {"http": {"method": "GET"}}})] {
            assert_eq!(tick(&payload), Ok(false), "{payload}");
        }
        for payload in [
            json!({}),
            json!(null),
            json!("now"),
            json!({"source": "aws.events"}),
            json!({"source": "aws.s3", "detail-type": "Object Created"}),
            json!({"source": "me", "detail-type": "Scheduled Event"}),
            json!({"Records": [{"eventSource": "aws:s3"}]}),
            json!({"Records": []}),
        ] {
            let refused = tick(&payload).expect_err("nobody knows it");
            assert!(refused.contains("expected") && refused.contains("schedule"), "{payload}: {refused}");
        }
    }

    /// Records with a number each.
    #[derive(Deserialize)]
    struct Numbers {
        #[serde(rename = "Records")]
        _records: Vec<Number>,
    }

    #[derive(Deserialize)]
    struct Number {
        #[serde(rename = "kinesis")]
        _number: u64,
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_payload_is_said_without_what_is_in_it() {
        let kinesis = json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": "CANARY"}]});
        let event = LambdaEvent::new(to_raw_value(&kinesis).expect("serializes"), Context::default());
        let handler = async |_: Numbers| Ok::<_, BoxError>(());
        let refused = dispatch(event, Router::new(), &handler).await.expect_err("it is refused").to_string();
        assert!(refused.contains("invalid type: string") && !refused.contains("CANARY"), "{refused}");
        for payload in [
            json!({"requestContext": "CANARY"}),
            json!({"requestContext": {}, "headers": "CANARY"}),
            json!({"requestContext": {}, "isBase64Encoded": "CANARY"}),
        ] {
            let refused = answer(payload).await.expect_err("it is refused");
            assert!(refused.contains("invalid type: string") && !refused.contains("CANARY"), "{refused}");
        }
    }

    #[tokio::test]
    async fn what_is_neither_is_an_error_of_the_invocation() {
        let refused =
            answer(json!({"Records": [{"eventSource": "aws:s3"}]})).await.expect_err("it is refused");
        assert!(refused.contains("expected") && refused.contains("Kinesis"), "{refused}");
    }
}
