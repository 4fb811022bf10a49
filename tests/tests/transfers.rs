//! A thousand transfers among twenty accounts, while services and the process that moves the money are killed: at every audit
//! the money is all there, and every transfer ends.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bank::{Account, Books, Transfer, TransferStatus, books::Audited};
use fastrand::Rng;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{Aggregate, Version, format::key, port::Ports, read::Reader};
use headwater_tests::{PATIENCE, assert_every_invariant, audited, eventually};
use headwater_tool::{
    cluster::{Cluster, Options, Relay, STORE, STREAM},
    drive::Driven,
};
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const ACCOUNTS: usize = 20;
const TRANSFERS: usize = 1_000;
const CLIENTS: usize = 16;
/// What is put into each account.
const FUNDS: i64 = 10_000;
/// What all of them hold together, always.
const MONEY: i128 = 200_000;

/// Asks one of a service's processes until it is answered.
async fn post(cluster: &Cluster, service: &str, path: &str, key: &str, body: &Value) -> StatusCode {
    let deadline = Instant::now() + PATIENCE;
    for attempt in 0.. {
        let urls = cluster.urls(service);
        let request = Client::new().post(format!("{}{path}", urls[attempt % urls.len()]));
        let request = request.header("Idempotency-Key", key).timeout(Duration::from_secs(20)).json(body);
        match request.send().await {
            Ok(answer) if !answer.status().is_server_error() && answer.status() != StatusCode::CONFLICT => {
                return answer.status();
            }
            Ok(_) | Err(_) => assert!(Instant::now() < deadline, "{path} {key} is not answered"),
        }
        sleep(Duration::from_millis(50)).await;
    }
    unreachable!("attempts never end")
}

/// Reads the accounts first, and then the transfers.
async fn books(ports: &Ports) -> Books {
    let reader = Reader::new(ports);
    let mut books = Books::default();
    for kind in [Account::KIND, Transfer::KIND] {
        let heads = reader.keys(&format!("{}{kind}/", key::HEADS)).await.expect("lists");
        let streams = heads.iter().filter_map(|head| key::stream_of_head(head));
        let read = streams.map(|stream| {
            let commits = reader.stream(stream.clone(), Version::new(1));
            async move { (stream, commits.try_collect::<Vec<_>>().await.expect("reads")) }
        });
        let mut read = stream::iter(read).buffered(16);
        while let Some((stream, commits)) = read.next().await {
            books.take(&stream, commits.iter().flat_map(|commit| &commit.events)).expect("decodes");
        }
    }
    books
}

/// Kills a process of the service or of the Lambda, again and again.
async fn kill(cluster: &Cluster, over: &AtomicBool, killed: &AtomicU64) {
    let mut chance = Rng::with_seed(7);
    while !over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(chance.u64(400..1_600))).await;
        if chance.bool() {
            cluster.restart("transfers", 0, Duration::from_millis(100)).await.expect("starts again");
            killed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let lambdas: Vec<_> =
            cluster.processes().into_iter().filter(|one| one.name == "transfer-process").collect();
        let Some(pid) = chance.choice(&lambdas).and_then(|one| Pid::from_raw(i32::try_from(one.id).ok()?))
        else {
            continue;
        };
        if kill_process(pid, Signal::KILL).is_ok() {
            killed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_transfers_make_and_lose_no_money() {
    // What a process that was killed has committed and not told, nobody comes by to tell but the relay.
    let options = Options { processes: 2, relay: Some(Relay::every_seconds(2)), ..Options::default() };
    let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
    let ports = cluster.clients().await.expect("clients").ports(STORE, STREAM);
    for account in 0..ACCOUNTS {
        let id = format!("a-{account}");
        let opened = post(&cluster, "accounts", "/accounts", &id, &json!({"id": id})).await;
        let credited =
            post(&cluster, "credit", &format!("/accounts/{id}/credit"), "funds", &json!({"amount": FUNDS}))
                .await;
        assert_eq!((opened, credited), (StatusCode::CREATED, StatusCode::OK));
    }

    let (over, killed, audits, seen) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let order = async {
        let mut chance = Rng::with_seed(1);
        let orders: Vec<_> = (0..TRANSFERS)
            .map(|number| {
                let from = chance.usize(..ACCOUNTS);
                let to = (from + chance.usize(1..ACCOUNTS)) % ACCOUNTS;
                let (id, amount) = (format!("t-{number}"), chance.i64(1..4_000));
                json!({"id": id, "from": format!("a-{from}"), "to": format!("a-{to}"), "amount": amount})
            })
            .collect();
        let sent = stream::iter(&orders).map(|order| async {
            let key = order["id"].as_str().expect("an id");
            assert_eq!(post(&cluster, "transfers", "/transfers", key, order).await, StatusCode::CREATED);
        });
        sent.buffer_unordered(CLIENTS).collect::<Vec<_>>().await;
        over.store(true, Ordering::Relaxed);
    };
    let audit = async {
        while !over.load(Ordering::Relaxed) {
            let Audited { balances, under_way, violations, .. } = books(&ports).await.audit();
            assert_eq!(violations, Vec::<String>::new());
            assert_eq!(balances + under_way, MONEY, "no money is made or lost");
            audits.fetch_add(1, Ordering::Relaxed);
            seen.fetch_add(u64::from(under_way > 0), Ordering::Relaxed);
            sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::join!(order, audit, kill(&cluster, &over, &killed));
    assert!(killed.load(Ordering::Relaxed) >= 3, "enough has been killed");
    assert!(audits.load(Ordering::Relaxed) >= 3, "there was time to look");
    assert!(seen.load(Ordering::Relaxed) > 0, "money was seen on its way");

    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        let books = books(&ports).await;
        let audited = books.audit_at_rest();
        assert_eq!(audited.balances + audited.under_way, MONEY, "no money is made or lost");
        if audited.violations.is_empty() {
            assert_eq!(audited.under_way, 0, "all of it is in accounts again");
            break books.statuses();
        }
        assert!(Instant::now() < deadline, "{:?}", audited.violations);
        sleep(Duration::from_secs(2)).await;
    };
    let count = |status| ended.iter().find(|(of, _)| *of == status).map_or(0, |(_, count)| *count);
    let (completed, refused) = (count(TransferStatus::Completed), count(TransferStatus::Refused));
    assert_eq!(completed + refused, TRANSFERS, "{ended:?}");
    assert!(completed > 0 && refused > 0, "{ended:?}");
    println!("{ended:?}, {killed:?} killed, {audits:?} audits, {seen:?} of them with money on its way");
    assert_every_invariant(&cluster, &Driven::new().expect("nothing")).await;
    // What a killed process left is published by the relay, and archived then.
    eventually(PATIENCE, async || match &*audited(&cluster).await {
        [] => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
}
