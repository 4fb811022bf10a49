//! Rebuild: views come back from the archive and the heads, and the old ones go.

use archiver::{rebuild::Options, replay::Replay};
use bank::Account;
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::{
    Aggregate,
    consume::{Begin, Projector},
};
use headwater_tool::{Connection, rebuild::show};
use indicatif::ProgressBar;
use serde_json::Value;
use std::sync::Arc;

use super::world::{PLAN, Sink, World};

/// Accounts that were opened and credited with what their number says, three times.
fn accounts(numbers: std::ops::Range<u64>) -> String {
    let line = |number: u64, id: u64, event: &str| {
        format!(
            r#"{{"stream":"account/{number}","id":"{number}-{id}","at":"2026-11-21T19:30:00Z","events":[{event}]}}"#
        )
    };
    let lines = numbers.flat_map(|number| {
        let credited = format!(r#"{{"type":"Credited","data":{{"amount":{}}}}}"#, number + 10_000);
        let opened = line(number, 0, r#"{"type":"Opened","data":{"overdraft_limit":0}}"#);
        std::iter::once(opened).chain((1..4).map(move |id| line(number, id, &credited)))
    });
    lines.map(|line| line + "\n").collect()
}

fn replay(connection: &Connection) -> Replay {
    let (archive, entropy) = (Arc::clone(&connection.archive), Arc::clone(&connection.ports.entropy));
    Replay::new(archive, entropy, "headwater").kind(Account::KIND)
}

async fn rebuilt(world: &World, options: Options) -> Value {
    let (connection, sink) = (world.connect().await, Sink::default());
    let projector = Projector::new(Balances, &connection.ports);
    let (bar, mut output) = (ProgressBar::hidden(), sink.output(true));
    show(&projector, &replay(&connection), options, &bar, &mut output).await.unwrap();
    serde_json::from_str(&sink.text()).unwrap()
}

async fn views(world: &World, prefix: &str) -> usize {
    world.objects().await.iter().filter(|(key, ..)| key.starts_with(prefix)).count()
}

#[tokio::test]
async fn views_come_back_from_the_archive_and_from_the_heads() {
    let world = World::new().await;
    world.import(&accounts(0..30), PLAN).await.1.unwrap();
    world.archive().await;
    // The archive does not have these yet.
    world.import(&accounts(30..40), PLAN).await.1.unwrap();
    let other =
        r#"{"stream":"note/1","id":"a","at":"2026-11-21T19:30:00Z","events":[{"type":"Noted","data":1}]}"#;
    world.import(other, PLAN).await.1.unwrap();

    let told = rebuilt(&world, Options { keep: true, ..Options::default() }).await;
    let told =
        ["generation", "commits", "events", "streams", "deleted"].map(|name| told[name].as_u64().unwrap());
    assert_eq!(told, [1, 120, 120, 40, 0]);
    assert_eq!((views(&world, "views/balance@1/").await, views(&world, "views/").await), (40, 40));
    let projector = Projector::new(Balances, &world.connect().await.ports);
    for number in [0_u64, 29, 30, 39] {
        let view = projector.query(&number.to_string(), None).await.unwrap();
        let held = serde_json::to_value(&view.state).unwrap();
        assert_eq!(held["balance"], 3 * (number + 10_000), "{held}");
    }

    let told = rebuilt(&world, Options { begin: Begin::Resumed, keep: false }).await;
    assert_eq!((told["generation"].as_u64(), told["deleted"].as_u64()), (Some(2), Some(40)));
    assert_eq!((views(&world, "views/balance@2/").await, views(&world, "views/").await), (40, 40));
}

#[tokio::test]
async fn a_projection_that_forwards_tells_what_it_told_once_more() {
    let world = World::new().await;
    world.aws.create_stream("credit-limits", 1).await.unwrap();
    world.import(&accounts(0..3), PLAN).await.1.unwrap();
    world.archive().await;
    let mut target = world.target();
    target.forward = Some("credit-limits".to_owned());
    let connection = target.connect(&[]).await.unwrap();
    let records = async || {
        let log = &connection.ports.log;
        let shard = log.shards().await.unwrap().remove(0);
        let cursor = log.cursor(&shard.id, &headwater::port::Start::Oldest).await.unwrap();
        log.read(&cursor, 1_000).await.unwrap().records
    };
    let projector = Projector::forwarding(CreditLimits, &connection.ports, Arc::clone(&connection.ports.log));
    for times in 1..3 {
        let (sink, bar) = (Sink::default(), ProgressBar::hidden());
        let mut output = sink.output(false);
        show(&projector, &replay(&connection), Options::default(), &bar, &mut output).await.unwrap();
        assert!(
            sink.text().starts_with(&format!("credit-limit: generation {times} serves")),
            "{}",
            sink.text()
        );
        assert_eq!(records().await.len(), 3 * times);
    }
    let records = records().await;
    for record in &records[..3] {
        let repeats = records.iter().filter(|other| (&other.key, &other.data) == (&record.key, &record.data));
        assert_eq!(repeats.count(), 2, "a repeat is the same to the letter");
    }
}
