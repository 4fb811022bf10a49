//! A service process is killed again and again, between its commit and its record, or between its commit and its answer:
//! the caller's retry with the same key succeeds, nothing is lost or doubled, order is kept.

#![allow(clippy::expect_used, reason = "a test")]

use std::sync::atomic::{AtomicBool, Ordering};

use headwater::StreamId;
use headwater_tests::{PATIENCE, assert_every_invariant, cluster};
use headwater_tool::{
    cluster::{Cluster, STREAM},
    drive::Driven,
};
use localstack::{Fault, Gate, Request};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Where a process dies.
#[derive(Clone, Copy)]
enum Death {
    /// The head is written, and the record is not put.
    BeforeTheRecord,
    /// The head is written, and the process has not heard of it.
    BeforeTheAnswer,
}

async fn credit(url: &str, key: &str, amount: i64) -> Result<Response, reqwest::Error> {
    let request = Client::new().post(format!("{url}/accounts/42/credit")).header("Idempotency-Key", key);
    request.json(&json!({"amount": amount})).send().await
}

/// Lets a fresh process commit a credit and die.
async fn commit_and_die(cluster: &Cluster, key: &str, amount: i64, death: Death) {
    let service = cluster.spawn("credit", 0).await.expect("a process");
    let gate = Gate::new();
    let (held, committed) = (gate.clone(), AtomicBool::new(false));
    cluster.aws().on_request(move |request: &Request| {
        // The record before the head is the help for the commit before.
        let after = committed.load(Ordering::Relaxed);
        let record = request.operation == "kinesis:PutRecords" && request.stream.as_deref() == Some(STREAM);
        let head = request.operation == "s3:PutObject" && request.key.as_deref() == Some("heads/account/42");
        committed.fetch_or(head, Ordering::Relaxed);
        match death {
            Death::BeforeTheRecord if record && after => Fault::HoldBefore(held.clone()),
            Death::BeforeTheAnswer if head => Fault::HoldAfter(held.clone()),
            _ => Fault::Pass,
        }
    });
    let url = service.url().to_owned();
    let call = tokio::spawn({
        let key = key.to_owned();
        async move { credit(&url, &key, amount).await }
    });
    timeout(PATIENCE, gate.reached()).await.expect("it gets there");
    service.kill().await;
    assert!(call.await.expect("joins").is_err(), "a dead process answers nobody");
    cluster.aws().pass_requests();
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_its_commit_loses_and_doubles_nothing() {
    let cluster = cluster(1).await;
    let (accounts, others) = (cluster.urls("accounts"), cluster.urls("credit"));
    let opened =
        Client::new().post(format!("{}/accounts", accounts[0])).json(&json!({"id": "42"})).send().await;
    assert_eq!(opened.expect("an answer").status(), StatusCode::CREATED);

    let mut balance = 0;
    for round in 0..12_i64 {
        let death = if round % 2 == 0 { Death::BeforeTheRecord } else { Death::BeforeTheAnswer };
        let (key, amount) = (format!("round-{round}"), 1 << round);
        commit_and_die(&cluster, &key, amount, death).await;
        balance += amount;
        if round % 3 == 0 {
            // Somebody else writes before the caller comes back: the dead process's commit is published first (H4).
            let answer = credit(&others[0], &format!("between-{round}"), 100_000).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            balance += 100_000;
        }
        let again = credit(&others[0], &key, amount).await.expect("an answer");
        assert_eq!(again.status(), StatusCode::OK);
        let again: Value = again.json().await.expect("JSON");
        assert_eq!(again["repeat"], json!(true), "H8: it stood, and is not done again");
    }

    let account = Client::new().get(format!("{}/accounts/42", accounts[0])).send().await.expect("an answer");
    let account: Value = account.json().await.expect("JSON");
    assert_eq!(account["balance"], json!(balance));
    let mut driven = Driven::new().expect("nothing yet");
    driven.ledger.insert("account/42".parse::<StreamId>().expect("a stream"), balance);
    let found = assert_every_invariant(&cluster, &driven).await;
    assert_eq!(found.evidence.events(), 1 + 12 + 4);
}
