//! A key that comes again, at the same time or later: one commit, and the first answer for all (H8).

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;

use super::{credit, open};
use crate::{Answer, Place};

/// Requests with the same key at the same time.
const AT_ONCE: usize = 8;

pub(super) async fn a_repeated_key_commits_once(place: Arc<Place>) {
    let id = open(&place, "repeated", 0).await;
    let key = place.name("key");
    let ask =
        |amount: i64| place.post(format!("/accounts/{id}/credit"), &json!({"amount": amount})).with_key(&key);
    let told = |answer: &Answer| (answer.json["version"].clone(), answer.json["balance"].clone());
    let same: Vec<_> = (0..AT_ONCE).map(|_| ask(70)).collect();
    let answers = join_all(same.iter().map(|ask| ask.expect(200))).await;
    for answer in &answers {
        assert_eq!(told(answer), (json!(2), json!(70)), "{answer:?}");
    }

    assert_eq!(credit(&place, &id, 5).await.json["balance"], 75);
    let later = ask(70).expect(200).await;
    assert_eq!((told(&later), &later.json["repeat"]), ((json!(2), json!(70)), &json!(true)));
    assert_eq!(ask(71).expect(422).await.problem(), "idempotency-key-reused");
    let stands = place.get(format!("/accounts/{id}")).expect(200).await;
    assert_eq!(told(&stands), (json!(3), json!(75)));

    // Without an id a key names what it begins.
    let begin = place.name("begins");
    let begins = || place.post("/accounts", &json!({})).with_key(&begin);
    let (one, other) = (begins().expect(201).await, begins().expect(201).await);
    assert_eq!((&one.json["id"], &other.json["repeat"]), (&other.json["id"], &json!(true)));
}
