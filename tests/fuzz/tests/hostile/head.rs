//! The head of a stream: decoded, checked, read, and committed upon.

use bank::{Account, AccountCommand};
use headwater::{
    Aggregate, ExecuteError, Options, Settings, Store, StoreError, Version,
    format::{commit::Commit, head::Head, key},
    memory::World,
    read::{HeadRead, Reader},
};
use std::sync::Arc;

use crate::world::{is_whole, run};

pub(crate) fn holds(document: &[u8]) {
    let Ok(head) = Head::decode(document) else { return };
    let written = head.encode().expect("what was read can be written");
    let again = Head::decode(&written).expect("and read again");
    assert_eq!(again.encode().expect("encodes"), written, "it comes back as it was");
    adds_up(&head);
    grows(&head);
    run(is_used(&head, document));
}

/// What every head promises to those who read it.
fn adds_up(head: &Head) {
    is_whole(&head.commits, head.first_in_head());
    let paged = head.pages.last().map_or(Version::ZERO, |page| page.last);
    assert_eq!(paged.next(), head.first_in_head());
    assert_eq!(head.commits.last().map_or(paged, |commit| commit.last), head.version);
    if head.version > Version::ZERO {
        assert_eq!(head.newest_commits().first().map(|commit| commit.first), Some(head.newest_write));
    }
    for commit in &head.commits {
        assert!(head.find(&commit.id).is_some());
    }
}

/// What a writer makes of it is a head.
fn grows(head: &Head) {
    let mut grown = head.clone();
    if let Some(newest) = head.commits.last() {
        let first = head.version.next();
        let last = first.plus(newest.events.len() as u64 - 1);
        grown.push([Arc::new(Commit { first, last, ..(**newest).clone() })]);
    }
    let paged = grown.overflow();
    grown.paged(&paged);
    adds_up(&grown);
    Head::decode(&grown.encode().expect("encodes")).expect("a head that has grown is a head");
}

/// Reads it and commits on it, where nothing else is wrong.
async fn is_used(head: &Head, document: &[u8]) {
    let world = World::new(1);
    world.objects.insert(&key::head(&head.stream), document.to_vec());
    let reader = Reader::new(&world.ports());
    let Ok(HeadRead::Found { .. }) = reader.head(&head.stream, None).await else {
        panic!("what decodes is read");
    };
    match reader.commits(head, Version::ZERO).await {
        Ok(commits) => is_whole(&commits, Version::new(1)),
        Err(StoreError::Corrupt { .. }) => assert!(!head.pages.is_empty(), "only a page can be missing"),
        Err(error) => panic!("{error}"),
    }
    if head.stream.kind() != Account::KIND {
        return;
    }
    let store = Store::new(world.ports(), Settings::default());
    let id = head.stream.id();
    expected(store.load::<Account>(id).await.err());
    let credit =
        AccountCommand::Credit { amount: 1.try_into().expect("an amount"), reference: None, transfer: None };
    match store.execute::<Account>(id, credit, Options::default()).await {
        Ok(executed) => {
            assert_eq!(executed.token.version, head.version.next());
            let (_, body) = world.objects.all(&key::head(&head.stream)).remove(0);
            assert_eq!(Head::decode(&body).expect("a head").version, head.version.next());
        }
        Err(ExecuteError::Rejected(_)) => {}
        Err(ExecuteError::Store(error)) => expected(Some(error)),
    }
}

/// In a world without faults, what is stored is right, corrupt, or of a newer schema; a writer that panics would be seen as
/// `Unknown`.
fn expected(error: Option<StoreError>) {
    match error {
        None
        | Some(StoreError::Corrupt { .. } | StoreError::Invalid { .. } | StoreError::NewerSchema { .. }) => {}
        Some(error) => panic!("{error}"),
    }
}
