//! `balance`: what arrives, what is asked, and what stands still.

use std::sync::Arc;

use axum::Router;
use bank::AccountCommand;
use consumers::balance::{self, Balances};
use headwater::{
    consume::{Projector, parked},
    memory::{Fault, FaultyObjects, Operation},
    port::{ObjectError, Objects, Ports},
};
use serde_json::json;

use crate::bench::{Bank, ask, get};

fn service(ports: &Ports) -> (Arc<Projector<Balances>>, Router) {
    let projector = Arc::new(Projector::new(Balances, ports));
    (Arc::clone(&projector), balance::router(projector))
}

#[tokio::test(start_paused = true)]
async fn a_delivered_history_is_a_balance() {
    let bank = Bank::new();
    let (projector, router) = service(&bank.ports());
    bank.open("42").await;
    bank.credit("42", 2_000).await;
    let amount = 750.try_into().expect("an amount");
    bank.execute("42", AccountCommand::Withdraw { amount, reference: None, transfer: None }).await;
    bank.open("7").await;
    bank.execute("7", AccountCommand::Close).await;
    assert!(bank.deliver(&projector).await.is_empty());
    assert!(bank.deliver(&projector).await.is_empty(), "and a second time changes nothing");

    let (status, headers, body) = ask(&router, "GET", "/balance/42", &[]).await;
    let expected = json!({"id": "42", "status": "open", "balance": 1_250, "available": 6_250, "version": 3});
    assert_eq!((status.as_u16(), body), (200, expected));
    assert_eq!(headers["session-token"], "account/42@3");
    assert_eq!(get(&router, "/balance/7").await.1["status"], "closed");

    let known = headers["etag"].to_str().unwrap();
    let (status, again, _) = ask(&router, "GET", "/balance/42", &[("if-none-match", known)]).await;
    assert_eq!((status.as_u16(), &again["etag"]), (304, &headers["etag"]));
}

#[tokio::test(start_paused = true)]
async fn a_writer_sees_the_own_write_before_it_is_delivered() {
    let bank = Bank::new();
    let (projector, router) = service(&bank.ports());
    bank.open("42").await;
    assert!(bank.deliver(&projector).await.is_empty());
    let token = bank.credit("42", 900).await.to_string();

    let (_, before, body) = ask(&router, "GET", "/balance/42", &[]).await;
    assert_eq!(body["balance"], 0, "everybody else sees it in the end");
    let (_, headers, body) = ask(&router, "GET", "/balance/42", &[("session-token", &token)]).await;
    assert_eq!((&body["balance"], &body["version"]), (&json!(900), &json!(2)));
    assert_eq!(headers["session-token"], *token);
    assert_eq!(get(&router, &format!("/balance/42?token={token}")).await.1["balance"], 900);
    let cached = [("session-token", token.as_str()), ("if-none-match", before["etag"].to_str().unwrap())];
    assert_eq!(
        ask(&router, "GET", "/balance/42", &cached).await.0.as_u16(),
        200,
        "what is older is no match"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_told_apart() {
    let bank = Bank::new();
    let (_, router) = service(&bank.ports());
    bank.open("42").await;
    for (path, status, kind, field) in [
        ("/balance/9", 404, "about:blank", None),
        ("/balance/a%20b", 400, "/problems/invalid", Some("id")),
        ("/balance/%ff", 400, "/problems/invalid", Some("id")),
        ("/balance/42?token=account/9@1", 400, "/problems/invalid", Some("token")),
        ("/balance/42?token=account/42@2", 400, "/problems/invalid", Some("token")),
        ("/balance/42?token=42", 400, "/problems/invalid", Some("token")),
    ] {
        let (answered, body) = get(&router, path).await;
        assert_eq!((answered, &body["type"]), (status, &json!(kind)), "{path}: {body}");
        assert_eq!(body["field"].as_str(), field, "{path}");
    }
    let (status, document) = get(&router, "/openapi.json").await;
    assert_eq!((status, document["paths"]["/balance/{id}"]["get"].is_object()), (200, true));
}

#[tokio::test(start_paused = true)]
async fn an_amount_out_of_the_domain_parks_its_account_and_nothing_else() {
    let bank = Bank::new();
    let (projector, router) = service(&bank.ports());
    bank.open("42").await;
    bank.open("7").await;
    assert!(bank.deliver(&projector).await.is_empty());
    let (_, moving, _) = ask(&router, "GET", "/balance/42", &[]).await;
    bank.append("42", "Credited", json!({"amount": 2_000_000_000_000_i64})).await;
    bank.append("7", "Renamed", json!({"to": "savings"})).await;
    bank.append("42", "Credited", json!({"amount": 5})).await;
    bank.append("7", "Credited", json!({"amount": 5})).await;
    assert!(bank.deliver(&projector).await.is_empty());

    let (status, body) = get(&router, "/balance/7").await;
    assert_eq!((status, &body["balance"], &body["version"]), (200, &json!(5), &json!(3)));
    let (status, stopped, body) = ask(&router, "GET", "/balance/42", &[]).await;
    assert_eq!(
        (status.as_u16(), &body["balance"], &body["version"], &body["parked"]),
        (200, &json!(0), &json!(1), &json!(2))
    );
    assert_ne!(stopped["etag"], moving["etag"], "an answer that stopped is another one, at the same version");
    let (status, body) = get(&router, "/balance/42?token=account/42@3").await;
    assert_eq!((status, &body["type"], &body["version"]), (503, &json!("/problems/parked"), &json!(2)));
    assert!(!body.to_string().contains("minor units"), "the reason is the operator's: {body}");

    let listed = parked(&bank.ports(), "balance").await.expect("listed");
    assert_eq!((listed.len(), listed[0].key.as_str()), (1, "42"));
    assert!(listed[0].parked.error.contains("minor units"), "{listed:?}");
    let (_, _, body) = ask(&router, "POST", "/balance/42/unpark", &[]).await;
    assert_eq!((&body["outcome"], &body["version"]), (&json!("parked_again"), &json!(2)));
    let (_, _, body) = ask(&router, "POST", "/balance/7/unpark", &[]).await;
    assert_eq!(body, json!({"outcome": "not_parked"}));
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_first_event_is_parked_is_no_404() {
    let bank = Bank::new();
    let (projector, router) = service(&bank.ports());
    bank.append("42", "Credited", json!({})).await;
    assert!(bank.deliver(&projector).await.is_empty());
    assert_eq!(get(&router, "/balance/42").await.1["type"], "/problems/parked");
}

#[tokio::test(start_paused = true)]
async fn a_world_that_fails_is_told_to_lambda_and_mended_by_the_repeat() {
    let bank = Bank::new();
    let objects = Arc::new(FaultyObjects::new(bank.world.objects.clone()));
    let ports = Ports { objects: objects.clone() as Arc<dyn Objects>, ..bank.ports() };
    let (projector, router) = service(&ports);
    bank.open("42").await;
    bank.credit("42", 5).await;
    let denied = ObjectError::Refused("denied".into());
    objects.faults().script(Operation::Put, [Fault::Before(denied)]);
    let first = bank.world.log.records().first().expect("a record").sequence.to_string();
    assert_eq!(bank.deliver(&projector).await, [first]);
    assert_eq!(get(&router, "/balance/42").await.0, 404);
    assert!(bank.deliver(&projector).await.is_empty());
    assert_eq!(get(&router, "/balance/42").await.1["balance"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_no_mapping_sent_fails_the_call() {
    let bank = Bank::new();
    let (projector, _) = service(&bank.ports());
    bank.open("42").await;
    let mut record = crate::bench::mapped(&bank.world.log.records()[0]);
    record["eventID"] = json!("nothing");
    let event = serde_json::from_value(json!({"Records": [record]})).expect("an event");
    assert!(projector.handle(event).await.is_err());
}
