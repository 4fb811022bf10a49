//! The books find what they are for.

use headwater::Version;

use super::{Audited, Books};
use crate::{
    account::AccountEvent,
    id::TransferId,
    money::{Amount, OverdraftLimit},
    transfer::{Order, TransferEvent},
};

fn amount(units: i64) -> Amount {
    units.try_into().expect("an amount")
}

fn opened() -> AccountEvent {
    AccountEvent::Opened { overdraft_limit: OverdraftLimit::default(), holder: None }
}

fn transfer(id: Option<&str>) -> Option<TransferId> {
    id.map(|id| id.parse().expect("a transfer"))
}

fn credited(units: i64, id: Option<&str>) -> AccountEvent {
    AccountEvent::Credited { amount: amount(units), reference: None, transfer: transfer(id) }
}

fn withdrawn(units: i64, id: Option<&str>) -> AccountEvent {
    AccountEvent::Withdrawn { amount: amount(units), reference: None, transfer: transfer(id) }
}

fn requested(from: &str, to: &str, units: i64) -> TransferEvent {
    let (from, to) = (from.parse().expect("an account"), to.parse().expect("an account"));
    let (amount, version) = (amount(units), Version::new(1));
    TransferEvent::Requested(Order {
        from,
        to,
        amount,
        reference: None,
        from_version: version,
        to_version: version,
    })
}

fn books<const A: usize, const T: usize>(
    accounts: [(&str, Vec<AccountEvent>); A],
    transfers: [(&str, Vec<TransferEvent>); T],
) -> Books {
    let accounts = accounts.map(|(id, events)| {
        let events = [opened()].into_iter().chain(events).collect();
        (id.parse().expect("an account"), events)
    });
    let transfers = transfers.map(|(id, events)| (id.parse().expect("a transfer"), events));
    Books { accounts: accounts.into(), transfers: transfers.into() }
}

/// 100 put in, 70 of it moved from 1 to 2, and 20 taken out there.
fn sound() -> Books {
    books(
        [
            ("1", vec![credited(100, None), withdrawn(70, Some("t"))]),
            ("2", vec![credited(70, Some("t")), withdrawn(20, None)]),
        ],
        [("t", vec![requested("1", "2", 70), TransferEvent::Debited, TransferEvent::Completed])],
    )
}

#[track_caller]
fn finds(audited: &Audited, words: &str) {
    let found = audited.violations.iter().any(|violation| violation.contains(words));
    assert!(found, "{words:?} is not found: {audited:?}");
}

#[test]
fn sound_books_add_up() {
    let expected = Audited { balances: 80, put_in: 80, ..Audited::default() };
    assert_eq!((sound().audit(), sound().audit_at_rest()), (expected.clone(), expected));
}

#[test]
fn money_on_its_way_is_counted() {
    let under_way = books(
        [("1", vec![credited(100, None), withdrawn(70, Some("t"))]), ("2", vec![])],
        [("t", vec![requested("1", "2", 70)])],
    );
    let expected = Audited { balances: 30, under_way: 70, put_in: 100, ..Audited::default() };
    assert_eq!(under_way.audit(), expected);
    finds(&under_way.audit_at_rest(), "has not ended");
}

#[test]
fn a_credit_seen_before_its_withdrawal_takes_what_follows_it_along() {
    let mut seen = sound();
    // 1 was read before the withdrawal of t; 2 has passed on of it what 3 has already.
    seen.accounts.get_mut(&"1".parse().expect("an account")).expect("1").pop();
    let two = seen.accounts.get_mut(&"2".parse().expect("an account")).expect("2");
    two.push(withdrawn(50, Some("u")));
    seen.accounts.insert("3".parse().expect("an account"), vec![opened(), credited(50, Some("u"))]);
    seen.transfers.insert("u".parse().expect("a transfer"), vec![requested("2", "3", 50)]);
    let expected = Audited { balances: 100, put_in: 100, left_out: 4, ..Audited::default() };
    assert_eq!(seen.audit(), expected);
    finds(&seen.audit_at_rest(), "4 events credit what was not withdrawn");
}

#[test]
fn every_break_is_found() {
    let change = |id: &str, events: Vec<AccountEvent>| {
        let mut books = sound();
        books.accounts.get_mut(&id.parse().expect("an account")).expect("the account").extend(events);
        books
    };
    finds(&change("1", vec![withdrawn(30, Some("t"))]).audit(), "withdrawn 2 times");
    finds(&change("2", vec![credited(70, Some("t"))]).audit(), "credited 2 times");
    finds(&change("2", vec![credited(70, Some("t"))]).audit(), "are not the 80 put in");
    finds(&change("1", vec![credited(70, Some("t"))]).audit(), "credited 2 times");
    finds(&change("1", vec![withdrawn(40, None)]).audit(), "could not take event 4");
    finds(&change("1", vec![withdrawn(5, Some("nobody"))]).audit(), "nobody ordered");

    let moved = |from: &str, out: i64, to: &str, back: i64| {
        let mut accounts =
            [("1", vec![credited(100, None)]), ("2", vec![credited(100, None)]), ("3", vec![])];
        for (id, events) in &mut accounts {
            events.extend((*id == from).then(|| withdrawn(out, Some("t"))));
            events.extend((*id == to).then(|| credited(back, Some("t"))));
        }
        books(
            accounts,
            [("t", vec![requested("1", "2", 70), TransferEvent::Debited, TransferEvent::Completed])],
        )
    };
    assert_eq!(moved("1", 70, "2", 70).audit_at_rest().violations, Vec::<String>::new());
    finds(&moved("2", 70, "1", 70).audit(), "was not withdrawn from 1");
    finds(&moved("1", 70, "3", 70).audit(), "credited to a stranger");
    finds(&moved("1", 70, "2", 60).audit(), "another amount");
    finds(&moved("1", 70, "1", 70).audit_at_rest(), "is Completed, and the accounts say");
    finds(&moved("none", 70, "none", 70).audit_at_rest(), "is Completed, and the accounts say");
}

#[test]
fn a_transfer_must_have_ended_as_the_accounts_say() {
    let reason = || "no".to_owned();
    let stranded =
        [TransferEvent::Bounced { reason: reason() }, TransferEvent::Stranded { reason: reason() }];
    for (end, words) in [
        (vec![TransferEvent::Refused { reason: reason() }], Some("is Refused")),
        (vec![TransferEvent::Expired], Some("is Expired")),
        (vec![TransferEvent::Debited], Some("has not ended")),
        (vec![TransferEvent::Debited, TransferEvent::Refunded], Some("is Refunded")),
        (stranded.to_vec(), Some("is Stranded")),
        (vec![TransferEvent::Debited, TransferEvent::Completed], None),
    ] {
        let mut books = sound();
        let events = [requested("1", "2", 70)].into_iter().chain(end).collect();
        books.transfers.insert("t".parse().expect("a transfer"), events);
        match words {
            Some(words) => finds(&books.audit_at_rest(), words),
            None => assert_eq!(books.audit_at_rest().violations, Vec::<String>::new()),
        }
    }
}
