//! The process `holdings` and its report: who has too many accounts finds the newest closed, or a word why not.

use std::{sync::Arc, time::Duration};

use axum::Router;
use bank::{Account, AccountCommand, AccountStatus, Portfolio};
use consumers::{
    exceptions::{self, Exceptions},
    holdings::Holdings,
};
use headwater::{
    Options, Settings, Store,
    consume::{Projector, Reactor},
};
use serde_json::{Value, json};

use crate::bench::{Bank, ask, get};

async fn open(bank: &Bank, id: &str, holder: Option<&str>) {
    let holder = holder.map(|holder| holder.parse().expect("a user"));
    bank.execute(id, AccountCommand::Open { overdraft_limit: 0.try_into().expect("a limit"), holder }).await;
}

/// Lets a process that has just begun react to everything, twice.
async fn react(bank: &Bank) {
    let reactor = Reactor::new(Holdings, Store::new(bank.ports(), Settings::default()), &bank.ports());
    loop {
        let records = bank.world.log.records();
        assert!(reactor.react(&records).await.is_empty());
        reactor.store().drain(Duration::from_mins(1)).await;
        if bank.world.log.records().len() == records.len() {
            return;
        }
    }
}

async fn status(bank: &Bank, id: &str) -> AccountStatus {
    bank.store.load::<Account>(id).await.expect("loads").state.status()
}

async fn report(bank: &Bank, holder: &str) -> (u16, Value) {
    let projector = Arc::new(Projector::new(Exceptions, &bank.ports()));
    assert!(bank.deliver(&projector).await.is_empty());
    let router: Router = exceptions::router(projector);
    get(&router, &format!("/exceptions/{holder}")).await
}

#[tokio::test(start_paused = true)]
async fn three_accounts_are_no_exception() {
    let bank = Bank::new();
    for id in ["1", "2", "3"] {
        open(&bank, id, Some("9")).await;
    }
    open(&bank, "4", Some("10")).await;
    open(&bank, "5", None).await;
    react(&bank).await;
    let expected = json!({"holder": "9", "exceptions": [], "version": 3});
    assert_eq!(report(&bank, "9").await, (200, expected));
    assert_eq!(report(&bank, "11").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_that_is_too_many_is_closed_again() {
    let bank = Bank::new();
    for id in ["1", "2", "3", "4"] {
        open(&bank, id, Some("9")).await;
        react(&bank).await;
    }
    assert_eq!(
        (status(&bank, "3").await, status(&bank, "4").await),
        (AccountStatus::Open, AccountStatus::Closed)
    );
    let (_, answer) = report(&bank, "9").await;
    assert_eq!(answer["exceptions"], json!([{"account": "4", "held": 4, "status": "compensated"}]));
    // There is room again, for one.
    bank.execute("1", AccountCommand::Close).await;
    react(&bank).await;
    open(&bank, "5", Some("9")).await;
    react(&bank).await;
    assert_eq!(status(&bank, "5").await, AccountStatus::Open);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_closed_is_reported_and_settled_later() {
    let bank = Bank::new();
    for id in ["1", "2", "3", "4"] {
        open(&bank, id, Some("9")).await;
    }
    bank.credit("4", 70).await;
    react(&bank).await;
    let unresolved =
        json!([{"account": "4", "held": 4, "status": "unresolved", "reason": "the balance is 70, not zero"}]);
    assert_eq!(report(&bank, "9").await.1["exceptions"], unresolved);
    // Somebody looks at it. What was said once is not tried again.
    let amount = 70.try_into().expect("an amount");
    bank.execute("4", AccountCommand::Withdraw { amount, reference: None, transfer: None }).await;
    for (object, _) in bank.world.objects.all("views/holdings/") {
        assert!(bank.world.objects.remove(&object), "the process has forgotten all that it did");
    }
    react(&bank).await;
    assert_eq!(status(&bank, "4").await, AccountStatus::Open);
    bank.execute("4", AccountCommand::Close).await;
    react(&bank).await;
    let settled = json!([{"account": "4", "held": 4, "status": "settled"}]);
    assert_eq!(report(&bank, "9").await.1["exceptions"], settled);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_begins_again_says_nothing_twice() {
    let bank = Bank::new();
    for id in ["1", "2", "3", "4"] {
        open(&bank, id, Some("9")).await;
    }
    bank.execute("2", AccountCommand::Close).await;
    react(&bank).await;
    let version = async || bank.store.load::<Portfolio>("9").await.expect("loads").version;
    let before = version().await;
    for (object, _) in bank.world.objects.all("views/holdings/") {
        assert!(bank.world.objects.remove(&object));
    }
    react(&bank).await;
    assert_eq!(version().await, before, "not even after 2 was removed again");
    let options = Options::default();
    bank.store.execute::<Account>("4", AccountCommand::Close, options).await.expect_err("it was closed");
}

#[tokio::test(start_paused = true)]
async fn a_token_brings_the_report_up_to_it() {
    let bank = Bank::new();
    for id in ["1", "2", "3", "4"] {
        open(&bank, id, Some("9")).await;
    }
    react(&bank).await;
    let router = exceptions::router(Arc::new(Projector::new(Exceptions, &bank.ports())));
    let (status, _, answer) =
        ask(&router, "GET", "/exceptions/9", &[("session-token", "portfolio/9@7")]).await;
    assert_eq!(
        (status.as_u16(), &answer["version"]),
        (200, &json!(7)),
        "nothing was delivered yet: {answer}"
    );
}
