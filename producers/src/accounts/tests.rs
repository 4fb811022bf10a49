//! The service `accounts`, request by request.

use http::Method;
use serde_json::{Value, json};

use crate::fixture::Services;

#[tokio::test(start_paused = true)]
async fn an_opening_tells_where_the_account_is() {
    let services = Services::alone();
    let opened = services.post("/accounts", json!({"id": "42", "overdraft_limit": 500}), &[]).await;
    assert_eq!(opened.status, 201);
    assert_eq!(opened.header("location"), "/accounts/42");
    assert_eq!((opened.header("etag"), opened.header("session-token")), ("\"1\"", "account/42@1"));
    assert_eq!(
        opened.json,
        json!({
            "id": "42", "balance": 0, "overdraft_limit": 500, "status": "open", "version": 1,
            "publication": "published", "repeat": false,
        })
    );
    assert_eq!(services.log.records(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_without_a_name_gets_one_that_follows_from_the_key() {
    let services = Services::alone();
    let key = [("idempotency-key", "order-7")];
    let first = services.post("/accounts", json!({}), &key).await;
    let again = services.post("/accounts", json!({}), &key).await;
    assert_eq!((first.status, again.status), (http::StatusCode::CREATED, http::StatusCode::CREATED));
    assert_eq!(first.headers, again.headers);
    assert_eq!((&first.json["repeat"], &again.json["repeat"]), (&json!(false), &json!(true)));
    let other = services.post("/accounts", json!({}), &[("idempotency-key", "order-8")]).await;
    let keyless = services.post("/accounts", json!({}), &[]).await;
    let names: Vec<&Value> = [&first, &again, &other, &keyless].map(|answer| &answer.json["id"]).into();
    assert_eq!(names[0], names[1]);
    assert!(names[0] != names[2] && names[0] != names[3] && names[2] != names[3], "{names:?}");
    // The name is part of the contract: an account that was opened by an older version must be found by a newer one.
    assert_eq!(*names[0], "678ee872-5050-51b2-b034-d23b0d943540");
}

#[tokio::test(start_paused = true)]
async fn an_account_opens_once() {
    let services = Services::with_account(0, 0).await;
    let account = json!({"id": "42"});
    services.post("/accounts", account.clone(), &[]).await.is_problem(409, "already-open");
    let only_new = services.post("/accounts", account, &[("if-none-match", "*")]).await;
    assert_eq!(only_new.is_problem(412, "precondition-failed")["version"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_shows_every_answered_command() {
    let services = Services::with_account(500, 70).await;
    let read = services.get("/accounts/42", &[]).await;
    assert_eq!(read.status, 200);
    assert_eq!((read.header("etag"), read.header("session-token")), ("\"2\"", "account/42@2"));
    assert_eq!(
        read.json,
        json!({"id": "42", "balance": 70, "overdraft_limit": 500, "status": "open", "version": 2})
    );
    let known = services.get("/accounts/42", &[("if-none-match", "\"2\"")]).await;
    assert_eq!((known.status.as_u16(), known.header("etag"), &known.json), (304, "\"2\"", &Value::Null));
    assert_eq!(services.get("/accounts/42", &[("if-none-match", "\"1\"")]).await.status, 200);
    let problem = services.get("/accounts/43", &[]).await;
    assert_eq!(problem.is_problem(404, "not-open")["instance"], "/accounts/43");
}

#[tokio::test(start_paused = true)]
async fn an_account_closes_once_and_with_nothing_left() {
    let services = Services::with_account(0, 5).await;
    let close = || services.send(Method::POST, "/accounts/42/close", &[], "");
    assert_eq!(close().await.is_problem(422, "balance-not-zero")["balance"], 5);
    services.post("/accounts/42/withdraw", json!({"amount": 5}), &[]).await;
    let closed = close().await;
    assert_eq!((closed.status.as_u16(), &closed.json["status"]), (200, &json!("closed")));
    assert_eq!((closed.header("etag"), closed.header("session-token")), ("\"4\"", "account/42@4"));
    close().await.is_problem(422, "closed");
    assert_eq!(services.get("/accounts/42", &[]).await.json["status"], "closed");
    services.post("/accounts", json!({"id": "42"}), &[]).await.is_problem(409, "already-open");
    let nowhere = services.send(Method::POST, "/accounts/43/close", &[], "").await;
    nowhere.is_problem(404, "not-open");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_by_name() {
    let services = Services::alone();
    for (body, field, words) in [
        (json!({"id": "42", "colour": "red"}), "colour", "unknown field `colour`"),
        (json!({"id": 42}), "id", "expected a string"),
        (json!({"id": "a/b"}), "id", "1 to 64 ASCII letters"),
        (json!({"overdraft_limit": "5"}), "overdraft_limit", "0 to 1000000000000 minor units"),
        (json!({"overdraft_limit": -1}), "overdraft_limit", "0 to 1000000000000 minor units"),
        (
            json!({"overdraft_limit": 1_000_000_000_001_i64}),
            "overdraft_limit",
            "0 to 1000000000000 minor units",
        ),
    ] {
        let answer = services.post("/accounts", body, &[]).await;
        let problem = answer.is_problem(422, "invalid");
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{problem}");
    }
    let key = [("idempotency-key", "two words")];
    let answer = services.post("/accounts", json!({}), &key).await;
    assert_eq!(answer.is_problem(400, "invalid")["field"], "Idempotency-Key");
    assert_eq!(services.get("/accounts/a%20b", &[]).await.is_problem(400, "invalid")["field"], "id");
    assert_eq!(services.objects.bodies(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_http_refuses_is_a_problem_document() {
    let services = Services::alone();
    let json = [("content-type", "application/json")];
    let long = "x".repeat(service::BODY_BYTES + 1);
    for (method, path, headers, body, status) in [
        (Method::GET, "/nowhere", &[][..], String::new(), 404),
        (Method::PUT, "/accounts", &json, "{}".to_owned(), 405),
        (Method::POST, "/accounts", &[], "{}".to_owned(), 415),
        (Method::POST, "/accounts", &json, "{".to_owned(), 400),
        (Method::POST, "/accounts", &json, long, 413),
    ] {
        let answer = services.send(method, path, headers, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json["status"]), (status, &json!(status)));
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test(start_paused = true)]
async fn the_examples_of_the_documents_work() {
    let examples = Services::alone().examples().await;
    let paths: Vec<&str> = examples.iter().map(|(path, _)| path.as_str()).collect();
    let accounts = ["/accounts", "/accounts/42/close", "/accounts/42/credit", "/accounts/42/withdraw"];
    let transfers = ["/transfers", "/transfers/42/redirect"];
    let users = ["/users", "/users/42/close", "/users/42/rename"];
    assert_eq!(paths, [&accounts[..], &transfers, &users].concat());
    for (path, example) in examples {
        let services = match path.as_str() {
            "/accounts" | "/users" => Services::alone(),
            "/transfers" => Services::with_accounts().await,
            _ if path.starts_with("/transfers") => Services::with_stranded_transfer().await,
            _ if path.starts_with("/users") => Services::with_user().await,
            _ => Services::with_account(5000, 0).await,
        };
        let answer = services.post(&path, example, &[]).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }
}
