//! A line of an import: parsed, and committed where it is accepted.

use futures::TryStreamExt;
use headwater::{Options, Settings, Store, StoreError, Version, memory::World};
use headwater_tool::import::parse;
use serde_json::json;

use crate::world::run;

pub(crate) fn holds(document: &[u8]) {
    let line = match parse(7, document) {
        Ok(line) => line,
        Err(bad) => {
            let said = bad.to_string();
            assert!(said.starts_with("line 7: ") && said.len() < 1_000, "{said}");
            return;
        }
    };
    // By hand: data stay text, and their white space with them.
    let events = serde_json::to_string(&line.events).expect("JSON");
    let rest =
        json!({"stream": line.stream, "first": line.first, "id": line.id, "at": line.at, "meta": line.meta})
            .to_string();
    let written = format!("{{\"events\":{events},{}", &rest[1..]);
    let mut again = parse(7, written.as_bytes()).expect("what was read can be written and read again");
    again.bytes = line.bytes;
    assert_eq!(again, line, "it comes back as it was");
    run(async {
        let world = World::new(1);
        let store = Store::new(world.ports(), Settings::default());
        let options = Options {
            commit_id: Some(line.id.clone()),
            at: Some(line.at),
            meta: line.meta.clone(),
            ..Options::default()
        };
        match store.append(&line.stream, line.events.clone(), options).await {
            Ok(appended) => {
                let stored: Vec<_> =
                    store.read(&line.stream, Version::new(1)).try_collect().await.expect("reads");
                assert_eq!(stored, [appended.commit]);
                assert_eq!((&stored[0].events, stored[0].at), (&line.events, line.at));
                assert_eq!(stored[0].id, line.id);
            }
            // It is too large for a record.
            Err(StoreError::Invalid { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    });
}
