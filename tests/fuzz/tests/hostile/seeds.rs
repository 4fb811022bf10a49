//! The documents that mutations begin with: golden files where they stand, and what the real code writes.

use archiver::quarantine::Quarantined;
use bank::{Account, AccountCommand};
use base64::{Engine, prelude::BASE64_STANDARD};
use headwater::{Options, Settings, Store, format::key, memory::World, port::Arrival};
use serde_json::json;

use crate::world::{arrival, run};

fn golden(path: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .trim_ascii_end()
        .to_vec()
}

/// A bank in which something has happened.
pub(crate) async fn bank(world: &World) -> Store {
    let store = Store::new(world.ports(), Settings::default());
    let limit = 5_000.try_into().expect("a limit");
    let amount = |units: i64| units.try_into().expect("an amount");
    let reference = || Some("rent, März".parse().expect("a reference"));
    let commands = [
        AccountCommand::Open { overdraft_limit: limit, holder: None },
        AccountCommand::Credit { amount: amount(12_000), reference: reference(), transfer: None },
        AccountCommand::Credit { amount: amount(8_000), reference: None, transfer: None },
        AccountCommand::Withdraw { amount: amount(300), reference: reference(), transfer: None },
        AccountCommand::Credit { amount: amount(7_000), reference: None, transfer: None },
    ];
    for command in commands {
        store.execute::<Account>("42", command, Options::default()).await.expect("executes");
    }
    store
}

fn happened() -> (World, Vec<Arrival>) {
    run(async {
        let world = World::new(7);
        bank(&world).await;
        let records = world.log.records();
        (world, records)
    })
}

fn standing(prefix: &str) -> Vec<Vec<u8>> {
    happened().0.objects.all(prefix).into_iter().map(|(_, body)| body.to_vec()).collect()
}

pub(crate) fn heads() -> Vec<Vec<u8>> {
    let mut heads = standing(key::HEADS);
    heads.push(golden("headwater/tests/golden/head.json"));
    heads
}

pub(crate) fn claims() -> Vec<Vec<u8>> {
    let golden = golden("headwater/tests/golden/claim.json");
    let of = |owner: &str| {
        let text = String::from_utf8_lossy(&golden).replace("user/9", owner);
        text.into_bytes()
    };
    vec![golden.clone(), of("user/1"), of("account/42")]
}

pub(crate) fn pages() -> Vec<Vec<u8>> {
    vec![golden("headwater/tests/golden/page.json")]
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    let mut records: Vec<_> = happened().1.into_iter().map(|arrival| arrival.data.to_vec()).collect();
    records.push(golden("headwater/tests/golden/record.json"));
    records.push(golden("headwater/tests/golden/record-of-a-store.json"));
    records
}

pub(crate) fn views() -> Vec<Vec<u8>> {
    vec![golden("headwater/tests/golden/view.json")]
}

pub(crate) fn pointers() -> Vec<Vec<u8>> {
    let fresh = br#"{"format":1,"serving":0,"building":null}"#;
    vec![golden("headwater/tests/golden/pointer.json"), fresh.to_vec()]
}

pub(crate) fn identities() -> Vec<Vec<u8>> {
    vec![golden("headwater/tests/golden/identity.json")]
}

pub(crate) fn watermarks() -> Vec<Vec<u8>> {
    vec![golden("headwater/tests/golden/watermark.json")]
}

pub(crate) fn timers() -> Vec<Vec<u8>> {
    vec![golden("headwater/tests/golden/timer.json")]
}

pub(crate) fn segments() -> Vec<Vec<u8>> {
    vec![golden("archiver/tests/golden/segment.parquet")]
}

pub(crate) fn quarantined() -> Vec<Vec<u8>> {
    let stray = Quarantined::new(&arrival(1, b"no commit"), "because");
    vec![golden("archiver/tests/golden/quarantined.json"), stray.encode().expect("encodes").to_vec()]
}

/// What an event source mapping hands over.
pub(crate) fn events() -> Vec<Vec<u8>> {
    let mut records: Vec<Arrival> = happened().1;
    records.push(arrival(u64::MAX, b"no commit"));
    let mapped = |arrival: &Arrival| {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": arrival.key,
                "sequenceNumber": arrival.sequence.as_str(),
                "data": BASE64_STANDARD.encode(&arrival.data),
                "approximateArrivalTimestamp": 1_795_289_400.123,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("{}:{}", arrival.shard, arrival.sequence),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::111122223333:role/consumer",
            "awsRegion": "eu-central-1",
            "eventSourceARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/bank",
        })
    };
    let whole = json!({ "Records": records.iter().map(mapped).collect::<Vec<_>>() });
    let one = json!({ "Records": [mapped(&records[0])] });
    vec![whole.to_string().into_bytes(), one.to_string().into_bytes()]
}

pub(crate) fn lines() -> Vec<Vec<u8>> {
    [
        r#"{"stream":"permit/1","id":"a-1","at":"2010-10-02T09:20:39.266123+02:00","events":[{"type":"Sent","data":{"to": "x"}},{"type":"Seen","schema":3,"data":null}],"meta":{"by":"me"}}"#,
        r#"{"stream":"account/42","id":"b-2","at":"2026-11-21T19:30:00Z","events":[{"type":"Credited","data":{"amount":5}}]}"#,
    ]
    .map(|line| line.as_bytes().to_vec())
    .into()
}

pub(crate) fn names() -> Vec<Vec<u8>> {
    [
        "account/42",
        "account/a b/ü@17",
        "account/42@17",
        "6f1c2a34-9f5e-4c5b-8a51-3d1f8d9f0c11",
        "49590338271490256608559692538361571095921575989136588898",
        "heads/account/a%20b%2F%C3%BC",
        "views/balance/a%2F1",
        "archive/bank/shard=shardId-000000000000/dt=2026-11-21/000000000001.parquet",
        "http://127.0.0.1:4566",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into()
}

/// A request a document: the line, headers, an empty line, the body.
pub(crate) fn requests() -> Vec<Vec<u8>> {
    let json = "content-type: application/json\n";
    [
        format!("POST /accounts\n{json}idempotency-key: k-1\n\n{{\"id\": \"43\", \"overdraft_limit\": 5000}}"),
        format!("POST /accounts\n{json}if-none-match: *\n\n{{\"overdraft_limit\": 0}}"),
        format!("POST /accounts/42/credit\n{json}if-match: \"5\"\nx-correlation-id: c-1\n\n{{\"amount\": 1250, \"reference\": \"rent, March\"}}"),
        format!("POST /accounts/42/withdraw\n{json}traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nx-causation-id: c-2\n\n{{\"amount\": 300, \"reference\": \"cash\"}}"),
        format!("POST /transfers\n{json}idempotency-key: t-1\n\n{{\"id\": \"7\", \"from\": \"42\", \"to\": \"43\", \"amount\": 1250}}"),
        format!("POST /transfers/7/redirect\n{json}\n{{\"to\": \"44\"}}"),
        "GET /transfers/7\nif-none-match: \"5\"\n\n".to_owned(),
        "POST /accounts/42/close\nidempotency-key: \"k-2\"\n\n".to_owned(),
        "GET /accounts/42\nif-none-match: \"5\"\n\n".to_owned(),
        "GET /balance/42\nsession-token: account/42@5\n\n".to_owned(),
        "GET /balance/42?token=account%2F42%405\n\n".to_owned(),
        "GET /credit-limit/42?token=account/42@5\nif-none-match: \"4\"\n\n".to_owned(),
        "POST /credit-limit/42/unpark\n\n".to_owned(),
        "GET /openapi.json\naccept: */*\n\n".to_owned(),
        "GET /health\n\n".to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}
