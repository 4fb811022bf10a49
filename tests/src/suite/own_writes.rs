//! The active user reads their own write at once, by its token; everybody else sees it in the end (H7).

use std::sync::Arc;

use headwater::Token;
use serde_json::json;

use super::{credit, open};
use crate::{Place, eventually};

/// Writes that are read at once.
const WRITES: i64 = 12;

pub(super) async fn a_token_shows_the_own_write_at_once(place: Arc<Place>) {
    let id = open(&place, "watched", 0).await;
    let mut newest: Option<Token> = None;
    for round in 1..=WRITES {
        let written = credit(&place, &id, 1_000).await;
        let token = written.token().expect("a token");
        let balance = place.get(format!("/balance/{id}")).showing(&token).expect(200).await;
        assert_eq!(balance.json["balance"], json!(round * 1_000), "the header");
        assert_eq!(balance.token().as_ref(), Some(&token));
        let token_in_query = format!("{}%40{}", token.stream.as_str().replace('/', "%2F"), token.version);
        for view in ["balance", "credit-limit"] {
            let shown = place.get(format!("/{view}/{id}?token={token_in_query}")).expect(200).await;
            assert_eq!(shown.token().as_ref(), Some(&token), "the query");
        }
        newest = Some(token);
    }
    let version = json!(newest.expect("a write").version);
    for view in ["balance", "credit-limit"] {
        eventually(place.patience(), async || {
            let shown = place.get(format!("/{view}/{id}")).answer().await;
            if shown.json["version"] == version {
                Ok(())
            } else {
                Err(format!("{view} has not caught up: {shown:?}"))
            }
        })
        .await;
    }
}
