//! Records of another store, or of nobody knows which: they change no view, and nothing comes again for them.

use super::{Bench, arrival, number, plain, record, stream};
use crate::{
    consume::Projector,
    format::{
        identity::{Identity, Names, StoreId},
        key,
        record::Record,
    },
    identity::IdentitySource,
    memory::{Fault, Operation},
    port::{Arrival, ObjectError, Ports},
};

fn identity(id: &str, adopted: bool) -> Identity {
    let name = || "events".to_owned();
    let names = Names { store: name(), stream: name(), archive: name() };
    let id = StoreId::try_from(id.to_owned()).expect("an id");
    Identity::new(id, jiff::Timestamp::UNIX_EPOCH, names, adopted)
}

/// The commits `from..=3` of account/a-1 as one record of a store.
fn of(store: Option<&Identity>, sequence: u64, from: usize) -> Arrival {
    let record = Record::new(stream("account/a-1"), plain(3)[from - 1..].to_vec()).of(store);
    arrival(sequence, record.encode().expect("encodes"))
}

/// The version through which the view reflects account/a-1, after these records came to the store of that identity.
async fn applied(ours: Option<Identity>, arrivals: &[Arrival]) -> Option<u64> {
    let bench = Bench::new();
    bench.store(&stream("account/a-1"), &plain(3), 0);
    if let Some(ours) = &ours {
        bench.world.objects.insert(key::IDENTITY, ours.encode().expect("encodes"));
    }
    let ports = Ports { identity: IdentitySource::stored("events"), ..bench.ports.clone() };
    let failed = Projector::new(super::Seeing::default(), &ports).project(arrivals).await;
    assert!(failed.is_empty(), "nothing comes again");
    bench.view("a").map(|view| view.applied(&stream("account/a-1")).get())
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_store_changes_nothing() {
    let (ours, theirs) = (identity("ours", false), identity("theirs", false));
    assert_eq!(applied(Some(ours.clone()), &[of(Some(&ours), 1, 1)]).await, Some(3));
    for (store, record) in [
        (Some(ours.clone()), of(Some(&theirs), 1, 1)),
        (Some(ours.clone()), of(None, 1, 1)),
        (Some(identity("ours", true)), of(Some(&theirs), 1, 1)),
        (None, of(Some(&theirs), 1, 1)),
    ] {
        assert_eq!(applied(store.clone(), &[record]).await, None, "{store:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_from_before_a_store_had_an_identity_remain_its_own() {
    assert_eq!(applied(None, &[of(None, 1, 1)]).await, Some(3), "it has none yet");
    assert_eq!(applied(Some(identity("ours", true)), &[of(None, 1, 1)]).await, Some(3), "it was adopted");
}

#[tokio::test(start_paused = true)]
async fn what_a_foreign_record_hides_is_healed_by_the_next_own_one() {
    let (ours, theirs) = (identity("ours", false), identity("theirs", false));
    let batch = [of(Some(&theirs), 1, 1), of(Some(&ours), 2, 3)];
    assert_eq!(applied(Some(ours), &batch).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_batch_comes_again_while_whose_it_is_cannot_be_learned() {
    let bench = Bench::new();
    bench.store(&stream("account/a-1"), &plain(3), 0);
    bench.objects.faults().hook(|call| match call.operation {
        Operation::Get if call.key == key::IDENTITY => Fault::Before(ObjectError::Unknown("down".into())),
        _ => Fault::None,
    });
    let ports = Ports { identity: IdentitySource::stored("events"), ..bench.ports.clone() };
    let projector = Projector::new(super::Seeing::default(), &ports);
    let batch = [record(5, &stream("account/a-1"), &plain(3)), record(4, &stream("other/1"), &plain(1))];
    let failed = projector.project(&batch).await;
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [number(4)]);
    assert_eq!(bench.view("a"), None);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_is_made_while_a_consumer_runs_is_found() {
    let bench = Bench::new();
    bench.store(&stream("account/a-1"), &plain(3), 0);
    let ports = Ports { identity: IdentitySource::stored("events"), ..bench.ports.clone() };
    let projector = Projector::new(super::Seeing::default(), &ports);
    let ours = identity("ours", true);
    projector.project(&[of(None, 1, 1)]).await;
    bench.world.objects.insert(key::IDENTITY, ours.encode().expect("encodes"));
    assert!(projector.project(&[of(Some(&ours), 2, 3)]).await.is_empty());
    assert_eq!(bench.view("a").expect("a view").applied(&stream("account/a-1")).get(), 3);
}
