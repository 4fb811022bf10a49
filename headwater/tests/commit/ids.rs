//! Commit ids: the same id commits once for a time, from whichever process, and exactly one answer says that it was first (H8).

use headwater::{Options, Schemas, StoreError, memory::World};

use crate::{
    counter::{Command, Event},
    process::{Process, named, stream},
};

#[tokio::test(start_paused = true)]
async fn an_id_that_comes_again_with_other_events_is_refused_and_named() {
    let world = World::new(70);
    let process = Process::new(&world);
    let append = async |amount: i64, options: Options| {
        let event = Schemas::FIRST.encode(&Event::Added(amount)).expect("an event");
        process.store.append(&stream("a"), vec![event], options).await
    };
    append(4, named("k")).await.expect("appended");
    let refused = append(5, named("k")).await.expect_err("another amount");
    let reused = StoreError::Reused { stream: stream("a"), commit: "k".parse().expect("a commit id") };
    assert_eq!(refused, reused);
    assert!(append(4, named("k")).await.expect("the same").repeat);
    process.run("a", Command::Add(1)).await;
    assert_eq!(process.sum("a").await, (5, 2), "committed once");
}
