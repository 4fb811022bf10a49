//! The version of the ledger after the next: the data of its events have another schema.
//!
//! Schema 2 of `Booked` says its amount in hundredths, in a field of the same name: whoever takes it for schema 1 reads a
//! hundred times as much. This version is rolled out while the two older ones go on, which must refuse what they don't
//! know. Those who only read were given it before, as they should be.

use headwater::{Aggregate, Claim, Upcaster};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ledger::{Entry, Ledger, NewLedger, Order, TooLittle};

/// What happened, with amounts in hundredths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextEntry(Entry);

impl NextEntry {
    /// How older data become those of today.
    pub const UPCASTERS: &'static [Upcaster] = &[Upcaster { event: "Booked", from: 1, up: hundredths }];

    /// What the older versions say to it.
    pub fn old(&self) -> Entry {
        match self.0.clone() {
            Entry::Booked { amount } => Entry::Booked { amount: amount / 100 },
            entry => entry,
        }
    }

    fn new(entry: Entry) -> Self {
        Self(match entry {
            Entry::Booked { amount } => Entry::Booked { amount: amount * 100 },
            entry => entry,
        })
    }
}

fn hundredths(mut data: Value) -> Result<Value, &'static str> {
    let amount = data["amount"].as_i64().and_then(|amount| amount.checked_mul(100));
    data["amount"] = amount.ok_or("no amount, or too much")?.into();
    Ok(data)
}

/// The ledger, as [`NewLedger`] has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NextLedger(pub NewLedger);

impl Aggregate for NextLedger {
    const KIND: &'static str = Ledger::KIND;
    const SCHEMA: u32 = NewLedger::SCHEMA;
    type Command = Order;
    type Event = NextEntry;
    const UPCASTERS: &'static [Upcaster] = NextEntry::UPCASTERS;
    type Rejection = TooLittle;

    fn decide(&self, order: &Order) -> Result<Vec<NextEntry>, TooLittle> {
        Ok(self.0.decide(order)?.into_iter().map(NextEntry::new).collect())
    }

    fn evolve(&mut self, entry: &NextEntry) {
        self.0.evolve(&entry.old());
    }

    fn claims(&self) -> Vec<Claim> {
        self.0.claims()
    }

    fn merge(&self, decided: &[NextEntry], others: &[NextEntry]) -> bool {
        let [decided, others] =
            [decided, others].map(|entries| -> Vec<Entry> { entries.iter().map(NextEntry::old).collect() });
        self.0.merge(&decided, &others)
    }
}
