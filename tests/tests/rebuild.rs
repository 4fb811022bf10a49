//! Views are rebuilt while writes go on, again and again: the bank answers all the time, and what serves in the end is the
//! view that live projection made.

#![allow(clippy::expect_used, reason = "a test")]

use std::{collections::BTreeMap, time::Duration};

use headwater::{
    consume::generations,
    format::{key, view::View},
    port::{Got, Keys, Ports},
    read::Reader,
};
use headwater_tests::{Answer, PATIENCE, assert_every_invariant, cluster, plan, rebuilt};
use headwater_tool::{
    cluster::{STORE, STREAM},
    drive::drive,
};
use indicatif::ProgressBar;
use reqwest::Client;
use serde_json::{Value, json};

/// Every view of a generation: its state, and what it reflects.
async fn views(ports: &Ports, projection: &str, generation: u32) -> BTreeMap<String, (Value, Value)> {
    let mut views = BTreeMap::new();
    let keys = Keys::under(key::view_in(projection, generation, ""));
    for object in ports.objects.list_all(&keys).await.expect("S3 answers") {
        let Got::Found { body, .. } = ports.objects.get(&object.key, None).await.expect("S3 answers") else {
            panic!("{} is gone", object.key);
        };
        let view = View::<Value>::decode(&body).expect("a view");
        assert!(view.parked.is_empty());
        let key = key::view_key(projection, generation, &object.key).expect("a view's key");
        views.insert(key, (view.state, json!(view.applied)));
    }
    views
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_while_writes_go_on_ends_with_the_views_of_live_projection() {
    let cluster = cluster(2).await;
    let ports = cluster.clients().await.expect("clients").ports(STORE, STREAM);
    let reader = Reader::new(&ports);
    let http = Client::new();
    let opened = json!({"id": "watched", "overdraft_limit": 0});
    let opened = http.post(format!("{}/accounts", cluster.urls("accounts")[0])).json(&opened);
    assert_eq!(Answer::to(opened).await.status, 201);
    assert!(cluster.drain(PATIENCE).await, "the views have it");

    let bar = ProgressBar::hidden();
    let mut driving = std::pin::pin!(drive(plan(&cluster, 40, 11), 1_500, &bar));
    // Asked without a token, an account that nobody writes is never unknown.
    let urls = cluster.urls("balance");
    let watching = async {
        for url in urls.iter().cycle() {
            let shown = Answer::to(http.get(format!("{url}/balance/watched"))).await;
            assert_eq!((shown.status.as_u16(), &shown.json["version"]), (200, &json!(1)), "{shown:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut watching = std::pin::pin!(watching);
    let mut rebuilds = BTreeMap::from([("balance", 0), ("credit-limit", 0)]);
    let mut driven = None;
    while driven.is_none() || rebuilds.values().any(|times| *times < 2) {
        for (projection, times) in &mut rebuilds {
            let mut rebuilding = std::pin::pin!(rebuilt(&cluster, projection, &[]));
            loop {
                tokio::select! {
                    generation = &mut rebuilding => {
                        *times += 1;
                        assert_eq!(generation, *times);
                        break;
                    }
                    ended = &mut driving, if driven.is_none() => {
                        driven = Some(ended.expect("every command is answered, and every write is read"));
                    }
                    () = &mut watching => {}
                }
            }
        }
    }
    let driven = driven.expect("it has ended");
    let found = assert_every_invariant(&cluster, &driven).await;
    assert_eq!(found.evidence.views.len(), 2 * 41, "the views that serve");

    // What live projection and the rebuilds have made, and what is made of the same history at rest.
    for projection in ["balance", "credit-limit"] {
        let before = generations(&reader, projection).await.expect("a pointer");
        let live = views(&ports, projection, before.serving).await;
        rebuilt(&cluster, projection, &["--keep"]).await;
        let after = generations(&reader, projection).await.expect("a pointer");
        assert_eq!((after.serving, after.building), (before.serving + 1, None));
        assert_eq!(views(&ports, projection, after.serving).await, live);
        assert_eq!(views(&ports, projection, before.serving).await, live, "they were kept");
    }
    assert!(cluster.stop(PATIENCE).await);
}
