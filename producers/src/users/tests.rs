//! The service `users`, request by request.

use serde_json::{Value, json};

use crate::fixture::{Answer, Services};

async fn register(services: &Services, id: &str, username: &str) -> Answer {
    services.post("/users", json!({"id": id, "username": username}), &[]).await
}

async fn status(services: &Services, name: &str) -> Value {
    services.get(&format!("/usernames/{name}"), &[]).await.json["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_registration_tells_where_the_user_is() {
    let services = Services::alone();
    let registered = register(&services, "9", "Ann").await;
    assert_eq!(registered.status, 201, "{registered:?}");
    assert_eq!(registered.header("location"), "/users/9");
    assert_eq!((registered.header("etag"), registered.header("session-token")), ("\"1\"", "user/9@1"));
    let user = json!({
        "id": "9", "username": "Ann", "status": "registered", "version": 1,
        "publication": "published", "repeat": false,
    });
    assert_eq!(registered.json, user);
    let read = services.get("/users/9", &[]).await;
    assert_eq!(read.json, json!({"id": "9", "username": "Ann", "status": "registered", "version": 1}));
    assert_eq!(services.get("/users/9", &[("if-none-match", "\"1\"")]).await.status, 304);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_unique_whatever_its_case() {
    let services = Services::alone();
    assert_eq!(status(&services, "ann").await, "free");
    register(&services, "9", "Ann").await;
    assert_eq!(
        (status(&services, "ANN").await, status(&services, "bob").await),
        ("taken".into(), "free".into())
    );
    let taken = register(&services, "10", "aNN").await;
    assert_eq!(taken.is_problem(409, "taken")["value"], "ann");
    services.get("/users/10", &[]).await.is_problem(404, "not-registered");
    assert_eq!(register(&services, "10", "bob").await.status, 201, "the loser may choose another name");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_given_up_can_be_had_by_others() {
    let services = Services::alone();
    register(&services, "9", "ann").await;
    let renamed = services.post("/users/9/rename", json!({"username": "bob"}), &[]).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json["username"]), (200, &json!("bob")));
    assert_eq!(register(&services, "10", "ann").await.status, 201);
    let taken = services.post("/users/9/rename", json!({"username": "ann"}), &[]).await;
    taken.is_problem(409, "taken");
    let closed = services.post("/users/9/close", json!({}), &[]).await;
    assert_eq!(closed.json["status"], "closed");
    assert_eq!(status(&services, "bob").await, "free");
    services.post("/users/9/rename", json!({"username": "carl"}), &[]).await.is_problem(422, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_retry_registers_the_same_user_once() {
    let services = Services::alone();
    let key = [("idempotency-key", "signup-7")];
    let wish = || json!({"username": "ann"});
    let first = services.post("/users", wish(), &key).await;
    let again = services.post("/users", wish(), &key).await;
    assert_eq!((first.status, again.status), (http::StatusCode::CREATED, http::StatusCode::CREATED));
    assert_eq!((&first.json["id"], &again.json["repeat"]), (&again.json["id"], &json!(true)));
    let other = services.post("/users", json!({"username": "bob"}), &key).await;
    other.is_problem(422, "idempotency-key-reused");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_breaks_the_rule_is_refused_by_name() {
    let services = Services::alone();
    for name in ["", "an", "9nn", "a nn", "änn"] {
        let refused = register(&services, "9", name).await;
        assert_eq!(refused.is_problem(422, "invalid")["field"], "username");
    }
    assert_eq!(services.get("/usernames/a", &[]).await.is_problem(400, "invalid")["field"], "id");
    assert_eq!(services.objects.faults().calls(headwater::memory::Operation::Put), 0);
}
