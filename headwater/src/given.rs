//! Given / when / then: how a decision is tested, without a store.
//!
//! ```
//! use headwater::{Aggregate, given::given};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Default, Serialize, Deserialize)]
//! # struct Door { open: bool }
//! # #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! # enum DoorEvent { Opened }
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("open already")]
//! # struct OpenAlready;
//! # impl Aggregate for Door {
//! #     const KIND: &'static str = "door";
//! #     type Command = ();
//! #     type Event = DoorEvent;
//! #     type Rejection = OpenAlready;
//! #     fn decide(&self, (): &()) -> Result<Vec<DoorEvent>, OpenAlready> {
//! #         if self.open { Err(OpenAlready) } else { Ok(vec![DoorEvent::Opened]) }
//! #     }
//! #     fn evolve(&mut self, DoorEvent::Opened: &DoorEvent) { self.open = true; }
//! # }
//! given::<Door>([]).when(()).then([DoorEvent::Opened]).then_state(|door| assert!(door.open));
//! given::<Door>([DoorEvent::Opened]).when(()).then_rejected(|why| matches!(why, OpenAlready));
//! ```
//!
//! Every event goes through its stored form and every state through its snapshot on the way, as they do in the store: what
//! does not survive that fails here. A failed expectation panics.

use std::{collections::BTreeSet, fmt::Debug};

use crate::{aggregate::Aggregate, consume::Types, event::StoredEvent, schema::Schemas};

/// What happened before.
#[track_caller]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.evolve(&stored::<A>(&event));
    }
    Given { state: restored(&state) }
}

/// What happened before, as it was stored, perhaps by an older version.
#[track_caller]
pub fn given_stored<A: Aggregate>(events: impl IntoIterator<Item = StoredEvent>) -> Given<A> {
    let decode = |stored: StoredEvent| {
        let event = Schemas::of::<A>().decode(&stored);
        event.unwrap_or_else(|error| panic!("a stored event is not read any more: {error}"))
    };
    given(events.into_iter().map(decode))
}

/// Golden events: for each type and each schema that was ever written the stored text, and what it means today. Every text
/// must still be read as that, those of the newest schema must be what is written today, to the letter, and none may be
/// missing.
#[track_caller]
pub fn golden<A: Aggregate>(golden: impl IntoIterator<Item = (&'static str, A::Event)>)
where
    A::Event: PartialEq + Debug,
{
    let schemas = Schemas::of::<A>();
    let mut seen = BTreeSet::new();
    for (text, meaning) in golden {
        let stored: StoredEvent =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{text} is no stored event: {error}"));
        let event: A::Event = schemas.decode(&stored).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(event, meaning, "{text} means another thing (left) than it did (right)");
        if stored.schema == schemas.newest(&stored.name) {
            let written = schemas.encode(&event).ok().and_then(|stored| serde_json::to_string(&stored).ok());
            assert_eq!(written.as_deref(), Some(text.trim_end()), "what is written today is another text");
        }
        seen.insert((stored.name, stored.schema));
    }
    for name in Types::of::<A::Event>().names() {
        for schema in 1..=schemas.newest(name) {
            let there = seen.contains(&((*name).to_owned(), schema));
            assert!(there, "there is no golden event of {name}, schema {schema}");
        }
    }
}

/// What happened before; next: [`Given::when`].
#[derive(Debug, Clone)]
pub struct Given<A> {
    state: A,
}

impl<A: Aggregate> Given<A> {
    /// What is asked now.
    pub fn when(self, command: impl Into<A::Command>) -> When<A> {
        let decided = self.state.decide(&command.into());
        When { state: self.state, decided }
    }

    /// The state that a store would load.
    pub fn state(self) -> A {
        self.state
    }
}

/// What was decided; next: one of the expectations.
#[derive(Debug)]
pub struct When<A: Aggregate> {
    state: A,
    decided: Result<Vec<A::Event>, A::Rejection>,
}

impl<A: Aggregate> When<A> {
    /// Exactly these events happened.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Then<A>
    where
        A::Event: PartialEq + Debug,
    {
        let expected: Vec<_> = expected.into_iter().collect();
        let decided = self.decided.unwrap_or_else(|why| panic!("rejected: {why}; expected {expected:?}"));
        assert_eq!(decided, expected, "what happened (left) is not what was expected (right)");
        let mut state = self.state;
        for event in &decided {
            state.evolve(&stored::<A>(event));
        }
        Then { state: restored(&state) }
    }

    /// Nothing needed to happen.
    #[track_caller]
    pub fn then_nothing(self) -> Then<A>
    where
        A::Event: PartialEq + Debug,
    {
        self.then([])
    }

    /// The command was rejected, for this reason.
    #[track_caller]
    pub fn then_rejected(self, reason: impl FnOnce(&A::Rejection) -> bool)
    where
        A::Event: Debug,
    {
        match self.decided {
            Ok(events) => panic!("not rejected: {events:?} happened"),
            Err(why) => assert!(reason(&why), "rejected for another reason: {why}"),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Then<A> {
    state: A,
}

impl<A> Then<A> {
    /// Looks at the state after it.
    pub fn then_state(self, look: impl FnOnce(&A)) {
        look(&self.state);
    }
}

/// An event as a store would read it.
#[track_caller]
fn stored<A: Aggregate>(event: &A::Event) -> A::Event {
    Schemas::of::<A>()
        .encode(event)
        .and_then(|stored| Schemas::of::<A>().decode(&stored))
        .unwrap_or_else(|error| panic!("an event does not survive its stored form: {error}"))
}

/// A state as a store would read it from a snapshot.
#[track_caller]
fn restored<A: Aggregate>(state: &A) -> A {
    serde_json::to_string(state)
        .and_then(|json| serde_json::from_str(&json))
        .unwrap_or_else(|error| panic!("a state does not survive its snapshot: {error}"))
}
