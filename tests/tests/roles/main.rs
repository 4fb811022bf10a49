//! Least privilege: the policies of the template (`infra/headwater.yaml`) are enforced on every request while the bank does
//! all that it does. Nothing is refused, every right is used, and what a role must not do is refused.
//!
//! 1. `template` reads roles and buckets' policies, `policy` judges calls by them;
//! 2. `enforcer` does so for every request that reaches the local AWS, where each binary asks under its own name;
//! 3. `world` does what the bank does; the test below sees to it that each function does all of its own;
//! 4. `page` writes `docs/roles.md` of what was found, and compares;
//! 5. `filters` compares what the mappings let through with what the code reads.

#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

mod enforcer;
mod filters;
mod page;
mod policy;
mod template;
mod world;

use std::collections::BTreeSet;

use headwater::{
    format::key,
    port::{Got, Keys, Objects},
};
use headwater_tests::{PATIENCE, rebuilt, until};
use headwater_tool::{
    cluster::{ARCHIVE, STORE, STREAM},
    drive::{drive, register},
};
use indicatif::ProgressBar;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::{
    enforcer::Enforcer,
    policy::{Call, Policies, Right},
    template::Template,
    world::World,
};

/// Accounts are opened, used and closed, by several processes at once, also those with a long history.
async fn accounts(world: &World) {
    for id in ["a", "b", "c"] {
        world.command("accounts", "/accounts", json!({"id": id, "overdraft_limit": 1_000})).await;
    }
    for service in ["credit", "withdraw"] {
        let absent = world.post(service, &format!("/accounts/absent/{service}"), json!({"amount": 1})).await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND);
    }
    for service in ["credit", "withdraw", "close"] {
        let by = if service == "close" { "accounts" } else { service };
        let body = if service == "close" { json!({}) } else { json!({"amount": 1}) };
        for length in ["long", "full"] {
            let id = format!("{service}-{length}");
            world.command("accounts", "/accounts", json!({"id": id, "overdraft_limit": 1_000})).await;
            world.lengthen(length, &format!("account/{id}")).await;
            world.command(by, &format!("/accounts/{id}/{service}"), body.clone()).await;
        }
    }
    // Regular and large enough for what the bank would lend to change.
    for _ in 0..3 {
        world.command("credit", "/accounts/c/credit", json!({"amount": 50_000})).await;
    }
    // Regular and large enough for what the bank would lend to change.
    for _ in 0..3 {
        world.command("credit", "/accounts/c/credit", json!({"amount": 50_000})).await;
    }
    let plan = headwater_tests::plan(&world.cluster, 10, 5);
    drive(plan, 150, &ProgressBar::hidden()).await.expect("every command is answered");
}

/// Users have names, give them up, and are refused those that others have.
async fn users(world: &World) {
    register(&headwater_tests::plan(&world.cluster, 0, 5), 5).await.expect("one of two gets each name");
    for length in ["long", "full"] {
        let id = format!("user-{length}");
        world.command("users", "/users", json!({"id": id, "username": id})).await;
        world.lengthen(length, &format!("user/{id}")).await;
        world
            .command("users", &format!("/users/{id}/rename"), json!({"username": format!("new-{id}")}))
            .await;
    }
    world.command("users", "/users/user-long/close", json!({})).await;
    assert_eq!(world.get("users", "/usernames/nobody").await.status, StatusCode::OK);
}

/// Money is moved between accounts, also those with a long history, by transfers of which some have one.
async fn transfers(world: &World) {
    for id in ["from-long", "to-full"] {
        world.command("accounts", "/accounts", json!({"id": id, "overdraft_limit": 1_000})).await;
    }
    world.lengthen("long", "account/from-long").await;
    world.lengthen("full", "account/to-full").await;
    for id in ["t-long", "t-full"] {
        world.strand(id, "a", "b").await;
    }
    world.lengthen("long", "transfer/t-long").await;
    world.lengthen("full", "transfer/t-full").await;
    world.order_heavily("t-heavy", "a", "b").await;
    let order = json!({"id": "t", "from": "from-long", "to": "to-full", "amount": 5});
    world.command("transfers", "/transfers", order).await;
    let status =
        async |id: &str| world.get("transfers", &format!("/transfers/{id}")).await.json["status"].clone();
    for id in ["t", "t-heavy"] {
        until("the money arrives", async || status(id).await == "completed").await;
    }
    world.drain().await;
    // The process's view of it is healed from pages by the next record.
    let views = world.ports.objects.list_all(&Keys::under("views/transfers/")).await.expect("S3 answers");
    let view = views.iter().find(|view| view.key.ends_with("t-long")).expect("a view");
    world.forget(&view.key).await;
    for id in ["t-long", "t-full"] {
        world.command("transfers", &format!("/transfers/{id}/redirect"), json!({"to": "a"})).await;
        until("the money arrives", async || status(id).await == "completed").await;
    }
    // What waits for too long is called off.
    let tick = json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}).to_string();
    until("no timer is left", async || {
        world.cluster.aws().invoke("transfer-process", tick.clone()).await.expect("it ticks");
        world.ports.objects.list_all(&Keys::under("timers/")).await.expect("S3 answers").is_empty()
    })
    .await;
}

/// Two holders have too many accounts, and the newest is closed: a portfolio and an account with a long history, and a
/// portfolio and an account at the brim.
async fn holdings(world: &World) {
    let open = async |length: &str, number: u8| {
        let account = json!({"id": format!("{length}-{number}"), "holder": format!("holder-{length}")});
        world.command("accounts", "/accounts", account).await;
    };
    for length in ["long", "full"] {
        world.lengthen(length, &format!("portfolio/holder-{length}")).await;
        for number in 1..=3 {
            open(length, number).await;
        }
    }
    world.drain().await;
    // It comes to the fourth when that is as it should be.
    world.function("holdings", 0, None);
    for length in ["long", "full"] {
        open(length, 4).await;
        world.lengthen(length, &format!("account/{length}-4")).await;
    }
    world.function("holdings", 10, None);
    for id in ["long-4", "full-4"] {
        let closed =
            async || world.get("accounts", &format!("/accounts/{id}")).await.json["status"] == "closed";
        until("an account too many is closed", closed).await;
    }
}

/// Views that were lost are healed from heads and pages; rebuilt ones are fed on; marks are taken off.
async fn views(world: &World) {
    let projections =
        [("balance", "credit-long"), ("credit-limit", "credit-long"), ("exceptions", "holder-long")];
    world.drain().await;
    for (projection, id) in projections {
        world.forget(&key::view(projection, id)).await;
    }
    let feed = async || {
        world.command("credit", "/accounts/credit-long/credit", json!({"amount": 1})).await;
        world.pad("portfolio/holder-long", 1).await;
        world.drain().await;
    };
    feed().await;
    for (projection, id) in projections {
        assert_eq!(world.get(projection, &format!("/{projection}/{id}")).await.status, StatusCode::OK);
        rebuilt(&world.cluster, projection, &[]).await;
        world.command(projection, &format!("/{projection}/{id}/unpark"), json!({})).await;
    }
    feed().await;
}

/// A record that is no commit comes to the archiver, which has just begun.
async fn quarantine(world: &World) {
    world.function("archiver", 10, None);
    let aws = world.cluster.clients().await.expect("clients");
    let junk = aws.kinesis().put_record().stream_name(STREAM).partition_key("junk");
    junk.data(b"no commit".to_vec().into()).send().await.expect("it is put");
    world.drain().await;
    let quarantined =
        aws.objects(ARCHIVE).list_all(&Keys::under(key::quarantined(STREAM))).await.expect("S3 answers");
    assert_eq!(quarantined.len(), 1);
}

/// Services start: each reads whose records it is going to write.
async fn starts(world: &World) {
    for service in ["accounts", "credit", "transfers", "users", "withdraw"] {
        world.cluster.spawn(service, 0).await.expect("a process").kill().await;
    }
}

/// A process dies between its commit and its record, which the relay then puts.
async fn relay(world: &World, enforcer: &Enforcer) {
    world.function("relay", 1, Some(("HEADWATER_RELAY_AGE", "1")));
    let pass = async || -> Value {
        let report = world.cluster.aws().invoke("relay", "{}").await.expect("a pass");
        serde_json::from_slice(&report).expect("a report")
    };
    pass().await;
    let service = world.cluster.spawn("credit", 0).await.expect("a process");
    let gate = enforcer.hold("credit");
    let url = format!("{}/accounts/c/credit", service.url());
    let call = tokio::spawn(reqwest::Client::new().post(url).json(&json!({"amount": 7})).send());
    timeout(PATIENCE, gate.reached()).await.expect("it gets there");
    service.kill().await;
    assert!(call.await.expect("joins").is_err(), "a dead process answers nobody");
    gate.release();
    until("the relay publishes it", async || pass().await["published"] == 1).await;
    pass().await;
}

/// A store that has no identity gets one by the relay. Nothing may come after this: it is another store then.
async fn identity(world: &World, enforcer: &Enforcer) {
    // Nobody may delete it.
    world.cluster.aws().pass_requests();
    let archive = world.cluster.clients().await.expect("clients").objects(ARCHIVE);
    let places: [(&dyn Objects, String); 2] =
        [(&*world.ports.objects, key::IDENTITY.to_owned()), (&archive, key::archived_identity(STREAM))];
    for (objects, key) in &places {
        let Got::Found { etag, .. } = objects.get(key, None).await.expect("S3 answers") else {
            panic!("no {key}")
        };
        objects.delete(key, &etag).await.expect("it is deleted");
    }
    world.cluster.aws().on_request(enforcer.clone());
    world.function("relay", 1, Some(("HEADWATER_RELAY_AGE", "1")));
    world.cluster.aws().invoke("relay", "{}").await.expect("a pass");
    for (objects, key) in &places {
        let made = objects.get(key, None).await.expect("S3 answers");
        assert!(matches!(made, Got::Found { .. }), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_has_what_its_function_needs_and_nothing_else() {
    let enforcer = Enforcer::new(Policies::of(&Template::read()));
    let world = World::new().await;
    world.cluster.aws().on_request(enforcer.clone());
    // A transfer waits for a second at most.
    world.function("transfer-process", 10, Some(("HEADWATER_EXPIRE_AFTER", "1")));

    starts(&world).await;
    tokio::join!(accounts(&world), users(&world));
    transfers(&world).await;
    holdings(&world).await;
    views(&world).await;
    quarantine(&world).await;
    relay(&world, &enforcer).await;
    world.drain().await;
    identity(&world, &enforcer).await;

    assert_eq!(enforcer.refused(), BTreeSet::new(), "who asked for what the template does not allow");
    let (rights, used) = (enforcer.policies().rights(), enforcer.used());
    let unused: Vec<&Right> = rights.difference(&used).filter(|right| !page::is_for_aws(right)).collect();
    assert!(unused.is_empty(), "granted, and not needed: {unused:#?}");

    // It is refused for good.
    let head = format!("{}/{STORE}/heads/account/a", world.cluster.aws().endpoint());
    let by = "AWS4-HMAC-SHA256 Credential=balance/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let put = reqwest::Client::new().put(head).header("authorization", by).header("if-match", "\"etag\"");
    assert_eq!(put.body("{}").send().await.expect("an answer").status(), StatusCode::FORBIDDEN);
    assert_eq!(enforcer.refused().len(), 1);
}

/// What must not be allowed: who, what, where, and the conditional header that it comes with.
fn refusals() -> Vec<(&'static str, &'static str, String, Option<&'static str>)> {
    const PUT: &str = "s3:PutObject";
    const GET: &str = "s3:GetObject";
    const DELETE: &str = "s3:DeleteObject";
    let (create, replace) = (Some("if-none-match"), Some("if-match"));
    let store = |key: &str| format!("arn:aws:s3:::{STORE}/{key}");
    let archive = |key: &str| format!("arn:aws:s3:::{ARCHIVE}/{key}");
    let segment =
        || archive("archive/headwater/shard=shardId-000000000000/dt=2026-11-21/000000000001.parquet");
    let (head, page) = (|| store("heads/account/1"), || store("pages/account/1/00000000000000000001"));
    vec![
        ("balance", PUT, head(), replace),
        ("balance", PUT, store("views/credit-limit/1"), replace),
        ("balance", PUT, store("projections/balance"), replace),
        ("balance", DELETE, store("views/balance/1"), replace),
        ("balance", "kinesis:PutRecords", template::stream(STREAM), None),
        ("credit-limit", PUT, store("views/balance/1"), create),
        ("credit-limit", "kinesis:PutRecords", template::stream(STREAM), None),
        ("exceptions", GET, head(), None),
        ("accounts", PUT, store("heads/transfer/1"), create),
        ("accounts", GET, segment(), None),
        ("accounts", PUT, store("store.json"), create),
        ("credit", PUT, store("heads/user/1"), create),
        ("withdraw", PUT, store("claims/username/ann"), create),
        ("withdraw", "kinesis:GetRecords", template::stream(STREAM), None),
        ("transfers", PUT, head(), replace),
        ("users", PUT, head(), replace),
        ("users", DELETE, store("heads/user/1"), replace),
        ("transfer-process", PUT, store("heads/user/1"), replace),
        ("transfer-process", PUT, store("views/holdings/1"), replace),
        ("holdings", PUT, store("heads/transfer/1"), replace),
        ("archiver", PUT, head(), replace),
        ("archiver", GET, head(), None),
        ("archiver", PUT, store("relay/watermark"), replace),
        ("archiver", PUT, store("store.json"), create),
        ("archiver", PUT, segment(), replace),
        ("archiver", DELETE, segment(), replace),
        ("archiver", "kinesis:PutRecords", template::stream(STREAM), None),
        ("relay", PUT, head(), replace),
        ("relay", PUT, segment(), create),
        ("", PUT, head(), None),
        ("", DELETE, head(), replace),
        ("", DELETE, page(), replace),
        ("", PUT, page(), replace),
        ("", DELETE, store("claims/username/ann"), None),
        ("", PUT, store("views/balance/1"), None),
        ("", PUT, segment(), None),
        ("", PUT, segment(), replace),
        ("", DELETE, segment(), replace),
    ]
}

#[test]
fn the_page_says_what_the_template_allows_and_what_is_refused() {
    let template = Template::read();
    let policies = Policies::of(&template);
    page::assert_by_aws(&policies, &template.mappings());
    let mut told = Vec::new();
    for (caller, action, resource, header) in refusals() {
        let actions = vec![action.to_owned()];
        let headers = header.into_iter().collect();
        let call = Call { caller: caller.to_owned(), actions, resource: resource.clone(), headers };
        assert!(policies.judge(&call).is_err(), "{call:?} is allowed");
        let what = match (action, header) {
            ("s3:PutObject", Some("if-none-match")) => "create",
            ("s3:PutObject", Some(_)) => "replace",
            ("s3:PutObject", None) => "write without a condition",
            ("s3:DeleteObject", Some(_)) => "delete",
            ("s3:DeleteObject", None) => "delete without a condition",
            ("kinesis:PutRecords", _) => "write to",
            ("s3:GetObject" | "kinesis:GetRecords", _) => "read",
            _ => panic!("say what {action} is"),
        };
        told.push((caller, what, resource));
    }
    page::check(&policies, &told);
}
