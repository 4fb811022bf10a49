//! Money moves from account to account: each transfer comes to its end, and no money is made or lost.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{credit, open};
use crate::{Place, eventually};

const ACCOUNTS: usize = 4;
/// What each account begins with.
const FUNDS: i64 = 1_000;
/// What all of them have.
const MONEY: i64 = 4_000;
const TRANSFERS: usize = 12;
/// How much is moved, again and again.
const AMOUNTS: [i64; 5] = [1, 30, 170, 45, 99];

pub(super) async fn money_is_constant(place: Arc<Place>) {
    let accounts: Vec<String> = join_all((0..ACCOUNTS).map(async |number| {
        let id = open(&place, &format!("holds-{number}"), 0).await;
        credit(&place, &id, FUNDS).await;
        id
    }))
    .await;
    let order = async |number: usize, amount: i64| {
        let (from, to) =
            (&accounts[number % ACCOUNTS], &accounts[(number + 1 + number % (ACCOUNTS - 1)) % ACCOUNTS]);
        let id = place.name(&format!("transfer-{number}"));
        let body = json!({"id": id, "from": from, "to": to, "amount": amount});
        let ordered = place.post("/transfers", &body).expect(201).await;
        assert_eq!(ordered.header("location"), Some(format!("/transfers/{id}").as_str()));
        id
    };
    let many = join_all((0..TRANSFERS).map(|number| order(number, AMOUNTS[number % AMOUNTS.len()])));
    // Nobody ever has so much.
    let (many, refused) = tokio::join!(many, order(TRANSFERS, MONEY + 1));
    for id in &many {
        ends(&place, id, "completed").await;
    }
    let refused = ends(&place, &refused, "refused").await;
    assert!(refused["reason"].is_string(), "{refused}");

    let mut sum = 0;
    for id in &accounts {
        let account = place.get(format!("/accounts/{id}")).expect(200).await;
        sum += account.json["balance"].as_i64().expect("a balance");
    }
    assert_eq!(sum, MONEY, "no money is made or lost");

    let nobody = json!({"from": accounts[0], "to": place.name("nobody"), "amount": 1});
    let nobody = place.post("/transfers", &nobody).expect(404).await;
    assert_eq!((nobody.problem(), &nobody.json["field"]), ("not-open", &json!("to")));
}

/// Waits until a transfer has come to this end.
async fn ends(place: &Place, id: &str, status: &str) -> Value {
    eventually(place.patience(), async || {
        let shown = place.get(format!("/transfers/{id}")).expect(200).await;
        if shown.json["status"] == status {
            Ok(shown.json)
        } else {
            Err(format!("it should be {status}: {shown:?}"))
        }
    })
    .await
}
