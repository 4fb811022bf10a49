//! The end-to-end suite: what the bank promises wherever it runs, through HTTP alone, and what stands in S3 and Kinesis after it.
//!
//! 1. Every scenario runs at the same time as the others, with names of this run: a stack that holds data will do, and one
//!    that others use as well.
//! 2. When all have ended well, `standing` reads what stands of the run, and checks H1 to H11 over it.
//!
//! Nothing here fails, restarts, throttles or reshards what it runs on: an emulator does not do that as AWS does. Those are
//! tried on the embedded AWS alone, by the other tests of this crate.

#![expect(clippy::expect_used, reason = "tests, wherever they run")]

mod accounts;
mod api;
mod bad_input;
mod credit_limits;
mod holdings;
mod own_writes;
mod race;
mod repeats;
mod standing;
mod transfers;
mod usernames;

use std::{future::Future, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use tokio::{task::JoinSet, time::Instant};

use crate::Place;

/// Runs every scenario in this place, and checks what stands then.
///
/// # Panics
///
/// Naming the scenarios that failed.
pub async fn run(place: Place) {
    let place = Arc::new(place);
    let mut running = JoinSet::new();
    for (name, scenario) in scenarios(&place) {
        running.spawn(async move {
            let begin = Instant::now();
            // A task of its own, so that a panic is told with the scenario's name.
            let ended = tokio::spawn(scenario).await;
            println!("{name}: {} after {:.1?}", if ended.is_ok() { "ok" } else { "FAILED" }, begin.elapsed());
            ended.err().map(|_| name)
        });
    }
    let failed: Vec<&str> = running.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "failed: {failed:?}; why stands above");
    let begin = Instant::now();
    let found = standing::keeps_every_promise(&place).await;
    println!("{found}, after {:.1?}", begin.elapsed());
}

/// Every scenario, by what it shows.
fn scenarios(place: &Arc<Place>) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
    let here = || Arc::clone(place);
    let mut all = vec![
        ("versions guard an account", boxed(accounts::versions_guard_an_account(here()))),
        ("a repeated key commits once", boxed(repeats::a_repeated_key_commits_once(here()))),
        (
            "a token shows the own write at once",
            boxed(own_writes::a_token_shows_the_own_write_at_once(here())),
        ),
        ("racing clients lose nothing", boxed(race::racing_clients_lose_nothing(here()))),
        ("a username has one owner", boxed(usernames::a_username_has_one_owner(here()))),
        ("transfers complete, and money is constant", boxed(transfers::money_is_constant(here()))),
        ("a fourth account is closed and reported", boxed(holdings::a_fourth_account_is_closed(here()))),
        ("changed credit limits are forwarded", boxed(credit_limits::changes_are_forwarded(here()))),
        ("bad input gets its problem document", boxed(bad_input::is_told_what_is_wrong(here()))),
    ];
    if place.is_deployed() {
        all.push(("the API is for callers who sign", boxed(api::is_for_callers_who_sign(here()))));
        all.push(("the API has no operator's routes", boxed(api::has_no_operators_routes(here()))));
    }
    all
}

fn boxed(scenario: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
    scenario.boxed()
}

/// Opens an account of this run by this word, and tells its id.
async fn open(place: &Place, word: &str, overdraft_limit: i64) -> String {
    let id = place.name(word);
    let body = serde_json::json!({"id": id, "overdraft_limit": overdraft_limit});
    place.post("/accounts", &body).expect(201).await;
    id
}

/// Takes money in.
async fn credit(place: &Place, id: &str, amount: i64) -> crate::Answer {
    let body = serde_json::json!({"amount": amount});
    place.post(format!("/accounts/{id}/credit"), &body).expect(200).await
}
