//! A view derives events of its own: every change of a credit limit arrives in the other Kinesis stream, in order.

use std::sync::Arc;

use headwater::{StreamId, evidence, format::record::Record, invariants};
use serde_json::{Value, json};

use super::{credit, open};
use crate::{Place, eventually};

/// Credits; the limit changes with the third and each one after it.
const CREDITS: u64 = 6;

pub(super) async fn changes_are_forwarded(place: Arc<Place>) {
    let id = open(&place, "borrower", 0).await;
    for _ in 0..CREDITS {
        credit(&place, &id, 4_000).await;
    }
    let limit = eventually(place.patience(), async || {
        let shown = place.get(format!("/credit-limit/{id}")).answer().await;
        if shown.json["version"] == CREDITS + 1 {
            Ok(shown.json)
        } else {
            Err(format!("not all credits count: {shown:?}"))
        }
    })
    .await;
    assert_eq!((&limit["limit"], &limit["changes"]), (&json!(6_000), &json!(CREDITS - 2)));

    let changed = StreamId::new("credit-limit", &id).expect("a stream");
    let published = eventually(place.patience(), async || {
        let arrivals = evidence::arrivals(&place.forwarded()).await.map_err(|error| error.to_string())?;
        let records = arrivals.iter().filter_map(|arrival| Record::decode(&arrival.data).ok());
        let commits = records.filter(|record| record.stream == changed).flat_map(|record| record.commits);
        let commits: Vec<_> = commits.collect();
        let newest = commits.iter().map(|commit| commit.last.get()).max().unwrap_or_default();
        if newest == CREDITS - 2 { Ok(commits) } else { Err(format!("{newest} changes have arrived")) }
    })
    .await;
    assert_eq!(invariants::order(&changed, &published), [], "whatever came twice aside");
    let limits = published.iter().rev().flat_map(|commit| &commit.events).map(|event| {
        let event: Value = serde_json::to_value(event).expect("JSON");
        event["data"]["limit"].clone()
    });
    assert!(
        limits.into_iter().any(|told| told == limit["limit"]),
        "the newest limit was told: {published:?}"
    );
}
