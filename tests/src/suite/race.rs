//! Many clients race for one account: none is lost, none counts twice, and the sum is right (H1, H8).

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use serde_json::json;

use super::open;
use crate::Place;

/// Clients at the same time.
const CLIENTS: i64 = 32;

pub(super) async fn racing_clients_lose_nothing(place: Arc<Place>) {
    let id = open(&place, "contended", 1_000_000).await;
    let client = async |number: i64| {
        let mut versions = Vec::new();
        for (what, amount) in [("credit", 11 + number), ("withdraw", 1 + number)] {
            let ask = place.post(format!("/accounts/{id}/{what}"), &json!({"amount": amount}));
            versions.push(ask.expect(200).await.json["version"].as_u64().expect("a version"));
        }
        assert!(versions.is_sorted(), "a client's second command stands after its first");
        versions
    };
    let versions: Vec<u64> = join_all((0..CLIENTS).map(client)).await.into_iter().flatten().collect();
    let commands = versions.len() as u64;
    assert_eq!(versions.into_iter().collect::<BTreeSet<_>>(), (2..2 + commands).collect(), "each once");
    let stands = place.get(format!("/accounts/{id}")).expect(200).await;
    assert_eq!(stands.json["balance"], json!(CLIENTS * 10));
    assert_eq!(stands.json["version"], json!(1 + commands));
}
