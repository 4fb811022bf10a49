//! Queries: never older than the token, never wrong about why.

use std::collections::BTreeMap;

use super::{Bench, Event, added, history, plain, record, stream};
use crate::{
    consume::QueryError,
    error::StoreError,
    id::{Token, Version},
    memory::Operation,
    schema::Schemas,
};

fn token(text: &str) -> Token {
    text.parse().expect("a token")
}

fn rule(error: QueryError) -> String {
    match error {
        QueryError::Store(StoreError::Invalid { rule, .. }) => rule,
        other => panic!("not invalid: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_that_is_behind_the_token_is_folded_in_the_request() {
    let bench = Bench::new();
    let (one, two, commits) = (stream("account/a-1"), stream("account/a-2"), plain(7));
    bench.store(&one, &commits, 3);
    bench.projector().project(&[record(1, &one, &commits[..2]), record(2, &two, &commits[..1])]).await;
    bench.calls.lock().expect("a lock").clear();

    let asked = bench.projector();
    let stale = asked.query("a", None).await.expect("an answer");
    assert_eq!((stale.applied(&one), stale.state.sum), (Version::new(2), 1 + 2 + 1));
    let fresh = asked.query("a", Some(&token("account/a-1@2"))).await.expect("an answer");
    assert_eq!(fresh, stale);
    assert_eq!(
        *bench.calls.lock().expect("a lock"),
        ["Get projections/seeing", "Get views/seeing/a", "Get views/seeing/a"]
    );

    let newest = bench.projector().query("a", Some(&token("account/a-1@6"))).await.expect("an answer");
    assert_eq!((newest.applied(&one), newest.applied(&two)), (Version::new(7), Version::new(1)));
    assert_eq!(newest.state.sum, 28 + 1);
    assert_eq!(bench.view("a").expect("a view").applied(&one), Version::new(2), "a query writes nothing");
    assert_eq!(bench.objects.faults().calls(Operation::Put), 1);

    bench.store(&stream("account/n-1"), &commits, 0);
    let first = bench.projector().query("n", Some(&token("account/n-1@7"))).await.expect("an answer");
    assert_eq!(first.state.sum, 28, "a view that nothing has fed yet as well");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_view_or_of_the_future_is_invalid() {
    let bench = Bench::new();
    bench.store(&stream("account/a-1"), &plain(3), 0);
    let query = async |key: &str, token: Token| {
        bench.projector().query(key, Some(&token)).await.expect_err("invalid")
    };
    assert_eq!(
        rule(query("a", token("account/b-1@1")).await),
        "is of account/b-1, which does not feed this view"
    );
    assert_eq!(rule(query("a", token("user/a@1")).await), "is of user/a, which does not feed this view");
    assert_eq!(rule(query("a", token("account/a-1@4")).await), "tells of version 4, and account/a-1 is at 3");
    assert_eq!(rule(query("a", token("account/a-9@1")).await), "tells of version 1, and account/a-9 is at 0");
    let error = bench.projector().query("", None).await.expect_err("invalid");
    assert!(rule(error).contains("must have 1 to 200 bytes"));
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_is_told_and_never_shown_as_fresh() {
    let bench = Bench::new();
    let one = stream("account/a-1");
    let refused = Schemas::FIRST.encode(&Event::Refused).expect("encodes");
    let commits = history([vec![added(1)], vec![added(2)], vec![refused], vec![added(8)]]);
    bench.store(&one, &commits, 0);

    for delivered in [0, 1, 4] {
        bench.projector().project(&[record(1, &one, &commits[..delivered.max(1)])]).await;
        let view =
            bench.projector().query("a", Some(&token("account/a-1@2"))).await.expect("not older than that");
        assert_eq!((view.applied(&one), view.state.sum), (Version::new(2), 3));
        assert_eq!(view.parked[&one].version, Version::new(3), "and it says so");
        let error = bench.projector().query("a", Some(&token("account/a-1@4"))).await.expect_err("parked");
        let QueryError::Parked { stream, parked } = error else { panic!("not parked: {error}") };
        assert_eq!((stream, parked.version), (one.clone(), Version::new(3)));
    }
    let view = bench.projector().query("a", None).await.expect("an answer");
    assert_eq!(view.parked.keys().collect::<Vec<_>>(), [&one]);
    assert_eq!(bench.projector().project(&[]).await, BTreeMap::new());
}
