//! Parked and unpark: what stands still is listed, and goes on when it can.

use consumers::balance::Held;
use headwater::{
    StreamId, Version,
    format::view::{Parked, View},
    port::{Got, Precondition},
    read::Reader,
};
use headwater_tool::{Failure, parked, unpark};

use super::world::{PLAN, Sink, World};

#[tokio::test]
async fn what_is_parked_is_listed_per_projection() {
    let world = World::new().await;
    let connection = world.connect().await;
    let view = r#"{"format":1,"state":null,"applied":{"account/7":2},"parked":{"account/7":{"version":3,"error":"no such variant","at":"2026-11-21T19:30:00Z"}}}"#;
    let calm = r#"{"format":1,"state":null,"applied":{"account/7":2}}"#;
    for (key, view) in [
        ("views/balance/7", view),
        ("views/balance/8", calm),
        ("views/balance-all/x", calm),
        ("views/statement/a%2F1", view),
    ] {
        connection.ports.objects.put(key, view.into(), Precondition::Absent).await.unwrap();
    }
    let shown = |projection: Option<&str>, json| {
        let (projection, sink, connection) = (projection.map(str::to_owned), Sink::default(), &connection);
        async move { parked::show(connection, projection, &mut sink.output(json)).await.map(|()| sink.text()) }
    };
    let golden = r#"{"projection":"balance","key":"7","stream":"account/7","version":3,"at":"2026-11-21T19:30:00Z","error":"no such variant"}
{"projection":"statement","key":"a/1","stream":"account/7","version":3,"at":"2026-11-21T19:30:00Z","error":"no such variant"}
"#;
    assert_eq!(shown(None, true).await.unwrap(), golden);
    assert_eq!(
        shown(Some("statement"), false).await.unwrap(),
        "statement a/1 account/7  at version 3 since 2026-11-21 19:30:00Z: no such variant\n"
    );
    assert_eq!(shown(Some("balance-all"), false).await.unwrap(), "nothing is parked\n");
    assert_eq!(shown(Some("balance-all"), true).await.unwrap(), "");
    let unseen = "there are no views of blance: nothing of it can be parked\n";
    assert_eq!(shown(Some("blance"), false).await.unwrap(), unseen);
    assert_eq!(shown(Some("blance"), true).await.unwrap(), "");
}

/// The view of account 7 as it was after its first event, the second one parked.
async fn park(world: &World) {
    let mut view = View::new(Held::default());
    let stream: StreamId = "account/7".parse().unwrap();
    let at = "2026-11-21T19:30:00Z".parse().unwrap();
    view.applied.insert(stream.clone(), Version::new(1));
    view.parked.insert(stream, Parked { version: Version::new(2), error: "no such variant".to_owned(), at });
    let objects = world.connect().await.ports.objects;
    objects.put("views/balance/7", view.encode().unwrap(), Precondition::Absent).await.unwrap();
}

/// An account that was opened and credited with `amount`.
fn history(amount: &str) -> String {
    let line = |id: u32, event: &str| {
        format!(r#"{{"stream":"account/7","id":"{id}","at":"2026-11-21T19:30:00Z","events":[{event}]}}"#)
    };
    let opened = line(1, r#"{"type":"Opened","data":{"overdraft_limit":0}}"#);
    let credited = line(2, &format!(r#"{{"type":"Credited","data":{{"amount":{amount}}}}}"#));
    format!("{opened}\n{credited}\n")
}

async fn unparked(world: &World) -> Result<String, Failure> {
    let (sink, stream) = (Sink::default(), "account/7".parse().unwrap());
    let connection = world.connect().await;
    let ended =
        unpark::unpark(&connection, unpark::Known::Balance, "7", &stream, None, &mut sink.output(true)).await;
    ended.map(|()| sink.text())
}

#[tokio::test]
async fn a_parked_stream_is_healed_from_its_head() {
    let world = World::new().await;
    world.import(&history("250"), PLAN).await.1.unwrap();
    park(&world).await;
    let golden = r#"{"projection":"balance","key":"7","stream":"account/7","outcome":"healed","version":2}"#;
    assert_eq!(unparked(&world).await.unwrap().trim_end(), golden);
    let objects = world.connect().await.ports.objects;
    let Got::Found { body, .. } = objects.get("views/balance/7", None).await.unwrap() else { panic!() };
    let view: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&view["state"]["balance"], &view["parked"]), (&250.into(), &serde_json::json!({})));

    let golden =
        r#"{"projection":"balance","key":"7","stream":"account/7","outcome":"not_parked","version":null}"#;
    assert_eq!(unparked(&world).await.unwrap().trim_end(), golden);
}

#[tokio::test]
async fn a_stream_that_can_still_not_be_applied_is_told() {
    let world = World::new().await;
    world.import(&history("\"much\""), PLAN).await.1.unwrap();
    park(&world).await;
    let said = unparked(&world).await.unwrap_err().to_string();
    assert!(
        said.starts_with("account/7 is parked again in balance 7, at version 2: event \"Credited\""),
        "{said}"
    );
}

/// What an unpark of the transfer 7 says, which has `state` beside its mark; and when the timer is due that it sets.
async fn unparked_transfer(state: &str) -> (Result<String, Failure>, Option<String>) {
    let world = World::new().await;
    let at = "2026-11-21T19:30:00Z";
    let opened = |id: &str| {
        format!(
            r#"{{"stream":"account/{id}","id":"{id}","at":"{at}","events":[{{"type":"Opened","data":{{"overdraft_limit":5000}}}}]}}"#
        )
    };
    let order = r#"{"from":"1","to":"2","amount":5,"from_version":1,"to_version":1}"#;
    let requested = format!(
        r#"{{"stream":"transfer/7","id":"7","at":"{at}","events":[{{"type":"Requested","data":{order}}}]}}"#
    );
    world.import(&[opened("1"), opened("2"), requested].join("\n"), PLAN).await.1.unwrap();
    let connection = world.connect().await;
    let parked = format!(
        r#"{{"format":1,"state":{state},"applied":{{}},"parked":{{"transfer/7":{{"version":1,"error":"odd","at":"{at}"}}}}}}"#
    );
    let objects = &connection.ports.objects;
    objects.put("views/transfers/transfer%2F7", parked.into(), Precondition::Absent).await.unwrap();
    let (sink, stream) = (Sink::default(), "transfer/7".parse().unwrap());
    let (known, key) = (unpark::Known::Transfers, "transfer/7");
    let ended = unpark::unpark(&connection, known, key, &stream, None, &mut sink.output(true)).await;
    let timers = Reader::new(&connection.ports).keys("timers/transfers/").await.unwrap();
    let due = timers.first().and_then(|key| key.split('/').nth(2)).map(str::to_owned);
    (ended.map(|()| sink.text()), due)
}

#[tokio::test]
async fn a_transfer_is_unparked_with_the_settings_that_its_process_has() {
    let (ended, due) = unparked_transfer(r#"{"settings":{"expire_after":3600}}"#).await;
    assert!(ended.unwrap().contains(r#""outcome":"healed""#));
    let requested: jiff::Timestamp = "2026-11-21T19:30:00Z".parse().unwrap();
    assert_eq!(due, Some(format!("{:015}", requested.as_millisecond() + 3_600_000)));
}

#[tokio::test]
async fn settings_that_an_older_version_did_not_keep_are_asked_for() {
    let (ended, due) = unparked_transfer("{}").await;
    assert!(ended.unwrap_err().to_string().contains("--expire-after"));
    assert_eq!(due, None, "nothing was done");
}
