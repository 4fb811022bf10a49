//! One command is followed from its request to the view: by its trace, by the log, and in the metrics, of real processes.

#![allow(clippy::expect_used, reason = "a test")]

mod collector;

use std::sync::{Arc, Mutex, PoisonError};

use headwater_tests::{Answer, PATIENCE};
use headwater_tool::cluster::{self, Cluster};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use self::collector::{Collector, Told};

/// What the caller brings along.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn start(environment: Vec<(&'static str, String)>) -> Cluster {
    let options = cluster::Options { shards: 1, environment, ..cluster::Options::default() };
    Cluster::start(options, |_| ()).await.expect("the cluster starts")
}

async fn post(cluster: &Cluster, service: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
    let url = format!("{}{path}", cluster.urls(service)[0]);
    let request = Client::new().post(url).json(&body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = Answer::to(request).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer
}

/// Waits until `look` finds something.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_request_to_the_view_and_through_a_process() {
    let collector = Collector::begin().await;
    let cluster = start(vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())]).await;
    for id in ["payer", "payee"] {
        let account = json!({"id": id, "overdraft_limit": 1_000});
        post(&cluster, "accounts", "/accounts", account, &[]).await;
    }
    let transfer = json!({"id": "t-1", "from": "payer", "to": "payee", "amount": 7});
    post(&cluster, "transfers", "/transfers", transfer, &[("traceparent", CALLER)]).await;
    assert!(cluster.drain(PATIENCE).await, "the money moves");

    // The service tells when it ends, a Lambda with each invocation.
    cluster.stop_services().await;
    let told = |service: &'static str, name: &'static str, stream: &'static str| {
        let collector = &collector;
        async move {
            until(&format!("{name} of {service} for {stream}"), || {
                let mut told = collector.told().into_iter();
                let fits = |told: &Told| {
                    told.service == service && told.name == name && told.trace == TRACE && told.is_of(stream)
                };
                told.find(fits)
            })
            .await
        }
    };
    let request = told("transfers", "request", "").await;
    assert_eq!(request.parent, "00f067aa0ba902b7");
    let commit = told("transfers", "commit", "transfer/t-1").await;
    assert_eq!(commit.parent, request.span);
    assert_eq!(told("transfers", "publish", "transfer/t-1").await.parent, commit.span);

    // The process goes on within the trace of its cause, and so do the commands that it executes.
    let reaction = told("transfer-process", "react", "transfer/t-1").await;
    assert_eq!(reaction.parent, commit.span);
    let withdrawal = told("transfer-process", "commit", "account/payer").await;
    assert_eq!(withdrawal.parent, reaction.span);

    // Views of the payer's account are a part of it.
    let views =
        collector.told().into_iter().filter(|told| told.service == "balance" && told.name == "project");
    let views: Vec<Told> = views.collect();
    assert!(
        views.iter().any(|view| view.trace == TRACE || view.links.iter().any(|trace| trace == TRACE)),
        "{views:?}"
    );
    let batches =
        collector.told().into_iter().filter(|told| told.service == "balance" && told.name == "batch");
    assert!(batches.flat_map(|batch| batch.links).any(|trace| trace == TRACE));
    assert!(cluster.stop(PATIENCE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_followed_through_the_logs_and_counted_by_its_lambdas() {
    let environment = vec![
        ("HEADWATER_LOG", "info,headwater=debug,archiver=debug".to_owned()),
        ("HEADWATER_METRICS", "emf".to_owned()),
    ];
    let cluster = start(environment).await;
    let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
    for function in ["balance", "archiver"] {
        let mut options = cluster.function(function);
        let lines = Arc::clone(&lines);
        options.log = Some(Arc::new(move |line: &str| {
            let line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }));
        cluster.aws().function(options);
    }
    post(&cluster, "accounts", "/accounts", json!({"id": "42"}), &[]).await;
    post(&cluster, "credit", "/accounts/42/credit", json!({"amount": 7}), &[("Idempotency-Key", "pay-1")])
        .await;
    assert!(cluster.drain(PATIENCE).await, "views and archive catch up");

    let line = |what: &'static str, fits: &'static (dyn Fn(&Value) -> bool + Sync)| {
        let lines = &lines;
        async move {
            until(what, || {
                let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.iter().find(|line| fits(line)).cloned()
            })
            .await
        }
    };
    for message in ["applied", "archived a commit"] {
        let told = until(message, || {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.iter().find(|line| line["message"] == message && line["commit"] == "key:pay-1").cloned()
        });
        let told = told.await;
        assert_eq!((&told["stream"], &told["version"]), (&json!("account/42"), &json!("2")), "{told}");
    }
    let view = line("metrics of the view", &|line| line["Function"] == "balance").await;
    assert!(view["Applied"].as_u64().is_some_and(|applied| (1..=2).contains(&applied)), "{view}");
    assert!(view["Lag"].is_number(), "{view}");
    let segment = line("metrics of the archive", &|line| line["Function"] == "archiver").await;
    assert!(segment["ArchivedCommits"].is_number() && segment["SegmentBytes"].is_number(), "{segment}");
    let directive = &segment["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Headwater");
    for (name, unit) in [("Lag", "Milliseconds"), ("SegmentBytes", "Bytes"), ("Segments", "Count")] {
        let metrics = directive["Metrics"].as_array().expect("definitions");
        assert!(metrics.contains(&json!({"Name": name, "Unit": unit})), "{segment}");
    }
    assert!(cluster.stop(PATIENCE).await);
}
