//! An account in its life: each command stands on the version that it names, or does not happen.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::json;

use super::{credit, open};
use crate::Place;

pub(super) async fn versions_guard_an_account(place: Arc<Place>) {
    let id = place.name("guarded");
    let path = format!("/accounts/{id}");
    let body = json!({"id": id, "overdraft_limit": 50});
    let opened = place.post("/accounts", &body).expect(201).await;
    assert_eq!(opened.header("location"), Some(path.as_str()));
    assert_eq!(opened.header("etag"), Some("\"1\""));
    assert_eq!(opened.header("session-token"), Some(format!("account/{id}@1").as_str()));
    assert_eq!(place.post("/accounts", &body).expect(409).await.problem(), "already-open");

    let moves = |what: &str, amount: i64, version: u64| {
        place.post(format!("{path}/{what}"), &json!({"amount": amount})).only_at(version)
    };
    let credited = moves("credit", 100, 1).expect(200).await;
    assert_eq!((&credited.json["balance"], credited.header("etag")), (&json!(100), Some("\"2\"")));
    let withdrawn = moves("withdraw", 130, 2).expect(200).await;
    assert_eq!((&withdrawn.json["balance"], &withdrawn.json["version"]), (&json!(-30), &json!(3)));
    for what in ["credit", "withdraw"] {
        let late = moves(what, 1, 2).expect(412).await;
        assert_eq!((late.problem(), &late.json["version"]), ("precondition-failed", &json!(3)));
    }
    let beyond = moves("withdraw", 21, 3).expect(422).await;
    assert_eq!((beyond.problem(), &beyond.json["available"]), ("insufficient-funds", &json!(20)));

    let shown = place.get(&path).expect(200).await;
    assert_eq!((&shown.json["balance"], shown.header("etag")), (&json!(-30), Some("\"3\"")));
    let unchanged = place.get(&path).with("if-none-match", "\"3\"").answer().await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);

    let close = || place.post(format!("{path}/close"), &json!({}));
    assert_eq!(close().expect(422).await.problem(), "balance-not-zero");
    assert_eq!(credit(&place, &id, 30).await.json["version"], 4);
    assert_eq!(close().only_at(4).expect(200).await.json["status"], "closed");
    assert_eq!(moves("credit", 1, 5).expect(422).await.problem(), "closed");

    let nobody = place.name("nobody");
    assert_eq!(place.get(format!("/accounts/{nobody}")).expect(404).await.problem(), "not-open");
    let other = open(&place, "untouched", 0).await;
    assert_eq!(place.get(format!("/accounts/{other}")).expect(200).await.json["version"], 1);
}
