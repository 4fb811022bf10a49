//! What a caller gets wrong: each is refused with a problem document that names what, and nothing is written.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{credit, open};
use crate::{Ask, Place};

/// A request, and its refusal: status, kind and field.
type Row<'a> = (Ask<'a>, u16, &'static str, Option<&'static str>);

pub(super) async fn is_told_what_is_wrong(place: Arc<Place>) {
    let id = open(&place, "wronged", 0).await;
    credit(&place, &id, 100).await;
    let path = format!("/accounts/{id}");
    for (ask, status, kind, field) in rows(&place, &id, &path) {
        let answer = ask.expect(status).await;
        assert_eq!(answer.media_type, "application/problem+json", "{answer:?}");
        assert_eq!((answer.problem(), &answer.json["status"]), (kind, &json!(status)), "{answer:?}");
        assert_eq!(answer.json["field"], field.map_or(Value::Null, Value::from), "{answer:?}");
        assert!(answer.json["instance"].is_string(), "{answer:?}");
    }
    let stands = place.get(&path).expect(200).await;
    assert_eq!((&stands.json["version"], &stands.json["balance"]), (&json!(2), &json!(100)), "as before");
}

fn rows<'a>(place: &'a Place, id: &str, path: &str) -> Vec<Row<'a>> {
    let credit = |body: Value| place.post(format!("{path}/credit"), &body);
    let fine = || credit(json!({"amount": 1}));
    let balance = |token: String| place.get(format!("/balance/{id}")).with("session-token", token);
    let invalid = "invalid";
    vec![
        (fine().with_body("application/json", "{"), 400, invalid, Some("body")),
        (fine().with_body("text/plain", "1"), 415, "", None),
        (credit(json!([1, null])), 422, invalid, Some("body")),
        (credit(json!({})), 422, invalid, Some("amount")),
        (credit(json!({"amount": 0})), 422, invalid, Some("amount")),
        (credit(json!({"amount": "1"})), 422, invalid, Some("amount")),
        (credit(json!({"amount": 1, "colour": 2})), 422, invalid, Some("colour")),
        (credit(json!({"amount": 1, "reference": ""})), 422, invalid, Some("reference")),
        (fine().with("if-match", "2"), 400, invalid, Some("If-Match")),
        (fine().with("if-match", "\"1\""), 412, "precondition-failed", None),
        (fine().with("idempotency-key", "two words"), 400, invalid, Some("Idempotency-Key")),
        (place.post("/accounts", &json!({"id": "two words"})), 422, invalid, Some("id")),
        (place.post("/accounts", &json!({"overdraft_limit": -1})), 422, invalid, Some("overdraft_limit")),
        (place.post(format!("{path}/withdraw"), &json!({"amount": 101})), 422, "insufficient-funds", None),
        (place.post("/users", &json!({"username": "x"})), 422, invalid, Some("username")),
        (place.post("/transfers", &json!({"from": id, "to": id, "amount": 1})), 422, "same-account", None),
        (place.get("/transfers/".to_owned() + &place.name("nothing")), 404, "not-requested", None),
        (place.get("/balance/".to_owned() + &place.name("nothing")), 404, "", None),
        (balance("nonsense".to_owned()), 400, invalid, Some("Session-Token")),
        (balance("account/another@1".to_owned()), 400, invalid, Some("token")),
        (balance(format!("account/{id}@9")), 400, invalid, Some("token")),
    ]
}
