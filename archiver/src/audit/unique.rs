//! H9 from outside: the values that an aggregate's states hold, against one another and against the claims to them.
//!
//! Streams are read one after the other, and a value may pass from one to another meanwhile. So what looks broken is looked
//! at once more: the streams in question and the claim, as they are then. Only what is broken every time is a finding.
//!
//! A value that is held and claimed by nobody can be claimed for its holder, as after a restore: if it is dropped meanwhile, the
//! claim is one that was left behind, which is no harm. Whatever else is broken is for people to decide.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use headwater::{
    Aggregate, Claim, StoreError, StreamId, Version, evidence,
    format::{claim::StoredClaim, key},
    invariants::{self, History, Violation},
    port::{ObjectError, Ports, Precondition},
    read::Reader,
};

use super::{Finding, check::Check};
use crate::relay::deliver::standing;

/// How often what looks broken is looked at again.
const LOOKS: usize = 3;

/// The unique values of `A`. What is held in memory is the values.
#[derive(Debug)]
pub struct Unique<A> {
    holders: Mutex<Vec<(Claim, StreamId)>>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Default for Unique<A> {
    fn default() -> Self {
        Self { holders: Mutex::default(), aggregate: PhantomData }
    }
}

impl<A: Aggregate> Unique<A> {
    /// What is broken among these holders, with the claims as they are now.
    async fn broken(reader: &Reader, holders: &[(Claim, StreamId)]) -> Result<Vec<Violation>, StoreError> {
        let mut owners = BTreeMap::new();
        for (claim, _) in holders {
            owners.extend(evidence::owner(reader, key::claim(claim)).await?);
        }
        Ok(invariants::unique(holders, &owners))
    }

    /// What these streams hold now.
    async fn held(
        reader: &Reader,
        streams: BTreeSet<StreamId>,
    ) -> Result<Vec<(Claim, StreamId)>, StoreError> {
        let mut holders = Vec::new();
        for stream in streams {
            let (head, _) = standing(reader, &stream).await?;
            let commits = reader.commits(&head, Version::ZERO).await?;
            let state: A = evidence::state(&History { head, commits })?;
            holders.extend(state.claims().into_iter().map(|claim| (claim, stream.clone())));
        }
        Ok(holders)
    }
}

#[async_trait]
impl<A: Aggregate> Check for Unique<A> {
    fn judges(&self, owner: &StreamId) -> bool {
        owner.kind() == A::KIND
    }

    async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
        let stream = &history.head.stream;
        if stream.kind() == A::KIND {
            let state: A = evidence::state(history)?;
            let held = state.claims().into_iter().map(|claim| (claim, stream.clone()));
            self.holders.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
        }
        Ok(Vec::new())
    }

    async fn end(&self, reader: &Reader, repair: Option<&Ports>) -> Result<Vec<Finding>, StoreError> {
        let mut holders = std::mem::take(&mut *self.holders.lock().unwrap_or_else(PoisonError::into_inner));
        holders.sort_unstable();
        let mut broken = Self::broken(reader, &holders).await?;
        for _ in 0..LOOKS {
            if broken.is_empty() {
                return Ok(Vec::new());
            }
            let places: BTreeSet<String> = broken.into_iter().map(|violation| violation.place).collect();
            holders.retain(|(claim, _)| places.contains(&claim.to_string()));
            holders = Self::held(reader, holders.into_iter().map(|(_, stream)| stream).collect()).await?;
            broken = Self::broken(reader, &holders).await?;
        }
        let mut findings = Vec::with_capacity(broken.len());
        for Violation { invariant, place, found } in broken {
            let mut finding = Finding::promise(invariant, &place, found);
            let of: Vec<_> = holders.iter().filter(|(claim, _)| claim.to_string() == place).collect();
            if let (Some(ports), [(claim, holder)]) = (repair, &of[..])
                && claimed(ports, claim, holder).await?
            {
                finding.repaired = true;
                finding.found.push_str(": claimed now");
            }
            findings.push(finding);
        }
        Ok(findings)
    }
}

/// Claims a value for its holder, if nobody does; tells whether it did.
async fn claimed(ports: &Ports, claim: &Claim, holder: &StreamId) -> Result<bool, StoreError> {
    let key = key::claim(claim);
    let stored = StoredClaim::new(holder.clone(), ports.entropy.unique(), ports.clock.now());
    let body = stored
        .encode()
        .map_err(|error| StoreError::Corrupt { key: key.clone(), reason: error.to_string() })?;
    match ports.objects.put(&key, body, Precondition::Absent).await {
        Ok(_) => Ok(true),
        Err(ObjectError::Precondition | ObjectError::InFlight | ObjectError::Unknown(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use headwater::{Options, Settings, Store, invariants::Invariant, memory::World};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, Clone, Default, Serialize, Deserialize)]
    struct Seat(String);

    #[derive(Serialize, Deserialize)]
    enum SeatEvent {
        Taken { by: String },
    }

    impl Aggregate for Seat {
        const KIND: &'static str = "seat";
        type Command = String;
        type Event = SeatEvent;
        type Rejection = std::convert::Infallible;

        fn decide(&self, by: &String) -> Result<Vec<SeatEvent>, std::convert::Infallible> {
            Ok(vec![SeatEvent::Taken { by: by.clone() }])
        }

        fn evolve(&mut self, SeatEvent::Taken { by }: &SeatEvent) {
            self.0.clone_from(by);
        }

        fn claims(&self) -> Vec<Claim> {
            vec![Claim::new("sitting", self.0.as_str())]
        }
    }

    async fn found(world: &World) -> Vec<Invariant> {
        let findings = looked(world, false).await;
        findings
            .into_iter()
            .map(|finding| match finding.finding {
                super::super::What::Promise(invariant) => invariant,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    async fn looked(world: &World, repair: bool) -> Vec<Finding> {
        let (reader, unique) = (Reader::new(&world.ports()), Unique::<Seat>::default());
        let evidence = headwater::evidence::Evidence::gather(&world.ports()).await.expect("evidence");
        for history in evidence.histories.values() {
            assert_eq!(unique.stream(&reader, history, true).await, Ok(Vec::new()));
        }
        unique.end(&reader, repair.then_some(&world.ports())).await.expect("reads")
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_two_hold_or_whose_claim_is_gone_is_found() {
        let world = World::new(1);
        let store = Store::new(world.ports(), Settings::default());
        for (seat, by) in [("1", "ann"), ("2", "bob")] {
            store.execute::<Seat>(seat, by.to_owned(), Options::default()).await.expect("executes");
        }
        assert_eq!(found(&world).await, []);
        let ann = key::claim(&Claim::new("sitting", "ann"));
        let claim = world.objects.all(&ann).remove(0).1;
        world.objects.remove(&ann);
        assert_eq!(found(&world).await, [Invariant::H9], "another could come to hold it");
        store.execute::<Seat>("3", "ann".to_owned(), Options::default()).await.expect("executes");
        assert_eq!(found(&world).await, [Invariant::H9; 2], "two hold it, and only one has the claim");
        assert_eq!(StoredClaim::decode(&claim).expect("a claim").owner.id(), "1");
    }

    #[tokio::test(start_paused = true)]
    async fn repair_claims_what_is_held_and_nobodys_and_leaves_a_quarrel_alone() {
        let world = World::new(1);
        let store = Store::new(world.ports(), Settings::default());
        for (seat, by) in [("1", "ann"), ("2", "bob")] {
            store.execute::<Seat>(seat, by.to_owned(), Options::default()).await.expect("executes");
        }
        let ann = key::claim(&Claim::new("sitting", "ann"));
        world.objects.remove(&ann);
        let mended = looked(&world, true).await;
        assert!(matches!(&mended[..], [finding] if finding.repaired), "{mended:?}");
        assert_eq!(found(&world).await, []);
        let taken = store.execute::<Seat>("3", "ann".to_owned(), Options::default()).await;
        taken.expect_err("it is taken again");

        world.objects.remove(&ann);
        store.execute::<Seat>("3", "ann".to_owned(), Options::default()).await.expect("executes");
        assert!(looked(&world, true).await.iter().all(|finding| !finding.repaired), "two hold it");
    }
}
