//! H9 from outside: the values that an aggregate's states hold, against one another and against the claims to them.
//!
//! Streams are read one after the other, and a value may pass from one to another meanwhile. So what looks broken is looked
//! at once more: the streams in question and the claim, as they are then. Only what is broken every time is a finding.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use headwater::{
    Aggregate, Claim, StoreError, StreamId, Version, evidence,
    invariants::{self, History, Violation},
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
            owners.extend(evidence::owner(reader, headwater::format::key::claim(claim)).await?);
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
    async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
        let stream = &history.head.stream;
        if stream.kind() == A::KIND {
            let state: A = evidence::state(history)?;
            let held = state.claims().into_iter().map(|claim| (claim, stream.clone()));
            self.holders.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
        }
        Ok(Vec::new())
    }

    async fn end(&self, reader: &Reader) -> Result<Vec<Finding>, StoreError> {
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
        let finding = |Violation { invariant, place, found }| Finding::promise(invariant, place, found);
        Ok(broken.into_iter().map(finding).collect())
    }
}

#[cfg(test)]
mod tests {
    use headwater::{
        Options, Settings, Store,
        format::{claim::StoredClaim, key},
        invariants::Invariant,
        memory::World,
    };
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize)]
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
        let (reader, unique) = (Reader::new(&world.ports()), Unique::<Seat>::default());
        let evidence = headwater::evidence::Evidence::gather(&world.ports()).await.expect("evidence");
        for history in evidence.histories.values() {
            assert_eq!(unique.stream(&reader, history, true).await, Ok(Vec::new()));
        }
        let findings = unique.end(&reader).await.expect("reads");
        findings
            .into_iter()
            .map(|finding| match finding.finding {
                super::super::What::Promise(invariant) => invariant,
                other => panic!("{other:?}"),
            })
            .collect()
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
}
