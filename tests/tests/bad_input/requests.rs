//! What a caller gets wrong: every request is refused by name, and leaves S3 and Kinesis as they were.

use headwater_tests::Answer;
use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::json;

use super::{Refusal, World};

/// A request, and how it must be refused.
type Row = (String, RequestBuilder, Refusal);

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_refused_by_name_and_writes_nothing() {
    let world = World::new().await;
    let before = world.standing().await;
    let mut wrong = Vec::new();
    let rows = [bodies(&world), names(&world), headers(&world), tokens(&world), others(&world)];
    for (what, request, refusal) in rows.into_iter().flatten() {
        let answer = Answer::to(request).await;
        wrong.extend(refusal.differs(&answer).map(|found| format!("{what}: {found}")));
        if world.standing().await != before {
            wrong.push(format!("{what}: something was written"));
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The account is as good as before.
    let credit = world.post("credit", "/accounts/42/credit", r#"{"amount":1}"#).header("if-match", "\"2\"");
    let credited = Answer::to(credit).await;
    assert_eq!((credited.status.as_u16(), &credited.json["balance"]), (200, &json!(101)));
    world.cluster.stop(headwater_tests::PATIENCE).await;
}

fn credit(world: &World, body: &str) -> RequestBuilder {
    world.post("credit", "/accounts/42/credit", body)
}

fn bodies(world: &World) -> Vec<Row> {
    let amount = Refusal::invalid(422, "amount");
    let no_json = Refusal::invalid(400, "body");
    let with_reference = |text: &str| json!({"amount": 1, "reference": text}).to_string();
    let mut rows: Vec<Row> = [
        (with_reference(&"x".repeat(256 << 10)), Refusal::of(413, "about:blank")),
        (String::new(), no_json),
        (r#"{"amount":"#.to_owned(), no_json),
        (r#"{"amount":1} {}"#.to_owned(), no_json),
        ("{'amount':1}".to_owned(), no_json),
        ("{}".to_owned(), amount),
        ("[5,null]".to_owned(), Refusal::invalid(422, "body")),
        ("5".to_owned(), Refusal::invalid(422, "body")),
        (r#"{"amount":1,"amount":2}"#.to_owned(), Refusal::invalid(422, "body")),
        (r#"{"amount":"5"}"#.to_owned(), amount),
        (r#"{"amount":true}"#.to_owned(), amount),
        (r#"{"amount":null}"#.to_owned(), amount),
        (r#"{"amount":[1]}"#.to_owned(), amount),
        (r#"{"amount":0}"#.to_owned(), amount),
        (r#"{"amount":-1}"#.to_owned(), amount),
        (r#"{"amount":1000000000001}"#.to_owned(), amount),
        (r#"{"amount":18446744073709551616}"#.to_owned(), amount),
        (r#"{"amount":1.5}"#.to_owned(), amount),
        (r#"{"amount":1e3}"#.to_owned(), amount),
        (r#"{"amount":1,"colour":"red"}"#.to_owned(), Refusal::invalid(422, "colour")),
        (with_reference(""), Refusal::invalid(422, "reference")),
        (with_reference(&"ü".repeat(141)), Refusal::invalid(422, "reference")),
        (with_reference("a\nb"), Refusal::invalid(422, "reference")),
    ]
    .into_iter()
    .map(|(body, refusal)| (body.chars().take(60).collect(), credit(world, &body), refusal))
    .collect();
    let bytes = world.http.post(world.url("credit", "/accounts/42/credit")).body("{\"amount\":1}");
    rows.push(("no media type".to_owned(), bytes, Refusal::of(415, "about:blank")));
    let text =
        world.http.post(world.url("credit", "/accounts/42/credit")).header("content-type", "text/plain");
    rows.push(("text/plain".to_owned(), text.body("{\"amount\":1}"), Refusal::of(415, "about:blank")));
    for (body, field) in [
        (r#"{"id":"a b"}"#, "id"),
        (r#"{"id":""}"#, "id"),
        (r#"{"id":42}"#, "id"),
        (r#"{"id":"n1","overdraft_limit":-1}"#, "overdraft_limit"),
        (r#"{"id":"n2","overdraft_limit":1000000000001}"#, "overdraft_limit"),
        (r#"{"id":"n3","limit":1}"#, "limit"),
    ] {
        let open = world.post("accounts", "/accounts", body);
        rows.push((body.to_owned(), open, Refusal::invalid(422, field)));
    }
    let withdraw = world.post("withdraw", "/accounts/42/withdraw", r#"{"amount":0}"#);
    rows.push(("a withdrawal of 0".to_owned(), withdraw, amount));
    rows
}

fn names(world: &World) -> Vec<Row> {
    let long = "x".repeat(65);
    let ids = ["a%20b", "%C3%BC", "a%2Fb", "a.b", "%00", &long];
    let mut rows: Vec<Row> = ids
        .iter()
        .flat_map(|id| {
            [
                world.post("credit", &format!("/accounts/{id}/credit"), r#"{"amount":1}"#),
                world.post("accounts", &format!("/accounts/{id}/close"), ""),
                world.get("accounts", &format!("/accounts/{id}")),
                world.get("balance", &format!("/balance/{id}")),
                world.get("credit-limit", &format!("/credit-limit/{id}")),
            ]
            .map(|request| (format!("the account {id}"), request, Refusal::invalid(400, "id")))
        })
        .collect();
    // What is no text after decoding is no id at all.
    for (service, path) in
        [("accounts", "/accounts/%FF"), ("balance", "/balance/%FF"), ("credit-limit", "/credit-limit/%FF")]
    {
        rows.push((path.to_owned(), world.get(service, path), Refusal::invalid(400, "id")));
    }
    rows
}

fn headers(world: &World) -> Vec<Row> {
    let long = "k".repeat(129);
    let with = |name: &'static str, value: &str, refusal| {
        let request = credit(world, r#"{"amount":1}"#).header(name, value);
        (format!("{name}: {value}"), request, refusal)
    };
    let key = Refusal::invalid(400, "Idempotency-Key");
    let matches = Refusal::invalid(400, "If-Match");
    let none_match = Refusal::invalid(400, "If-None-Match");
    let mut rows = vec![
        with("Idempotency-Key", "", key),
        with("Idempotency-Key", "\"\"", key),
        with("Idempotency-Key", "a b", key),
        with("Idempotency-Key", &long, key),
        with("If-Match", "2", matches),
        with("If-Match", "*", matches),
        with("If-Match", "W/\"2\"", matches),
        with("If-Match", "\"1\", \"2\"", matches),
        with("If-Match", "\"02\"", matches),
        with("If-Match", "\"-1\"", matches),
        with("If-Match", "\"18446744073709551616\"", matches),
        with("If-Match", "", matches),
        with("If-Match", "\"9\"", Refusal::of(412, "/problems/precondition-failed")),
        with("If-None-Match", "\"2\"", none_match),
        with("If-None-Match", "*", Refusal::of(412, "/problems/precondition-failed")),
        with("X-Correlation-Id", "a b", Refusal::invalid(400, "X-Correlation-Id")),
        with("X-Causation-Id", &long, Refusal::invalid(400, "X-Causation-Id")),
    ];
    let both = credit(world, r#"{"amount":1}"#).header("If-Match", "\"2\"").header("If-None-Match", "*");
    rows.push(("If-Match and If-None-Match".to_owned(), both, none_match));
    // What can't be read as one text is told under the header's name in small letters.
    let key = Refusal::invalid(400, "idempotency-key");
    let bytes = HeaderValue::from_bytes(b"k\xff").expect("a header");
    let bytes = credit(world, r#"{"amount":1}"#).header("Idempotency-Key", bytes);
    rows.push(("Idempotency-Key that is no UTF-8".to_owned(), bytes, key));
    let twice =
        credit(world, r#"{"amount":1}"#).header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    rows.push(("Idempotency-Key twice".to_owned(), twice, key));
    rows
}

fn tokens(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for token in
        ["", "42", "account/42", "account/42@", "account/42@-1", "account/42@x", "Account/42@1", "@1"]
    {
        for (service, path) in [("balance", "/balance/42"), ("credit-limit", "/credit-limit/42")] {
            let query = world.get(service, &format!("{path}?token={token}"));
            rows.push((format!("?token={token}"), query, Refusal::invalid(400, "token")));
            let header = world.get(service, path).header("Session-Token", token);
            rows.push((format!("Session-Token: {token}"), header, Refusal::invalid(400, "Session-Token")));
        }
    }
    // A token that reads well, and is of another account, of another kind, or from the future.
    for token in ["account/43@1", "permit/42@1", "account/42@99"] {
        let query = world.get("balance", &format!("/balance/42?token={token}"));
        rows.push((format!("?token={token}"), query, Refusal::invalid(400, "token")));
    }
    rows
}

fn others(world: &World) -> Vec<Row> {
    let no_account = Refusal::of(404, "/problems/not-open");
    let nothing = Refusal::of(404, "about:blank");
    let foreign = Refusal::of(403, "/problems/foreign-origin");
    [
        ("no account", world.get("accounts", "/accounts/nobody"), no_account),
        ("no account", world.post("accounts", "/accounts/nobody/close", ""), no_account),
        ("no account", world.post("credit", "/accounts/nobody/credit", r#"{"amount":1}"#), no_account),
        ("no account", world.post("withdraw", "/accounts/nobody/withdraw", r#"{"amount":1}"#), no_account),
        ("no account", world.get("balance", "/balance/nobody"), nothing),
        (
            "opened before",
            world.post("accounts", "/accounts", r#"{"id":"42"}"#),
            Refusal::of(409, "/problems/already-open"),
        ),
        (
            "too much",
            world.post("withdraw", "/accounts/42/withdraw", r#"{"amount":101}"#),
            Refusal::of(422, "/problems/insufficient-funds"),
        ),
        (
            "money left",
            world.post("accounts", "/accounts/42/close", ""),
            Refusal::of(422, "/problems/balance-not-zero"),
        ),
        ("no such path", world.get("accounts", "/acounts/42"), nothing),
        (
            "no such method",
            world.http.request(Method::DELETE, world.url("accounts", "/accounts/42")),
            Refusal::of(405, "about:blank"),
        ),
        (
            "another page",
            world.post("accounts", "/accounts/42/close", "").header("Origin", "http://evil.example"),
            foreign,
        ),
        ("a page of no origin", credit(world, r#"{"amount":1}"#).header("Origin", "null"), foreign),
        (
            "another name for this machine",
            credit(world, r#"{"amount":1}"#).header("Host", "evil.example"),
            foreign,
        ),
    ]
    .map(|(what, request, refusal)| (what.to_owned(), request, refusal))
    .into()
}
