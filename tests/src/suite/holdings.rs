//! A rule over several streams: whoever opens a fourth account finds one closed again, and it is reported.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{Place, eventually};

/// One more than a holder may have.
const ACCOUNTS: usize = 4;

pub(super) async fn a_fourth_account_is_closed(place: Arc<Place>) {
    let holder = place.name("holder");
    let mut accounts = Vec::new();
    for number in 1..=ACCOUNTS {
        let id = place.name(&format!("of-holder-{number}"));
        place.post("/accounts", &json!({"id": id, "holder": holder})).expect(201).await;
        accounts.push(id);
    }
    let exception = eventually(place.patience(), async || {
        let report = place.get(format!("/exceptions/{holder}")).answer().await;
        let exceptions = report.json["exceptions"].as_array().map(Vec::as_slice).unwrap_or_default();
        match exceptions {
            [one] if one["status"] == "compensated" => Ok(one.clone()),
            _ => Err(format!("one account should be reported as closed: {report:?}")),
        }
    })
    .await;
    assert_eq!(exception["held"], json!(ACCOUNTS));
    let mut closed = Vec::new();
    for id in &accounts {
        let account = place.get(format!("/accounts/{id}")).expect(200).await;
        assert_eq!(account.json["holder"], json!(holder));
        closed.extend((account.json["status"] == "closed").then_some(id));
    }
    // Accounts of several shards are told to the holder's portfolio in any order: which one is the fourth is not said.
    let reported: &Value = &exception["account"];
    assert_eq!(json!(closed), json!([reported]), "the one that is reported is closed, and no other");
}
