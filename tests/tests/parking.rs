//! A poisoned event stops one account in one view and nothing else: real Lambdas, real mappings, one shard for all accounts.
//!
//! 1. A projection that panics (`consumers/examples/fragile.rs`) parks its account, half a fold undone; the others go on, and
//!    so does the shard. What comes later stays behind the mark. Replaced by one that does not panic, `unpark` heals it.
//! 2. The bank's own `balance` parks what no domain would have decided.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use futures::future::join_all;
use headwater::{
    Options, Settings, Store, StoredEvent, StreamId, Version,
    consume::parked,
    format::{key, view::View},
    port::{Got, Keys, Ports},
};
use headwater_tests::{Answer, PATIENCE};
use headwater_tool::cluster::{self, Cluster, FAILURES, STORE, STREAM};
use localstack::{FunctionOptions, Mapping, MappingOptions, OnError, ResponseType};
use reqwest::Client;
use serde_json::{Value, json, value::RawValue};
use tokio::time::timeout;

/// The account that the fragile projection panics on.
const FRAGILE: &str = "glass";

/// A cluster of one shard, and the bank's customers.
struct World {
    cluster: Cluster,
    ports: Ports,
    http: Client,
}

impl World {
    async fn new() -> Self {
        let options = cluster::Options { shards: 1, ..cluster::Options::default() };
        let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
        let ports = cluster.clients().await.expect("clients").ports(STORE, STREAM);
        Self { cluster, ports, http: Client::new() }
    }

    fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.cluster.urls(service)[0])
    }

    async fn get(&self, service: &str, path: &str) -> Answer {
        Answer::to(self.http.get(self.url(service, path))).await
    }

    async fn post(&self, service: &str, path: &str, body: Value) -> Answer {
        Answer::to(self.http.post(self.url(service, path)).json(&body)).await
    }

    async fn open(&self, id: &str) {
        let opened = self.post("accounts", "/accounts", json!({"id": id, "overdraft_limit": 1_000})).await;
        assert_eq!(opened.status, 201, "{opened:?}");
    }

    /// A credit or a withdrawal, which must succeed.
    async fn moves(&self, service: &str, id: &str, amount: i64) {
        let moved = self.post(service, &format!("/accounts/{id}/{service}"), json!({"amount": amount})).await;
        assert_eq!(moved.status, 200, "{moved:?}");
    }

    /// The view of an account as it stands.
    async fn view(&self, projection: &str, id: &str) -> View<Value> {
        match self.ports.objects.get(&key::view(projection, id), None).await.expect("S3 answers") {
            Got::Found { body, .. } => View::decode(&body).expect("a view"),
            Got::Missing | Got::Unchanged => panic!("there is no view {projection}/{id}"),
        }
    }

    async fn given_up(&self) -> usize {
        let failures = self.cluster.clients().await.expect("clients").ports(FAILURES, STREAM).objects;
        failures.list_all(&Keys::under("")).await.expect("S3 answers").len()
    }

    /// Adds the fragile projection, or replaces it; it panics on a withdrawal of `account`.
    fn fragile(&self, account: Option<&str>) {
        let mut function =
            FunctionOptions { name: "fragile".to_owned(), ..self.cluster.function("examples/fragile") };
        let binary = function.binary.display();
        assert!(function.binary.is_file(), "cargo test --workspace builds {binary}");
        let variable = |account: &str| ("FRAGILE_ACCOUNT".to_owned(), account.to_owned());
        function.env.extend(account.map(variable));
        self.cluster.aws().function(function);
    }

    /// The mapping that the bank's projections have.
    async fn mapping(&self) -> Mapping {
        let options = MappingOptions {
            batch_size: 500,
            parallelization_factor: 2,
            filters: vec![r#"{"data":{"kind":["account"]}}"#.to_owned()],
            response_type: ResponseType::ReportBatchItemFailures,
            on_error: OnError::Bisect,
            maximum_retry_attempts: Some(5),
            on_failure_destination: Some(FAILURES.to_owned()),
            ..MappingOptions::new(STREAM, "fragile")
        };
        self.cluster.aws().mapping(options).await.expect("the mapping begins")
    }

    /// An HTTP request to the Lambda itself, as API Gateway hands it over.
    async fn invoke(&self, method: &str, path: &str, query: &str) -> (u64, Value) {
        let request = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "x"}, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "a", "domainName": "x", "domainPrefix": "x", "requestId": "r",
                "routeKey": "$default", "stage": "$default", "time": "12/Mar/2026:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64,
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"},
            },
        });
        let answer = self.cluster.aws().invoke("fragile", request.to_string()).await.expect("it answers");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let body = answer["body"].as_str().map(|body| serde_json::from_str(body).expect("JSON"));
        (answer["statusCode"].as_u64().expect("a status"), body.unwrap_or_default())
    }

    /// Waits until all Lambdas have taken in all that is in the stream now.
    async fn drain(&self, mapping: &Mapping) {
        timeout(PATIENCE, mapping.drain()).await.expect("the shard is not blocked");
        assert!(self.cluster.drain(PATIENCE).await, "the others go on");
        for shard in mapping.status() {
            assert_eq!((shard.outstanding, shard.retries), (0, 0), "{shard:?}");
        }
        assert_eq!(self.given_up().await, 0, "nothing is given up");
    }
}

fn held(balance: i64) -> Value {
    json!({"status": "open", "balance": balance, "overdraft_limit": 1_000})
}

fn account(id: &str) -> StreamId {
    StreamId::new("account", id).expect("a stream")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_parks_one_account_until_the_projection_is_mended() {
    let world = World::new().await;
    world.fragile(Some(FRAGILE));
    let mapping = world.mapping().await;
    let others: Vec<String> = (0..20).map(|number| format!("stone-{number}")).collect();
    let everybody = || others.iter().map(String::as_str).chain([FRAGILE]);
    join_all(everybody().map(async |id| {
        world.open(id).await;
        world.moves("credit", id, 500).await;
        world.moves("withdraw", id, 120).await;
        world.moves("credit", id, 7).await;
    }))
    .await;
    world.drain(&mapping).await;

    // The others' views are right, and so is the account's own in a projection without the fault.
    for id in &others {
        let view = world.view("fragile", id).await;
        assert_eq!((view.applied(&account(id)), &view.state), (Version::new(4), &held(387)), "{id}");
        assert_eq!(view.parked, BTreeMap::new());
    }
    let balance = world.view("balance", FRAGILE).await;
    assert_eq!((balance.applied(&account(FRAGILE)), &balance.state), (Version::new(4), &held(387)));
    assert_eq!(balance.parked, BTreeMap::new());

    // The account is where it was before the commit that panicked; what the panic said names the account, and is not kept.
    let view = world.view("fragile", FRAGILE).await;
    assert_eq!((view.applied(&account(FRAGILE)), &view.state), (Version::new(2), &held(500)));
    let mark = view.parked[&account(FRAGILE)].clone();
    assert_eq!(mark.version, Version::new(3));
    assert_eq!(mark.error, "the projection panicked: with a message that may hold data");

    // What comes later stays behind the mark, and the others still go on.
    world.moves("credit", FRAGILE, 1).await;
    world.moves("credit", &others[0], 1).await;
    world.drain(&mapping).await;
    assert_eq!(world.view("fragile", FRAGILE).await, view);
    assert_eq!(world.view("fragile", &others[0]).await.state, held(388));
    let listed = parked(&world.ports, "fragile").await.expect("the views are read");
    assert_eq!(
        listed.iter().map(|parked| (parked.stream.clone(), &parked.parked)).collect::<Vec<_>>(),
        [(account(FRAGILE), &mark)]
    );

    // A reader gets the old state, or is told so where it brings a newer token; mending nothing heals nothing.
    assert_eq!(world.invoke("GET", "/fragile/glass", "").await, (200, held(500)));
    let (status, problem) = world.invoke("GET", "/fragile/glass", "token=account/glass@5").await;
    assert_eq!((status, &problem["type"], &problem["version"]), (503, &json!("/problems/parked"), &json!(3)));
    let (status, outcome) = world.invoke("POST", "/fragile/glass/unpark", "").await;
    assert_eq!((status, &outcome["outcome"], &outcome["version"]), (200, &json!("parked_again"), &json!(3)));
    assert_eq!(outcome["error"], mark.error);

    // The function is replaced: the account is healed from its head, and what comes then is applied as it comes.
    world.fragile(None);
    let healed = world.invoke("POST", "/fragile/glass/unpark", "").await;
    assert_eq!(healed, (200, json!({"outcome": "healed", "version": 5})));
    let view = world.view("fragile", FRAGILE).await;
    assert_eq!((view.applied(&account(FRAGILE)), &view.state), (Version::new(5), &held(388)));
    assert_eq!(view.parked, BTreeMap::new());
    let again = world.invoke("POST", "/fragile/glass/unpark", "").await;
    assert_eq!(again, (200, json!({"outcome": "not_parked"})));
    world.moves("withdraw", FRAGILE, 8).await;
    world.drain(&mapping).await;
    for projection in ["fragile", "balance"] {
        let view = world.view(projection, FRAGILE).await;
        assert_eq!((view.applied(&account(FRAGILE)), &view.state), (Version::new(6), &held(380)));
    }
    drop(mapping);
    assert!(world.cluster.stop(PATIENCE).await);
}

/// An event as the store takes it from anybody.
fn event(name: &str, data: &Value) -> StoredEvent {
    StoredEvent::new(name, 1, RawValue::from_string(data.to_string()).expect("JSON")).expect("an event")
}

/// What must become of an account after an event that no domain would make.
struct Case {
    id: &'static str,
    /// The events after the opening, a commit each.
    commits: Vec<Vec<StoredEvent>>,
    /// The version that parks it, a part of the error, and how far its view comes: version and balance.
    parked: u64,
    error: &'static str,
    applied: u64,
    balance: i64,
}

fn cases() -> Vec<Case> {
    let credited = |amount: Value| vec![event("Credited", &json!({ "amount": amount }))];
    let range = "expected a whole number of 1 to 1000000000000 minor units";
    let alone = |id, amount: Value, error| Case {
        id,
        commits: vec![credited(json!(30)), credited(amount)],
        parked: 3,
        error,
        applied: 2,
        balance: 30,
    };
    let trillion = json!({"amount": 1_000_000_000_000_i64});
    vec![
        alone("nothing", json!(0), range),
        alone("negative", json!(-5), range),
        alone("too-large", json!(1_000_000_000_001_i64), range),
        alone("fraction", json!(1.5), range),
        alone("text", json!("5"), range),
        alone("null", Value::Null, range),
        // Each amount is fine, their sum is none; the credit of the same commit is taken back with it.
        Case {
            id: "too-deep",
            commits: vec![
                vec![event("Withdrawn", &trillion)],
                vec![event("Credited", &json!({"amount": 1})), event("Withdrawn", &json!({"amount": 5}))],
            ],
            parked: 4,
            // Its text holds the amount, and is not kept.
            error: "OutOfRange",
            applied: 2,
            balance: -1_000_000_000_000,
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_domain_would_make_parks_its_account_in_balance() {
    let world = World::new().await;
    let store = Store::new(world.ports.clone(), Settings::default());
    let append = async |id: &str, events: Vec<StoredEvent>| {
        store.append(&account(id), events, Options::default()).await.expect("it is appended");
    };
    let cases = cases();
    world.open("plain").await;
    join_all(cases.iter().map(async |case| {
        world.open(case.id).await;
        for commit in &case.commits {
            append(case.id, commit.clone()).await;
        }
        append(case.id, vec![event("Credited", &json!({"amount": 9}))]).await;
    }))
    .await;
    // A type that nobody knows is no fault: it counts as a version.
    append("plain", vec![event("Renamed", &json!({"to": "x"}))]).await;
    append("plain", vec![event("Credited", &json!({"amount": 40}))]).await;
    assert!(world.cluster.drain(PATIENCE).await, "the shard is not blocked");
    assert_eq!(world.given_up().await, 0);

    for Case { id, parked, error, applied, balance, .. } in &cases {
        let view = world.view("balance", id).await;
        let mark = &view.parked[&account(id)];
        assert_eq!(mark.version, Version::new(*parked), "{id}");
        assert!(mark.error.contains(error), "{id}: {}", mark.error);
        assert_eq!((view.applied(&account(id)), &view.state), (Version::new(*applied), &held(*balance)));

        let shown = world.get("balance", &format!("/balance/{id}")).await;
        assert_eq!(shown.status, 200, "{shown:?}");
        assert_eq!(
            (&shown.json["balance"], &shown.json["version"], &shown.json["parked"]),
            (&json!(balance), &json!(applied), &json!(parked))
        );
        let newest = world.get("balance", &format!("/balance/{id}?token=account/{id}@{parked}")).await;
        assert_eq!((newest.status.as_u16(), &newest.json["type"]), (503, &json!("/problems/parked")));
        let unparked = world.post("balance", &format!("/balance/{id}/unpark"), Value::Null).await;
        assert_eq!(
            (unparked.status.as_u16(), &unparked.json["outcome"], &unparked.json["version"]),
            (200, &json!("parked_again"), &json!(parked))
        );
        // The bank does not build on such a history either.
        let credit = world.post("credit", &format!("/accounts/{id}/credit"), json!({"amount": 1})).await;
        assert_eq!(
            (credit.status.as_u16(), &credit.json["type"]),
            (500, &json!("/problems/corrupt")),
            "{id}"
        );
    }
    let plain = world.view("balance", "plain").await;
    assert_eq!((plain.applied(&account("plain")), &plain.state), (Version::new(3), &held(40)));
    assert_eq!(plain.parked, BTreeMap::new());
    assert!(world.cluster.stop(PATIENCE).await);
}
