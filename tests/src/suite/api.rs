//! A deployed bank is behind one API: it asks who comes, and has no route that is the operator's.

use std::sync::Arc;

use serde_json::json;

use super::open;
use crate::Place;

pub(super) async fn is_for_callers_who_sign(place: Arc<Place>) {
    let id = place.name("unsigned");
    let stranger = place.post("/accounts", &json!({"id": id})).unsigned().answer().await;
    assert!([401, 403].contains(&stranger.status.as_u16()), "{stranger:?}");
    assert_eq!(
        place.get(format!("/accounts/{id}")).expect(404).await.problem(),
        "not-open",
        "nothing happened"
    );
    let stranger = place.get(format!("/accounts/{id}")).unsigned().answer().await;
    assert!([401, 403].contains(&stranger.status.as_u16()), "{stranger:?}");
}

pub(super) async fn has_no_operators_routes(place: Arc<Place>) {
    let id = open(&place, "unparked", 0).await;
    for path in [
        format!("/balance/{id}/unpark"),
        format!("/credit-limit/{id}/unpark"),
        format!("/exceptions/{id}/unpark"),
        format!("/unpark/account/{id}"),
        "/tick".to_owned(),
    ] {
        let answer = place.post(&path, &json!({})).answer().await;
        assert!([403, 404].contains(&answer.status.as_u16()), "{path}: {answer:?}");
        assert_ne!(answer.media_type, "application/problem+json", "a service answered to {path}: {answer:?}");
    }
}
