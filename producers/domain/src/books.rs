//! The books: whether the money of all accounts and transfers adds up.
//!
//! Streams are read one after the other while the world goes on, so what was read is no moment of it: a credit may be seen
//! whose withdrawal is not. The books therefore look at the largest *cut* that could have been one:
//!
//! 1. A credit of a transfer counts only if its withdrawal does; an account counts up to the first that does not, which may
//!    take a withdrawal of another transfer along, and so on.
//! 2. In the cut, what is in the accounts and what is on its way (withdrawn, and in no account again) is together what was
//!    put in and not taken out by others: money is never made or lost.
//! 3. A transfer is withdrawn at most once, from its source, and credited at most once, to a target of its own or back to
//!    its source, with the ordered amount each time.
//! 4. Once everything is at rest, nothing is left out, and every transfer says of itself what the accounts say of it.
//!
//! Whoever reads must read the accounts first and the transfers then, so that the order of every movement is known.

use std::collections::{BTreeMap, BTreeSet};

use headwater::{Aggregate, Schemas, StoredEvent, StreamId, event::EventError};

use crate::{
    account::{Account, AccountEvent},
    id::{AccountId, TransferId},
    money::Amount,
    transfer::{Transfer, TransferEvent, TransferStatus},
};

/// The histories of accounts and transfers, as far as they were read.
#[derive(Debug, Clone, Default)]
pub struct Books {
    accounts: BTreeMap<AccountId, Vec<AccountEvent>>,
    transfers: BTreeMap<TransferId, Vec<TransferEvent>>,
}

/// What the books say, in minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// What is in the accounts.
    pub balances: i128,
    /// What transfers took out of one account and brought to none yet.
    pub under_way: i128,
    /// What others put into accounts, less what they took out.
    pub put_in: i128,
    /// Events that were read and are in no cut yet.
    pub left_out: usize,
    /// What breaks a rule.
    pub violations: Vec<String>,
}

/// What the accounts of the cut say about one transfer.
#[derive(Debug, Default)]
struct Moved<'a> {
    withdrawn: Vec<(&'a AccountId, Amount)>,
    credited: Vec<(&'a AccountId, Amount)>,
}

impl Books {
    /// Takes in the events of a stream, in order; other kinds than accounts and transfers are passed over.
    pub fn take<'a>(
        &mut self,
        stream: &StreamId,
        events: impl IntoIterator<Item = &'a StoredEvent>,
    ) -> Result<(), EventError> {
        let events = events.into_iter();
        if let (Account::KIND, Ok(id)) = (stream.kind(), stream.id().parse()) {
            let events: Vec<AccountEvent> =
                events.map(|stored| Schemas::of::<Account>().decode(stored)).collect::<Result<_, _>>()?;
            self.accounts.entry(id).or_default().extend(events);
        } else if let (Transfer::KIND, Ok(id)) = (stream.kind(), stream.id().parse()) {
            let events: Vec<TransferEvent> =
                events.map(|stored| Schemas::of::<Transfer>().decode(stored)).collect::<Result<_, _>>()?;
            self.transfers.entry(id).or_default().extend(events);
        }
        Ok(())
    }

    /// What the books say about what was read.
    pub fn audit(&self) -> Audited {
        let cut = self.cut();
        let mut audited = Audited::default();
        for (id, events) in &self.accounts {
            let counted = &events[..cut[id]];
            audited.left_out += events.len() - counted.len();
            let (mut account, mut sum) = (Account::default(), 0_i128);
            for (place, event) in counted.iter().enumerate() {
                if let Err(why) = account.allows(event) {
                    audited
                        .violations
                        .push(format!("account {id} could not take event {}: {why}", place + 1));
                    break;
                }
                account.evolve(event);
                sum += by_others(event);
            }
            audited.balances += i128::from(account.balance().get());
            audited.put_in += sum;
        }
        let moved = self.moved(&cut);
        for (id, moved) in &moved {
            if moved.credited.is_empty() {
                audited.under_way +=
                    moved.withdrawn.first().map_or(0, |(_, amount)| i128::from(amount.get()));
            }
            audited.violations.extend(self.broken(id, moved));
        }
        let Audited { balances, under_way, put_in, .. } = audited;
        if balances + under_way != put_in {
            let sum = format!("{balances} in accounts and {under_way} under way are not the {put_in} put in");
            audited.violations.push(sum);
        }
        audited
    }

    /// As [`Self::audit`], once everything is at rest: every transfer has ended as the accounts say.
    pub fn audit_at_rest(&self) -> Audited {
        let mut audited = self.audit();
        if audited.left_out > 0 {
            audited.violations.push(format!("{} events credit what was not withdrawn", audited.left_out));
        }
        let cut = self.cut();
        let moved = self.moved(&cut);
        for (id, events) in &self.transfers {
            let transfer = folded(events);
            let Some(order) = transfer.order() else { continue };
            let none = Moved::default();
            let moved = moved.get(id).unwrap_or(&none);
            let credited = moved.credited.first().map(|(account, _)| *account);
            let (withdrawn, target) = match transfer.status() {
                TransferStatus::Completed => (true, Some(&order.to)),
                TransferStatus::Refunded => (true, Some(&order.from)),
                TransferStatus::Stranded => (true, None),
                TransferStatus::Refused | TransferStatus::Expired => (false, None),
                status => {
                    audited.violations.push(format!("transfer {id} has not ended: it is {status:?}"));
                    continue;
                }
            };
            if (!moved.withdrawn.is_empty(), credited) != (withdrawn, target) {
                let status = transfer.status();
                audited
                    .violations
                    .push(format!("transfer {id} is {status:?}, and the accounts say {moved:?}"));
            }
        }
        audited
    }

    /// How many transfers have got how far.
    pub fn statuses(&self) -> Vec<(TransferStatus, usize)> {
        let mut counts: Vec<(TransferStatus, usize)> = Vec::new();
        for events in self.transfers.values() {
            let status = folded(events).status();
            match counts.iter_mut().find(|(counted, _)| *counted == status) {
                Some((_, count)) => *count += 1,
                None => counts.push((status, 1)),
            }
        }
        counts
    }

    /// How many events of each account count.
    fn cut(&self) -> BTreeMap<&AccountId, usize> {
        let mut cut: BTreeMap<_, _> = self.accounts.iter().map(|(id, events)| (id, events.len())).collect();
        loop {
            let withdrawn: BTreeSet<&TransferId> =
                self.counted(&cut).filter_map(|(_, event)| withdrawal(event)).map(|(id, _)| id).collect();
            let early = |event: &AccountEvent| {
                credit(event).is_some_and(|(transfer, _)| !withdrawn.contains(transfer))
            };
            let mut shorter = Vec::new();
            for (id, events) in &self.accounts {
                shorter.extend(events[..cut[id]].iter().position(early).map(|place| (id, place)));
            }
            if shorter.is_empty() {
                return cut;
            }
            cut.extend(shorter);
        }
    }

    /// The events that count, with their accounts.
    fn counted<'a>(
        &'a self,
        cut: &'a BTreeMap<&AccountId, usize>,
    ) -> impl Iterator<Item = (&'a AccountId, &'a AccountEvent)> {
        self.accounts.iter().flat_map(|(id, events)| events[..cut[id]].iter().map(move |event| (id, event)))
    }

    /// What the accounts of the cut say about each transfer.
    fn moved<'a>(&'a self, cut: &'a BTreeMap<&AccountId, usize>) -> BTreeMap<&'a TransferId, Moved<'a>> {
        let mut moved: BTreeMap<&TransferId, Moved<'_>> = BTreeMap::new();
        for (account, event) in self.counted(cut) {
            if let Some((id, amount)) = withdrawal(event) {
                moved.entry(id).or_default().withdrawn.push((account, amount));
            }
            if let Some((id, amount)) = credit(event) {
                moved.entry(id).or_default().credited.push((account, amount));
            }
        }
        moved
    }

    /// The rules of one transfer that its movements break.
    fn broken(&self, id: &TransferId, moved: &Moved<'_>) -> Vec<String> {
        let Some(events) = self.transfers.get(id) else {
            return vec![format!("nobody ordered transfer {id}")];
        };
        let transfer = folded(events);
        let Some(order) = transfer.order() else { return vec![format!("nobody ordered transfer {id}")] };
        let mut broken = Vec::new();
        for (what, times) in [("withdrawn", moved.withdrawn.len()), ("credited", moved.credited.len())] {
            if times > 1 {
                broken.push(format!("transfer {id} was {what} {times} times"));
            }
        }
        let amounts = moved.withdrawn.iter().chain(&moved.credited);
        if amounts.into_iter().any(|(_, amount)| *amount != order.amount) {
            broken.push(format!("transfer {id} moved another amount than {}", order.amount));
        }
        if moved.withdrawn.iter().any(|(account, _)| **account != order.from) {
            broken.push(format!("transfer {id} was not withdrawn from {}", order.from));
        }
        let targets: BTreeSet<&AccountId> = events.iter().filter_map(target).chain([&order.from]).collect();
        if moved.credited.iter().any(|(account, _)| !targets.contains(account)) {
            broken.push(format!("transfer {id} was credited to a stranger"));
        }
        broken
    }
}

fn folded(events: &[TransferEvent]) -> Transfer {
    let mut transfer = Transfer::default();
    for event in events {
        transfer.evolve(event);
    }
    transfer
}

/// What an event of an account puts in, or takes out, that is part of no transfer.
fn by_others(event: &AccountEvent) -> i128 {
    match event {
        AccountEvent::Credited { amount, transfer: None, .. } => i128::from(amount.get()),
        AccountEvent::Withdrawn { amount, transfer: None, .. } => -i128::from(amount.get()),
        _ => 0,
    }
}

fn withdrawal(event: &AccountEvent) -> Option<(&TransferId, Amount)> {
    match event {
        AccountEvent::Withdrawn { amount, transfer: Some(transfer), .. } => Some((transfer, *amount)),
        _ => None,
    }
}

fn credit(event: &AccountEvent) -> Option<(&TransferId, Amount)> {
    match event {
        AccountEvent::Credited { amount, transfer: Some(transfer), .. } => Some((transfer, *amount)),
        _ => None,
    }
}

fn target(event: &TransferEvent) -> Option<&AccountId> {
    match event {
        TransferEvent::Requested(order) => Some(&order.to),
        TransferEvent::Redirected { to, .. } => Some(to),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
