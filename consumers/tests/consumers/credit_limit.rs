//! `credit-limit`: the limit, and the stream of its changes.

use std::{env::VarError, sync::Arc};

use axum::Router;
use bank::AccountCommand;
use consumers::credit_limit::{self, CreditLimitConfig, CreditLimitEvent, CreditLimits};
use headwater::{
    Schemas, Version,
    consume::Projector,
    format::{commit::Commit, record::Record},
    memory::{Fault, FaultyLog, MemoryLog},
    port::{Log, LogError},
};
use serde_json::json;

use crate::bench::{Bank, get};

struct Service {
    projector: Arc<Projector<CreditLimits>>,
    router: Router,
    second: Arc<MemoryLog>,
    faulty: Arc<FaultyLog>,
}

fn service(bank: &Bank) -> Service {
    let second = Arc::new(MemoryLog::new(bank.world.clock.clone(), 1));
    let faulty = Arc::new(FaultyLog::new(second.clone()));
    let log = faulty.clone() as Arc<dyn Log>;
    let projector = Arc::new(Projector::forwarding(CreditLimits, &bank.ports(), log));
    let router = credit_limit::router(Arc::clone(&projector));
    Service { projector, router, second, faulty }
}

/// Every change that was forwarded, with its commit.
fn changes(second: &MemoryLog) -> Vec<(i64, Arc<Commit>)> {
    let records = second.records().into_iter().map(|arrival| {
        let record = Record::decode(&arrival.data).expect("a record");
        assert_eq!((record.kind.as_str(), record.stream.as_str()), ("credit-limit", "credit-limit/42"));
        assert_eq!(arrival.key, "credit-limit/42", "one account, one order");
        record
    });
    let limit = |commit: Arc<Commit>| {
        let CreditLimitEvent::CreditLimitChanged { limit } =
            Schemas::FIRST.decode(&commit.events[0]).expect("a change");
        (limit, commit)
    };
    records.flat_map(|record| record.commits).map(limit).collect()
}

#[tokio::test(start_paused = true)]
async fn every_change_is_forwarded_once_per_cause_in_version_order() {
    let bank = Bank::new();
    let Service { projector, router, second, .. } = service(&bank);
    bank.open("42").await;
    for amount in [40_000, 40_000, 40_000, 1, 4_000] {
        bank.credit("42", amount).await;
    }
    let amount = 124_001.try_into().expect("an amount");
    bank.execute("42", AccountCommand::Withdraw { amount, reference: None, transfer: None }).await;
    bank.execute("42", AccountCommand::Close).await;
    assert!(bank.deliver(&projector).await.is_empty());

    let derived = changes(&second);
    let limits: Vec<_> =
        derived.iter().map(|(limit, commit)| (*limit, commit.first.get(), commit.last.get())).collect();
    assert_eq!(limits, [(30_000, 1, 1), (31_000, 2, 2), (0, 3, 3)]);
    let records = bank.world.log.records();
    let commits = records.iter().flat_map(|arrival| Record::decode(&arrival.data).expect("a record").commits);
    let causes: Vec<_> = commits.filter(|commit| [4, 6, 8].contains(&commit.last.get())).collect();
    for ((_, change), cause) in derived.iter().zip(&causes) {
        assert_eq!((&change.id, change.at), (&cause.id, cause.at));
        assert_eq!(change.meta["causation"], format!("account/42@{}", cause.last));
    }

    let (status, body) = get(&router, "/credit-limit/42").await;
    assert_eq!((status, body), (200, json!({"id": "42", "limit": 0, "changes": 3, "version": 8})));
    assert_eq!(get(&router, "/credit-limit/9").await.0, 404);

    assert!(bank.deliver(&projector).await.is_empty());
    assert_eq!(changes(&second).len(), 3, "what is in the view is not forwarded again");
}

#[tokio::test(start_paused = true)]
async fn a_query_forwards_nothing() {
    let bank = Bank::new();
    let Service { projector, router, second, .. } = service(&bank);
    bank.open("42").await;
    for _ in 0..3 {
        bank.credit("42", 4_000).await;
    }
    let (_, body) = get(&router, "/credit-limit/42?token=account/42@4").await;
    assert_eq!((&body["limit"], &body["version"]), (&json!(3_000), &json!(4)));
    assert!(second.records().is_empty());
    assert!(bank.deliver(&projector).await.is_empty());
    assert_eq!(changes(&second).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_second_stream_is_down_nothing_is_written_and_all_comes_again() {
    let bank = Bank::new();
    let Service { projector, router, second, faulty } = service(&bank);
    bank.open("42").await;
    for _ in 0..4 {
        bank.credit("42", 40_000).await;
    }
    faulty.faults().hook(|_| Fault::After(LogError::Unknown("the answer was lost".into())));
    assert_eq!(bank.deliver(&projector).await.len(), 1);
    assert_eq!(
        get(&router, "/credit-limit/42").await.0,
        404,
        "the view is not ahead of what was acknowledged"
    );
    faulty.faults().clear();
    assert!(bank.deliver(&projector).await.is_empty());

    let mut derived = changes(&second);
    assert!(derived.len() > 2, "lost answers are repeats");
    derived.dedup_by_key(|(_, commit)| commit.first);
    derived.sort_by_key(|(_, commit)| commit.first);
    derived.dedup();
    let told: Vec<_> = derived.iter().map(|(limit, commit)| (*limit, commit.first)).collect();
    assert_eq!(
        told,
        [(30_000, Version::new(1)), (40_000, Version::new(2))],
        "and say the same to the letter"
    );
}

#[test]
fn the_second_stream_must_be_named() {
    let read = |forward: Option<&str>| {
        CreditLimitConfig::from_lookup(|name| match (name, forward) {
            ("HEADWATER_STORE", _) => Ok("bucket".to_owned()),
            ("HEADWATER_STREAM", _) => Ok("events".to_owned()),
            ("HEADWATER_FORWARD", Some(forward)) => Ok(forward.to_owned()),
            _ => Err(VarError::NotPresent),
        })
    };
    assert_eq!(read(Some("changes")).expect("complete").forward, "changes");
    let error = read(None).expect_err("incomplete").to_string();
    assert!(error.starts_with("HEADWATER_FORWARD is not set"), "{error}");
}
