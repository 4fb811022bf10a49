//! A claim that stands in the way of somebody who wants the value: they get it, or are told why not; a claim that is none is
//! left where it is.

use std::time::Duration;

use bank::{User, UserCommand};
use headwater::{
    ExecuteError, Options, Settings, Store, StoreError,
    format::{claim::StoredClaim, key},
    memory::World,
};

use crate::world::run;

pub(crate) fn holds(document: &[u8]) {
    let claim = StoredClaim::decode(document);
    if let Ok(claim) = &claim {
        let written = claim.encode().expect("what was read can be written");
        assert_eq!(StoredClaim::decode(&written).as_ref(), Ok(claim), "it comes back as it was");
    }
    run(async {
        let world = World::new(1);
        let username = "ann".parse().expect("a username");
        let wanted = User::claim(&username);
        world.objects.insert(&key::claim(&wanted), document.to_vec());
        tokio::time::sleep(Duration::from_secs(40)).await;
        let store = Store::new(world.ports(), Settings::default());
        let register = UserCommand::Register { username };
        let told = store.execute::<User>("1", register, Options::default()).await;
        let stands = world.objects.all(&key::claim(&wanted)).pop().expect("a claim").1;
        match (claim, told) {
            (Ok(claim), Ok(_)) => {
                assert_eq!(claim.owner.kind(), "user");
                let ours = StoredClaim::decode(&stands).expect("a claim");
                assert_eq!(ours.owner.id(), "1");
            }
            (claim, Err(ExecuteError::Store(StoreError::Corrupt { .. }))) => {
                assert!(claim.is_err() || claim.is_ok_and(|claim| claim.owner.kind() != "user"));
                assert_eq!(stands, document, "it is left for somebody to look at");
            }
            (claim, told) => panic!("{claim:?}: {told:?}"),
        }
    });
}
