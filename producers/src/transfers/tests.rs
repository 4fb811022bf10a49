//! The service `transfers`, request by request. What becomes of an order is the process's to try.

use futures::TryStreamExt;
use headwater::Version;
use serde_json::{Value, json};

use crate::fixture::{Answer, Services};

async fn order(services: &Services, body: Value, headers: &[(&str, &str)]) -> Answer {
    services.post("/transfers", body, headers).await
}

fn body() -> Value {
    json!({"id": "7", "from": "42", "to": "43", "amount": 70, "reference": "rent"})
}

#[tokio::test(start_paused = true)]
async fn an_order_tells_where_the_transfer_is() {
    let services = Services::with_accounts().await;
    let ordered = order(&services, body(), &[]).await;
    assert_eq!((ordered.status.as_u16(), ordered.header("location")), (201, "/transfers/7"));
    assert_eq!((ordered.header("etag"), ordered.header("session-token")), ("\"1\"", "transfer/7@1"));
    let expected = json!({
        "id": "7", "status": "requested", "from": "42", "to": "43", "amount": 70, "reference": "rent",
        "version": 1, "publication": "published", "repeat": false,
    });
    assert_eq!(ordered.json, expected);
    let read = services.get("/transfers/7", &[]).await;
    assert_eq!((read.status.as_u16(), &read.json["status"]), (200, &json!("requested")));
    assert_eq!(services.get("/transfers/7", &[("if-none-match", "\"1\"")]).await.status, 304);
    services.get("/transfers/8", &[]).await.is_problem(404, "not-requested");
    assert_eq!(services.get("/accounts/42", &[]).await.json["balance"], 100, "nothing has moved yet");

    let stream = "transfer/7".parse().expect("a stream");
    let commits: Vec<_> =
        services.bank.store().read(&stream, Version::new(1)).try_collect().await.expect("reads");
    let data: Value = serde_json::from_str(commits[0].events[0].data.get()).expect("JSON");
    assert_eq!(
        (&data["from_version"], &data["to_version"]),
        (&json!(2), &json!(1)),
        "where repeats are looked for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeat_gets_the_first_answer_whatever_became_of_the_accounts() {
    let services = Services::with_accounts().await;
    let key = [("idempotency-key", "order-7")];
    let nameless = json!({"from": "42", "to": "43", "amount": 70});
    let first = order(&services, nameless.clone(), &key).await;
    services.post("/accounts/42/credit", json!({"amount": 5}), &[]).await;
    services.post("/accounts/43/close", json!(null), &[]).await;
    let again = order(&services, nameless, &key).await;
    assert_eq!((again.status, &again.headers), (first.status, &first.headers));
    assert_eq!((&first.json["repeat"], &again.json["repeat"]), (&json!(false), &json!(true)));
    let other = json!({"from": "42", "to": "43", "amount": 71});
    order(&services, other, &key).await.is_problem(422, "idempotency-key-reused");
    assert_eq!(first.json["id"], again.json["id"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_go_well_is_refused_early() {
    let services = Services::with_accounts().await;
    services.post("/accounts/44/close", json!(null), &[]).await;
    for (from, to, status, kind, field) in [
        ("42", "99", 404, "not-open", Some("to")),
        ("99", "42", 404, "not-open", Some("from")),
        ("44", "42", 422, "closed", Some("from")),
        ("42", "44", 422, "closed", Some("to")),
        ("42", "42", 422, "same-account", None),
    ] {
        let refused = order(&services, json!({"from": from, "to": to, "amount": 1}), &[]).await;
        assert_eq!(refused.is_problem(status, kind)["field"], json!(field), "{from} to {to}");
    }
    order(&services, json!({"from": "42", "to": "43", "amount": 0}), &[]).await.is_problem(422, "invalid");
    order(&services, json!({"from": "a/b", "to": "43", "amount": 1}), &[]).await.is_problem(422, "invalid");
    order(&services, body(), &[]).await;
    order(&services, body(), &[]).await.is_problem(409, "already-requested");
}

#[tokio::test(start_paused = true)]
async fn only_stranded_money_is_redirected() {
    let services = Services::with_stranded_transfer().await;
    let stranded = services.get("/transfers/42", &[]).await;
    assert_eq!((&stranded.json["status"], &stranded.json["reason"]), (&json!("stranded"), &json!("no")));
    services.post("/transfers/42/redirect", json!({"to": "99"}), &[]).await.is_problem(404, "not-open");
    services.post("/transfers/43/redirect", json!({"to": "44"}), &[]).await.is_problem(404, "not-requested");
    let key = [("idempotency-key", "k-1")];
    let redirected = services.post("/transfers/42/redirect", json!({"to": "44"}), &key).await;
    assert_eq!(redirected.status, 200, "{redirected:?}");
    assert_eq!((&redirected.json["status"], &redirected.json["to"]), (&json!("redirected"), &json!("44")));
    let again = services.post("/transfers/42/redirect", json!({"to": "44"}), &key).await;
    assert_eq!((again.status.as_u16(), &again.json["repeat"]), (200, &json!(true)));
    let refused = services.post("/transfers/42/redirect", json!({"to": "44"}), &[]).await;
    refused.is_problem(422, "not-stranded");
}

#[tokio::test]
async fn an_answer_says_where_its_key_counts() {
    let services = Services::with_accounts().await;
    let key = [("idempotency-key", "k-2")];
    for id in ["a", "b"] {
        let order = json!({"id": id, "from": "42", "to": "43", "amount": 10});
        let ordered = services.post("/transfers", order, &key).await;
        assert_eq!(
            (ordered.status.as_u16(), &ordered.json["repeat"]),
            (201, &json!(false)),
            "another stream"
        );
        assert_eq!(ordered.header("idempotency-scope"), format!("transfer/{id}"));
    }
    let order = json!({"from": "42", "to": "43", "amount": 10});
    let [first, again] = [
        services.post("/transfers", order.clone(), &key).await,
        services.post("/transfers", order, &key).await,
    ];
    assert_eq!(
        (&first.json["id"], &again.json["repeat"]),
        (&again.json["id"], &json!(true)),
        "it follows from the key"
    );
    assert_eq!(first.header("idempotency-scope"), again.header("idempotency-scope"));
}
