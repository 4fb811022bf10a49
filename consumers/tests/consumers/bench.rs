//! A bank in memory: commands go to the store, and what it published goes on as an event source mapping hands it over.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use bank::{Account, AccountCommand};
use base64::{Engine, prelude::BASE64_STANDARD};
use headwater::{
    Options, Settings, Store, StoredEvent, StreamId, Token,
    consume::{Projection, Projector},
    memory::World,
    port::{Arrival, Ports},
};
use http_body_util::BodyExt;
use serde_json::{Value, json, value::RawValue};
use tower::ServiceExt;

pub(crate) struct Bank {
    pub(crate) world: World,
    pub(crate) store: Store,
}

impl Bank {
    pub(crate) fn new() -> Self {
        let world = World::new(7);
        let store = Store::new(world.ports(), Settings::default());
        Self { world, store }
    }

    pub(crate) fn ports(&self) -> Ports {
        self.world.ports()
    }

    pub(crate) async fn execute(&self, id: &str, command: AccountCommand) -> Token {
        self.store.execute::<Account>(id, command, Options::default()).await.expect("executes").token
    }

    pub(crate) async fn open(&self, id: &str) {
        let overdraft_limit = 5_000.try_into().expect("a limit");
        self.execute(id, AccountCommand::Open { overdraft_limit, holder: None }).await;
    }

    pub(crate) async fn credit(&self, id: &str, amount: i64) -> Token {
        let amount = amount.try_into().expect("an amount");
        self.execute(id, AccountCommand::Credit { amount, reference: None, transfer: None }).await
    }

    /// Commits what the domain would not: an event as a newer producer might write it.
    pub(crate) async fn append(&self, id: &str, name: &str, data: Value) {
        let data = RawValue::from_string(data.to_string()).expect("JSON");
        let event = StoredEvent::new(name, 1, data).expect("an event");
        let stream = StreamId::new("account", id).expect("a stream");
        self.store.append(&stream, vec![event], Options::default()).await.expect("appends");
    }

    /// Hands all that was published to the projection, shard by shard; answers with what must come again.
    pub(crate) async fn deliver<P: Projection>(&self, projector: &Projector<P>) -> Vec<String> {
        let mut again = Vec::new();
        let records = self.world.log.records();
        let mut shards: Vec<_> = records.iter().map(|arrival| arrival.shard.clone()).collect();
        shards.sort();
        shards.dedup();
        for shard in shards {
            let batch: Vec<Value> = records.iter().filter(|one| one.shard == shard).map(mapped).collect();
            let event = serde_json::from_value(json!({ "Records": batch })).expect("an event");
            let answer = projector.handle(event).await.expect("handled");
            let answer = serde_json::to_value(answer).expect("JSON");
            let failures = answer["batchItemFailures"].as_array().expect("Lambda reads this member");
            assert!(failures.len() <= 1, "{failures:?}");
            again
                .extend(failures.iter().map(|one| one["itemIdentifier"].as_str().expect("an id").to_owned()));
        }
        again
    }
}

/// A record as Lambda has it.
pub(crate) fn mapped(Arrival { shard, sequence, at, key, data }: &Arrival) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "as Lambda says it")]
    let seconds = at.as_millisecond() as f64 / 1e3;
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": sequence.as_str(),
            "data": BASE64_STANDARD.encode(data), "approximateArrivalTimestamp": seconds,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("{shard}:{sequence}"),
        "eventName": "aws:kinesis:record", "awsRegion": "eu-central-1",
        "invokeIdentityArn": "arn:aws:iam::111122223333:role/consumer",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/events",
    })
}

/// Asks a router; header names and values in turn.
pub(crate) async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer =
        router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub(crate) async fn get(router: &Router, path: &str) -> (u16, Value) {
    let (status, _, body) = ask(router, "GET", path, &[]).await;
    (status.as_u16(), body)
}
