//! The relay delivers what a dead writer left behind, on a stream that nobody touches again; and where it has passed, writers
//! need not help one another.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use archiver::relay::Report;
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::{
    StreamId, Version,
    aws::Clients,
    consume::Projection,
    format::{key, view::View},
    port::{Got, Objects},
};
use headwater_tests::{PATIENCE, assert_every_invariant, audited, cluster, until};
use headwater_tool::{
    cluster::{Cluster, STORE, STREAM},
    drive::Driven,
};
use localstack::{Fault, Gate, Request};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How old a head must be for these relays.
const AGE: Duration = Duration::from_secs(1);

/// A cluster with a relay that passes when it is told to.
async fn relayed(processes: usize) -> (Cluster, Clients) {
    let cluster = cluster(processes).await;
    let mut relay = cluster.function("relay");
    relay.env.insert("HEADWATER_RELAY_AGE".to_owned(), AGE.as_secs().to_string());
    cluster.aws().function(relay);
    let clients = cluster.clients().await.expect("clients");
    (cluster, clients)
}

async fn pass(cluster: &Cluster) -> Report {
    let report = cluster.aws().invoke("relay", "{}").await.expect("a pass");
    serde_json::from_slice(&report).expect("a report")
}

async fn open(url: &str, id: &str) {
    let opened = Client::new().post(format!("{url}/accounts")).json(&json!({"id": id})).send().await;
    assert_eq!(opened.expect("an answer").status(), StatusCode::CREATED);
}

async fn credit(url: &str, id: &str, amount: i64) {
    let credited = Client::new().post(format!("{url}/accounts/{id}/credit")).json(&json!({"amount": amount}));
    assert_eq!(credited.send().await.expect("an answer").status(), StatusCode::OK);
}

/// Waits until what stands now is old enough for the relay.
async fn grow_old(objects: &impl Objects) {
    let begin = objects.now().await.expect("a time");
    let old = begin + AGE + Duration::from_secs(2);
    until("time passes", async || objects.now().await.expect("a time") >= old).await;
}

/// Lets a fresh process commit a credit, and die before it publishes.
async fn commit_and_die(cluster: &Cluster) {
    let service = cluster.spawn("credit", 0).await.expect("a process");
    let gate = Gate::new();
    let (held, committed) = (gate.clone(), AtomicBool::new(false));
    cluster.aws().on_request(move |request: &Request| {
        // The record before the head is the help for the commit before.
        let after = committed.load(Ordering::Relaxed);
        let record = request.operation == "kinesis:PutRecords" && request.stream.as_deref() == Some(STREAM);
        let head = request.operation == "s3:PutObject" && request.key.as_deref() == Some("heads/account/42");
        committed.fetch_or(head, Ordering::Relaxed);
        if record && after { Fault::HoldBefore(held.clone()) } else { Fault::Pass }
    });
    let url = format!("{}/accounts/42/credit", service.url());
    let call = Client::new().post(url).header("Idempotency-Key", "left").json(&json!({"amount": 7})).send();
    let call = tokio::spawn(call);
    timeout(PATIENCE, gate.reached()).await.expect("it gets there");
    service.kill().await;
    assert!(call.await.expect("joins").is_err(), "a dead process answers nobody");
    cluster.aws().pass_requests();
}

/// How far a view has applied a stream.
async fn applied(objects: &impl Objects, view: &str, stream: &StreamId) -> Version {
    match objects.get(view, None).await.expect("a view") {
        Got::Found { body, .. } => View::<Value>::decode(&body).expect("a view").applied(stream),
        Got::Missing | Got::Unchanged => Version::ZERO,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_writer_died_reaches_every_view_within_two_rounds_of_the_relay() {
    let (cluster, clients) = relayed(1).await;
    let (store, stream) = (clients.objects(STORE), "account/42".parse::<StreamId>().expect("a stream"));
    open(&cluster.urls("accounts")[0], "42").await;
    commit_and_die(&cluster).await;
    let views = async || {
        assert!(cluster.drain(PATIENCE).await, "views and archive catch up");
        let views =
            [(Balances::NAME, Balances.key(&stream)), (CreditLimits::NAME, CreditLimits.key(&stream))];
        views.map(|(name, key)| key::view(name, &key.expect("a view")))
    };
    for view in views().await {
        assert_eq!(applied(&store, &view, &stream).await, Version::new(1), "{view} was told of the commit");
    }
    grow_old(&store).await;
    let found = audited(&cluster).await;
    assert!(found.contains(&("H6 (delivered)".to_owned(), "account/42".to_owned())), "{found:?}");
    let delivered = pass(&cluster).await;
    assert_eq!((delivered.published, delivered.stayed), (1, None));
    for view in views().await {
        assert_eq!(applied(&store, &view, &stream).await, Version::new(2), "{view} was not told");
    }
    assert_eq!(audited(&cluster).await, [], "delivered, archived and seen in every view");
    grow_old(&store).await;
    let after = pass(&cluster).await;
    assert_eq!((after.candidates, after.published), (0, 0));
    let mut driven = Driven::new().expect("nothing yet");
    driven.ledger.insert(stream, 7);
    let found = assert_every_invariant(&cluster, &driven).await;
    assert_eq!((found.evidence.events(), found.evidence.repeats()), (2, 1), "the writer helped the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_relay_has_passed_writers_do_not_help() {
    const ACCOUNTS: usize = 40;
    let (cluster, clients) = relayed(4).await;
    let (opens, credits) = (cluster.urls("accounts"), cluster.urls("credit"));
    for number in 0..ACCOUNTS {
        open(&opens[number % 4], &number.to_string()).await;
    }
    grow_old(&clients.objects(STORE)).await;
    let passed = pass(&cluster).await;
    assert_eq!((passed.present, passed.published), (ACCOUNTS as u64, 0));
    let round = async |shift: usize| {
        for number in 0..ACCOUNTS {
            credit(&credits[(number + shift) % 4], &number.to_string(), 1).await;
        }
    };
    round(0).await;
    let mut driven = Driven::new().expect("nothing yet");
    driven.ledger.extend((0..ACCOUNTS).map(|number| {
        let stream = format!("account/{number}");
        (stream.parse().expect("a stream"), 1)
    }));
    let evidence = assert_every_invariant(&cluster, &driven).await.evidence;
    assert!(evidence.repeats() * 20 < evidence.records, "{} of {}", evidence.repeats(), evidence.records);
    // No pass since: every other process helps the one before.
    round(1).await;
    driven.ledger.values_mut().for_each(|balance| *balance = 2);
    let evidence = assert_every_invariant(&cluster, &driven).await.evidence;
    assert_eq!(evidence.repeats(), ACCOUNTS as u64, "H4 takes a repeat each");
}
