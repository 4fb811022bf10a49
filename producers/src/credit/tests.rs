//! The service `credit`, request by request.

use futures::TryStreamExt;
use headwater::Version;
use serde_json::{Value, json};

use crate::fixture::Services;

const PATH: &str = "/accounts/42/credit";

#[tokio::test(start_paused = true)]
async fn a_credit_adds_up() {
    let services = Services::with_account(0, 70).await;
    let credited = services.post(PATH, json!({"amount": 30, "reference": "rent"}), &[]).await;
    assert_eq!(credited.status, 200);
    assert_eq!((credited.header("etag"), credited.header("session-token")), ("\"3\"", "account/42@3"));
    assert_eq!(
        credited.json,
        json!({
            "id": "42", "balance": 100, "overdraft_limit": 0, "status": "open", "version": 3,
            "publication": "published", "repeat": false,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeat_gets_the_first_answer() {
    let services = Services::with_account(0, 0).await;
    let key = [("idempotency-key", "order-7")];
    let first = services.post(PATH, json!({"amount": 30}), &key).await;
    services.post(PATH, json!({"amount": 1000}), &[]).await;
    let again = services.post(PATH, json!({"amount": 30}), &key).await;
    assert_eq!((again.status, &again.headers), (first.status, &first.headers));
    assert_eq!((&first.json["repeat"], &again.json["repeat"]), (&json!(false), &json!(true)));
    assert_eq!((&again.json["balance"], &again.json["version"]), (&json!(30), &json!(2)));
    assert_eq!(services.get("/accounts/42", &[]).await.json["balance"], 1030);
}

#[tokio::test(start_paused = true)]
async fn a_key_stands_for_one_command() {
    let services = Services::with_account(0, 0).await;
    let key = [("idempotency-key", "order-7")];
    services.post(PATH, json!({"amount": 30}), &key).await;
    for (path, body) in [
        (PATH, json!({"amount": 31})),
        (PATH, json!({"amount": 30, "reference": "rent"})),
        ("/accounts/42/withdraw", json!({"amount": 30})),
    ] {
        services.post(path, body, &key).await.is_problem(422, "idempotency-key-reused");
    }
    assert_eq!(services.get("/accounts/42", &[]).await.json["balance"], 30);
}

#[tokio::test(start_paused = true)]
async fn a_precondition_names_the_version_it_stands_on() {
    let services = Services::with_account(0, 70).await;
    let amount = json!({"amount": 1});
    let late = services.post(PATH, amount.clone(), &[("if-match", "\"1\"")]).await;
    assert_eq!(late.is_problem(412, "precondition-failed")["version"], 2);
    let right = services.post(PATH, amount.clone(), &[("if-match", "\"2\"")]).await;
    assert_eq!((right.status.as_u16(), right.header("etag")), (200, "\"3\""));
    for tag in ["*", "W/\"3\"", "3"] {
        let malformed = services.post(PATH, amount.clone(), &[("if-match", tag)]).await;
        assert_eq!(malformed.is_problem(400, "invalid")["field"], "If-Match");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_meets_its_precondition_still() {
    let services = Services::with_account(0, 0).await;
    let headers = [("idempotency-key", "order-7"), ("if-match", "\"1\"")];
    let first = services.post(PATH, json!({"amount": 30}), &headers).await;
    let again = services.post(PATH, json!({"amount": 30}), &headers).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
    assert_eq!(again.json["repeat"], true);
}

#[tokio::test(start_paused = true)]
async fn trace_and_correlation_stay_with_the_commit() {
    let services = Services::with_account(0, 0).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", trace), ("x-correlation-id", "c-1"), ("x-causation-id", "e-1")];
    services.post(PATH, json!({"amount": 30}), &headers).await;
    let stream = "account/42".parse().expect("a stream");
    let commits: Vec<_> =
        services.bank.store().read(&stream, Version::new(2)).try_collect().await.expect("read");
    let meta = Value::Object(commits[0].meta.clone());
    assert_eq!(meta, json!({"traceparent": trace, "correlation": "c-1", "causation": "e-1"}));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_by_name() {
    let services = Services::with_account(0, 0).await;
    let amounts = "1 to 1000000000000 minor units";
    for (body, field, words) in [
        (json!({}), "amount", "missing field `amount`"),
        (json!({"amount": 0}), "amount", amounts),
        (json!({"amount": 1_000_000_000_001_i64}), "amount", amounts),
        (json!({"amount": 1.5}), "amount", amounts),
        (json!({"amount": "1"}), "amount", amounts),
        (json!({"amount": 1, "currency": "EUR"}), "currency", "unknown field `currency`"),
        (json!({"amount": 1, "reference": ""}), "reference", "1 to 140 characters"),
    ] {
        let answer = services.post(PATH, body, &[]).await;
        let problem = answer.is_problem(422, "invalid");
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_open_takes_nothing() {
    let services = Services::with_account(0, 0).await;
    let nowhere = services.post("/accounts/43/credit", json!({"amount": 1}), &[]).await;
    nowhere.is_problem(404, "not-open");
    services.post("/accounts/42/close", json!(null), &[]).await;
    services.post(PATH, json!({"amount": 1}), &[]).await.is_problem(422, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_balance_has_a_bound() {
    let services = Services::with_account(0, 0).await;
    let most = json!({"amount": bank::MAX_AMOUNT});
    for _ in 0..1000 {
        assert_eq!(services.post(PATH, most.clone(), &[]).await.status, 200);
    }
    let problem = services.post(PATH, json!({"amount": 1}), &[]).await;
    let problem = problem.is_problem(422, "balance-too-large");
    assert_eq!(
        (&problem["balance"], &problem["most"]),
        (&json!(bank::MAX_BALANCE), &json!(bank::MAX_BALANCE))
    );
}
