//! Many want few usernames, while processes die wherever they are: each name has one owner in the end, no name is stuck,
//! and every loser is told so (H9).

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bank::User;
use fastrand::Rng;
use headwater::{evidence::Evidence, invariants::Violation};
use headwater_tests::{PATIENCE, cluster};
use headwater_tool::cluster::{Addresses, Cluster, STORE, STREAM};
use localstack::{Fault, Gate, Request};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

const NAMES: [&str; 8] = ["ann", "bob", "carl", "dora", "emil", "fay", "gus", "hanna"];
const CLIENTS: usize = 64;
const PROCESSES: usize = 3;

/// Where a process dies while it registers somebody: at which request, and whether that is done.
const DEATHS: [(&str, &str, bool); 8] = [
    ("s3:GetObject", "heads/", false),
    ("s3:PutObject", "claims/", false),
    ("s3:PutObject", "claims/", true),
    ("s3:PutObject", "heads/", false),
    ("s3:PutObject", "heads/", true),
    ("kinesis:PutRecords", "", false),
    ("kinesis:PutRecords", "", true),
    ("s3:GetObject", "heads/", true),
];

/// Registers `id` as `name`: whether they got the name, or were told that it is taken. Asked until there is an answer.
async fn register(addresses: &Addresses, id: &str, name: &str, chance: &mut Rng) -> bool {
    let (http, deadline) = (Client::new(), Instant::now() + PATIENCE);
    loop {
        let base = addresses.pick("users", chance).expect("a process");
        let request = http.post(format!("{base}/users")).header("Idempotency-Key", format!("{id}-registers"));
        let request = request.json(&json!({"id": id, "username": name})).timeout(Duration::from_secs(20));
        if let Ok(response) = request.send().await {
            let status = response.status();
            let body = response.text().await.unwrap_or_default();
            match status {
                StatusCode::CREATED => return true,
                StatusCode::CONFLICT if body.contains("/problems/taken") => return false,
                // A conflict, or nothing that is known yet.
                StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => {}
                _ => panic!("{id} as {name}: {status} {body}"),
            }
        }
        assert!(Instant::now() < deadline, "{name} is stuck");
        sleep(Duration::from_millis(chance.u64(20..200))).await;
    }
}

/// Lets a fresh process begin to register somebody, and die.
async fn register_and_die(cluster: &Cluster, name: &str, (operation, prefix, done): (&str, &str, bool)) {
    let service = cluster.spawn("users", 0).await.expect("a process");
    let gate = Gate::new();
    let (held, first) = (gate.clone(), AtomicBool::new(true));
    let (operation, prefix) = (operation.to_owned(), prefix.to_owned());
    cluster.aws().on_request(move |request: &Request| {
        let here = request.operation == operation
            && request.key.as_deref().unwrap_or_default().starts_with(&prefix)
            && first.swap(false, Ordering::Relaxed);
        match (here, done) {
            (true, true) => Fault::HoldAfter(held.clone()),
            (true, false) => Fault::HoldBefore(held.clone()),
            (false, _) => Fault::Pass,
        }
    });
    let body = json!({"id": format!("doomed-{name}"), "username": name});
    let url = format!("{}/users", service.url());
    let call = tokio::spawn(Client::new().post(url).json(&body).send());
    timeout(PATIENCE, gate.reached()).await.expect("it gets there");
    service.kill().await;
    assert!(call.await.expect("joins").is_err(), "a dead process answers nobody");
    cluster.aws().pass_requests();
    gate.release();
}

/// Who holds which name, and what is broken.
async fn holders(cluster: &Cluster) -> (BTreeMap<String, String>, Vec<Violation>) {
    let ports = cluster.clients().await.expect("clients").ports(STORE, STREAM);
    let mut evidence = Evidence::gather(&ports).await.expect("evidence");
    evidence.claimed::<User>(&ports).await.expect("claims");
    let holders = evidence.holders.iter();
    let holders = holders.map(|(claim, stream)| (claim.value().to_owned(), stream.id().to_owned())).collect();
    (
        holders,
        evidence
            .violations()
            .into_iter()
            .filter(|broken| broken.place.starts_with(User::USERNAMES))
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_has_one_owner_and_every_loser_is_told() {
    let cluster = cluster(PROCESSES).await;
    for (name, death) in NAMES.into_iter().zip(DEATHS) {
        register_and_die(&cluster, name, death).await;
    }
    let (addresses, left) = (cluster.addresses(), AtomicUsize::new(CLIENTS));
    let want = |client: usize| {
        let (addresses, left) = (&addresses, &left);
        async move {
            let mut chance = Rng::with_seed(client as u64);
            let name = NAMES[client % NAMES.len()];
            let name = if client.is_multiple_of(3) { name.to_uppercase() } else { name.to_owned() };
            let got = register(addresses, &format!("client-{client}"), &name, &mut chance).await;
            left.fetch_sub(1, Ordering::Relaxed);
            (client, got)
        }
    };
    let kills = async {
        let mut chance = Rng::with_seed(7);
        while left.load(Ordering::Relaxed) > 0 {
            sleep(Duration::from_millis(chance.u64(100..600))).await;
            cluster
                .restart("users", chance.usize(..PROCESSES), Duration::from_millis(50))
                .await
                .expect("starts");
        }
    };
    let wishes = futures::future::join_all((0..CLIENTS).map(want));
    let (told, ()) = tokio::join!(wishes, kills);

    let (holders, broken) = holders(&cluster).await;
    assert_eq!(broken, [], "H9");
    assert_eq!(holders.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(NAMES));
    for (client, got) in told {
        let holder = &holders[NAMES[client % NAMES.len()]];
        assert_eq!(
            got,
            *holder == format!("client-{client}"),
            "{client} was told {got}, {holder} has the name"
        );
    }
    // Whoever died with the name committed has it; whoever died before does not.
    for (name, (operation, prefix, done)) in NAMES.into_iter().zip(DEATHS) {
        let committed =
            operation == "kinesis:PutRecords" || (operation == "s3:PutObject" && prefix == "heads/" && done);
        assert_eq!(
            holders[name] == format!("doomed-{name}"),
            committed,
            "{name}: {operation} {prefix} {done}"
        );
    }
}
