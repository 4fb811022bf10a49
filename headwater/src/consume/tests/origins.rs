//! Whose id it is: a process's command is done once, whatever callers, imports and older versions committed in its stream.

use super::{
    Bench, plain,
    reacting::{Tallied, Tallying},
    record, stream,
};
use crate::{
    consume::{Process, parked},
    format::commit::{CAUSATION, Meta},
    id::CommitId,
    schema::Schemas,
    store::{Options, Settings, Store},
};

/// The id of the command that follows from the first event of `account/1`.
fn derived() -> CommitId {
    CommitId::derived(&[Tallying::NAME, "account/1@1", "add"])
}

/// What comes of the process's command of 1 where a commit of 5 has `id`, and names `cause`.
async fn tally(id: CommitId, cause: &str) -> (Vec<u64>, Vec<String>) {
    let bench = Bench::new();
    let store = Store::new(bench.world.ports(), Settings::default());
    let events = vec![Schemas::FIRST.encode(&Tallied::Added(5)).expect("encodes")];
    let meta = Meta::from_iter([(CAUSATION.to_owned(), cause.into())]);
    let options = Options { commit_id: Some(id), meta, ..Options::default() };
    store.append(&stream("tally/1"), events, options).await.expect("commits");

    let (one, commits) = (stream("account/1"), plain(1));
    bench.store(&one, &commits, 0);
    assert!(bench.reactor().react(&[record(1, &one, &commits)]).await.is_empty());
    let parked = parked(&bench.ports, Tallying::NAME).await.expect("lists");
    let reasons = parked.into_iter().map(|parked| parked.parked.error).collect();
    (bench.tally("1").await.added, reasons)
}

#[tokio::test(start_paused = true)]
async fn a_callers_key_is_never_a_processs_id() {
    let bare = derived().before_origins().expect("a process's id");
    for key in [derived(), bare] {
        let key = CommitId::of_key(key.as_str()).expect("a key");
        assert_eq!(tally(key, "account/1@1").await, (vec![5, 1], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_a_processs_id_and_another_cause_parks() {
    let id = derived();
    let reason = format!("commit id {id} of tally/1 was used before, for other content");
    assert_eq!(tally(id, "account/2@1").await, (vec![5], vec![reason]));
}

#[tokio::test(start_paused = true)]
async fn a_command_of_an_older_version_is_recognized_by_its_cause() {
    let bare = || derived().before_origins().expect("a process's id");
    assert_eq!(tally(bare(), "account/1@1").await, (vec![5], vec![]), "it was done before");
    assert_eq!(tally(bare(), "account/2@1").await, (vec![5, 1], vec![]), "another has its id");
    assert_eq!(tally(bare(), "order-7").await, (vec![5, 1], vec![]), "a caller's own word");
}
