//! Many want one name: one has it, everybody else is told that it is taken, and a rename frees it (H9).

use std::sync::Arc;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::{Place, eventually};

/// Who wants the name.
const USERS: usize = 8;

pub(super) async fn a_username_has_one_owner(place: Arc<Place>) {
    let name = place.name("ann");
    let register = async |user: usize| {
        // A name is one whatever its case.
        let wanted = if user.is_multiple_of(2) { name.clone() } else { name.to_uppercase() };
        let id = place.name(&format!("user-{user}"));
        let answer = place.post("/users", &json!({"id": id, "username": wanted})).answer().await;
        match answer.status {
            StatusCode::CREATED => (id, true),
            StatusCode::CONFLICT if answer.problem() == "taken" => {
                assert_eq!(answer.json["field"], "username");
                (id, false)
            }
            _ => panic!("{id} as {wanted}: {answer:?}"),
        }
    };
    let told = join_all((0..USERS).map(register)).await;
    let (owners, others): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, got)| *got);
    assert_eq!((owners.len(), others.len()), (1, USERS - 1), "one has it");
    let ((owner, _), (other, _)) = (&owners[0], &others[0]);

    let looked_up = async |status: &str| {
        let shown = place.get(format!("/usernames/{name}")).answer().await;
        if shown.json["status"] == status {
            Ok(())
        } else {
            Err(format!("{name} should be {status}: {shown:?}"))
        }
    };
    looked_up("taken").await.expect("somebody has it");
    let second = json!({"id": other, "username": name});
    assert_eq!(place.post("/users", &second).expect(409).await.problem(), "taken");

    let renamed = json!({"username": place.name("bob")});
    let renamed = place.post(format!("/users/{owner}/rename"), &renamed).expect(200).await;
    assert_eq!(renamed.json["version"], 2);
    eventually(place.patience(), || looked_up("free")).await;
    place.post("/users", &second).expect(201).await;
    assert_eq!(place.get(format!("/users/{other}")).expect(200).await.json["username"], json!(name));
    looked_up("taken").await.expect("another has it");
}
