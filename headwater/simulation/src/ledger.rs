//! The domain of the simulation: a ledger whose state tells which events made it, and in which order.
//!
//! It exists twice, as an application does while a new version is rolled out: [`Ledger`] and [`NewLedger`] have the same
//! events, and states that look alike and mean different things. A snapshot of the one is a wrong state of the other. The
//! version after that is in [`next`](crate::next).

use headwater::{
    Aggregate, Claim, Schemas, StreamId, Version,
    consume::{ApplyError, Derived, Envelope, Forward, Projection},
};
use serde::{Deserialize, Serialize};

use crate::{
    next::{NextEntry, NextLedger},
    trace::digest,
};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// An amount came in, or went out.
    Booked {
        /// Below zero where it went out.
        amount: i64,
    },
    /// Something was written down.
    Noted {
        /// The text.
        text: String,
    },
    /// Something that a projection with a bug cannot take.
    Odd,
    /// The ledger has another name; none where it is empty. A name is unique.
    Named {
        /// The name.
        name: String,
    },
}

/// The set of the claims to names.
pub const NAMES: &str = "ledger-name";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Book these amounts, each as an event; refused where the sum would fall below zero.
    Book(Vec<i64>),
    /// Write down a text of so many bytes.
    Note(usize),
    /// Do what projections with a bug cannot take.
    Odd,
    /// Have this name from now on; none where it is empty.
    Name(String),
    /// Nothing.
    Nothing,
}

/// The sum would be below zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} would be too little")]
pub struct TooLittle(i64);

/// A ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The sum of what was booked.
    pub sum: i64,
    /// What nobody else is called; empty where it has no name.
    pub name: String,
    /// How many events made this state.
    pub events: u64,
    /// Which events made it, and in which order.
    pub chain: u64,
}

impl Ledger {
    fn take(&mut self, entry: &Entry) {
        self.events += 1;
        let mut bytes = self.chain.to_be_bytes().to_vec();
        match entry {
            Entry::Booked { amount } => {
                self.sum += amount;
                bytes.extend(amount.to_be_bytes());
            }
            Entry::Noted { text } => bytes.extend(text.as_bytes()),
            Entry::Odd => bytes.push(b'!'),
            Entry::Named { name } => {
                bytes.extend(name.as_bytes());
                self.name.clone_from(name);
            }
        }
        self.chain = digest(&bytes);
    }
}

impl Aggregate for Ledger {
    const KIND: &'static str = "ledger";
    type Command = Order;
    type Event = Entry;
    type Rejection = TooLittle;

    fn decide(&self, order: &Order) -> Result<Vec<Entry>, TooLittle> {
        match order {
            Order::Book(amounts) => {
                let sum = self.sum + amounts.iter().sum::<i64>();
                if sum < 0 {
                    return Err(TooLittle(sum));
                }
                Ok(amounts.iter().map(|amount| Entry::Booked { amount: *amount }).collect())
            }
            Order::Note(bytes) => Ok(vec![Entry::Noted { text: "n".repeat(*bytes) }]),
            Order::Odd => Ok(vec![Entry::Odd]),
            Order::Name(name) if *name == self.name => Ok(Vec::new()),
            Order::Name(name) => Ok(vec![Entry::Named { name: name.clone() }]),
            Order::Nothing => Ok(Vec::new()),
        }
    }

    fn evolve(&mut self, entry: &Entry) {
        self.take(entry);
    }

    fn claims(&self) -> Vec<Claim> {
        if self.name.is_empty() { Vec::new() } else { vec![Claim::new(NAMES, self.name.as_str())] }
    }

    fn merge(&self, decided: &[Entry], _others: &[Entry]) -> bool {
        let booked = |entry: &Entry| if let Entry::Booked { amount } = entry { *amount } else { 0 };
        self.sum + decided.iter().map(booked).sum::<i64>() >= 0
    }
}

/// The next version of a ledger: its sum is in hundredths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NewLedger(pub Ledger);

impl NewLedger {
    /// The same ledger as the old version has it.
    pub fn old(&self) -> Ledger {
        Ledger { sum: self.0.sum / 100, ..self.0.clone() }
    }
}

impl Aggregate for NewLedger {
    const KIND: &'static str = Ledger::KIND;
    const SCHEMA: u32 = 2;
    type Command = Order;
    type Event = Entry;
    type Rejection = TooLittle;

    fn decide(&self, order: &Order) -> Result<Vec<Entry>, TooLittle> {
        self.old().decide(order)
    }

    fn evolve(&mut self, entry: &Entry) {
        let mut old = self.old();
        old.take(entry);
        *self = Self(Ledger { sum: old.sum * 100, ..old });
    }

    fn claims(&self) -> Vec<Claim> {
        self.0.claims()
    }

    fn merge(&self, decided: &[Entry], others: &[Entry]) -> bool {
        self.old().merge(decided, others)
    }
}

/// A view of each ledger: its state. As long as it has its bug, odd events park the stream.
#[derive(Debug)]
pub struct Copies {
    /// Whether the bug is there.
    pub bug: bool,
}

impl Projection for Copies {
    const NAME: &'static str = "copies";
    type View = Ledger;
    type Reads = NextLedger;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut Ledger, envelope: &Envelope<'_, NextEntry>) -> Result<(), ApplyError> {
        if self.bug && envelope.event.old() == Entry::Odd {
            return Err(ApplyError::new("nobody thought of this"));
        }
        view.take(&envelope.event.old());
        Ok(())
    }
}

/// One view of all ledgers: the state of each.
#[derive(Debug)]
pub struct Board;

/// The key of the board's only view.
pub const BOARD: &str = "all";

impl Projection for Board {
    const NAME: &'static str = "board";
    type View = std::collections::BTreeMap<String, Ledger>;
    type Reads = NextLedger;

    fn key(&self, _: &StreamId) -> Option<String> {
        Some(BOARD.to_owned())
    }

    fn apply(&self, view: &mut Self::View, envelope: &Envelope<'_, NextEntry>) -> Result<(), ApplyError> {
        view.entry(envelope.stream.id().to_owned()).or_default().take(&envelope.event.old());
        Ok(())
    }
}

/// A view of each ledger that tells others of every third commit.
#[derive(Debug)]
pub struct Milestones;

/// How many commits a ledger has, and how many milestones were told of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The commit that was counted last.
    pub last: String,
    /// Commits.
    pub commits: u64,
    /// Milestones.
    pub told: u64,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// So many commits.
    Reached {
        /// Commits.
        commits: u64,
    },
}

impl Projection for Milestones {
    const NAME: &'static str = "milestones";
    type View = Progress;
    type Reads = NextLedger;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut Progress, envelope: &Envelope<'_, NextEntry>) -> Result<(), ApplyError> {
        if view.last != envelope.commit.as_str() {
            envelope.commit.as_str().clone_into(&mut view.last);
            view.commits += 1;
        }
        Ok(())
    }
}

impl Forward for Milestones {
    fn derive(&self, view: &mut Progress, stream: &StreamId) -> Result<Option<Derived>, ApplyError> {
        if !view.commits.is_multiple_of(3) {
            return Ok(None);
        }
        let told = StreamId::new("milestone", stream.id())?;
        let after = Version::new(view.told);
        view.told += 1;
        Derived::one(told, after, &Told::Reached { commits: view.commits }, Schemas::FIRST).map(Some)
    }
}
