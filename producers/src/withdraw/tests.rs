//! The service `withdraw`: the limit, under contention as well, and what is told when the world fails.

use futures::future::join_all;
use headwater::{
    memory::{Fault, Operation, World},
    port::{LogError, ObjectError},
};
use serde_json::json;

use crate::fixture::Services;

const PATH: &str = "/accounts/42/withdraw";

#[tokio::test(start_paused = true)]
async fn a_withdrawal_goes_down_to_the_limit_and_no_further() {
    let services = Services::with_account(50, 100).await;
    let withdrawn = services.post(PATH, json!({"amount": 120}), &[]).await;
    assert_eq!(withdrawn.status, 200);
    assert_eq!((withdrawn.header("etag"), withdrawn.header("session-token")), ("\"3\"", "account/42@3"));
    assert_eq!((&withdrawn.json["balance"], &withdrawn.json["repeat"]), (&json!(-20), &json!(false)));
    let refused = services.post(PATH, json!({"amount": 31}), &[]).await;
    let problem = refused.is_problem(422, "insufficient-funds");
    assert_eq!((&problem["available"], &problem["asked"]), (&json!(30), &json!(31)));
    assert_eq!(problem["detail"], "31 was asked for and 30 is available");
    services.post("/accounts/43/withdraw", json!({"amount": 1}), &[]).await.is_problem(404, "not-open");
}

#[tokio::test(start_paused = true)]
async fn parallel_withdrawals_of_two_processes_never_pass_the_limit() {
    let world = World::new(11);
    let processes = [Services::within(&world), Services::within(&world)];
    processes[0].open(50, 300).await;
    let withdrawal = |number: usize| {
        let (services, key) = (&processes[number % 2], format!("withdrawal-{number}"));
        async move {
            loop {
                let headers = [("idempotency-key", key.as_str())];
                let answer = services.post(PATH, json!({"amount": 7}), &headers).await;
                match answer.status.as_u16() {
                    200 => return true,
                    422 => return false,
                    status => assert_eq!(status, 409, "{answer:?}"),
                }
            }
        }
    };
    let withdrawn = join_all((0..100).map(withdrawal)).await;
    assert_eq!(withdrawn.iter().filter(|done| **done).count(), 50);
    let account = processes[1].get("/accounts/42", &[]).await.json;
    assert_eq!((&account["balance"], &account["version"]), (&json!(-50), &json!(52)));
}

#[tokio::test(start_paused = true)]
async fn a_committed_command_is_told_as_done_while_kinesis_does_not_answer() {
    let services = Services::with_account(0, 100).await;
    let down = || Fault::Before(LogError::Unknown("down".into()));
    services.log.faults().hook(move |_| down());
    let headers = [("idempotency-key", "order-7")];
    let withdrawn = services.post(PATH, json!({"amount": 30}), &headers).await;
    assert_eq!((withdrawn.status.as_u16(), withdrawn.header("etag")), (200, "\"3\""));
    assert_eq!((&withdrawn.json["publication"], &withdrawn.json["balance"]), (&json!("pending"), &json!(70)));
    assert_eq!(services.get("/accounts/42", &[]).await.json["balance"], 70);
    services.log.faults().clear();
    assert_eq!(services.bank.store().drain(std::time::Duration::from_mins(1)).await, 0);
    let again = services.post(PATH, json!({"amount": 30}), &headers).await;
    assert_eq!((&again.json["publication"], &again.json["repeat"]), (&json!("published"), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_told_as_unknown_and_its_retry_takes_effect_once() {
    let services = Services::with_account(0, 100).await;
    let lost = || ObjectError::Unknown("lost".into());
    services.objects.faults().hook(move |call| match (call.operation, call.key.starts_with("heads/")) {
        (Operation::Put, true) => Fault::After(lost()),
        (Operation::Get, true) => Fault::Before(lost()),
        _ => Fault::None,
    });
    let unknown = services.post(PATH, json!({"amount": 30}), &[]).await;
    let key = unknown.is_problem(503, "unknown")["idempotency_key"].as_str().expect("a key").to_owned();
    assert!(unknown.headers.contains_key("retry-after"));
    services.objects.faults().clear();
    let headers = [("idempotency-key", key.as_str())];
    let again = services.post(PATH, json!({"amount": 30}), &headers).await;
    assert_eq!((again.status.as_u16(), &again.json["repeat"]), (200, &json!(true)));
    assert_eq!(services.get("/accounts/42", &[]).await.json["balance"], 70);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_told_as_unavailable() {
    let services = Services::alone();
    services.objects.faults().hook(|_| Fault::Before(ObjectError::Unknown("secret".into())));
    let answer = services.post(PATH, json!({"amount": 30}), &[]).await;
    answer.is_problem(503, "unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.json.to_string().contains("secret"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_and_is_no_account_is_told_as_corrupt() {
    use headwater::port::{Objects, Precondition};

    let services = Services::alone();
    services.objects.put("heads/account/42", "secret".into(), Precondition::Absent).await.expect("put");
    let answer = services.post(PATH, json!({"amount": 30}), &[]).await;
    answer.is_problem(500, "corrupt");
    assert!(!answer.json.to_string().contains("secret"), "{answer:?}");
}
