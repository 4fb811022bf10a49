//! The transfer, decision by decision.

use headwater::{
    Version,
    given::{given, golden},
};

use super::{
    Order, Outcome, Transfer, TransferCommand, TransferEvent,
    TransferEvent::{
        Bounced, Completed, Debited, Expired, Redirected, Refunded, Refused, Requested, Stranded,
    },
    TransferRejection, TransferStatus,
};

fn order() -> Order {
    Order {
        from: "1".parse().expect("an account"),
        to: "2".parse().expect("an account"),
        amount: 70.try_into().expect("an amount"),
        reference: None,
        from_version: Version::new(3),
        to_version: Version::new(1),
    }
}

fn reason() -> String {
    "because".to_owned()
}

fn redirect() -> (TransferCommand, TransferEvent) {
    let (to, to_version) = ("3".parse().expect("an account"), Version::new(9));
    let event = Redirected { to, to_version };
    let Redirected { to, .. } = event.clone() else { unreachable!() };
    (TransferCommand::Redirect { to, to_version }, event)
}

fn record(step: u64, moved: bool) -> TransferCommand {
    let outcome = if moved { Outcome::Moved } else { Outcome::Declined { reason: reason() } };
    TransferCommand::Record { step: Version::new(step), outcome }
}

/// A way that a transfer may go, from its request on.
fn way(after: &[TransferEvent]) -> Vec<TransferEvent> {
    [Requested(order())].into_iter().chain(after.iter().cloned()).collect()
}

#[test]
fn a_transfer_is_requested_once_and_needs_two_accounts() {
    given::<Transfer>([]).when(TransferCommand::Request(order())).then([Requested(order())]);
    given::<Transfer>(way(&[]))
        .when(TransferCommand::Request(order()))
        .then_rejected(|why| *why == TransferRejection::AlreadyRequested);
    let same = Order { to: "1".parse().expect("an account"), ..order() };
    given::<Transfer>([])
        .when(TransferCommand::Request(same))
        .then_rejected(|why| *why == TransferRejection::SameAccount);
    for command in [record(0, true), TransferCommand::Expire, redirect().0] {
        given::<Transfer>([]).when(command).then_rejected(|why| *why == TransferRejection::NotRequested);
    }
}

#[test]
fn every_step_has_an_end_for_each_answer() {
    let (bounced, stranded) = (Bounced { reason: reason() }, Stranded { reason: reason() });
    let expired = Bounced { reason: "the transfer expired".to_owned() };
    let redirected = redirect().1;
    let on_the_way = [Debited, bounced.clone(), stranded.clone(), redirected.clone()];
    for (before, step, moved, declined) in [
        (way(&[]), 1, vec![Debited], vec![Refused { reason: reason() }]),
        (way(&on_the_way[..1]), 2, vec![Completed], vec![bounced.clone()]),
        (way(&on_the_way[..2]), 3, vec![Refunded], vec![stranded.clone()]),
        (way(&on_the_way), 5, vec![Completed], vec![stranded.clone()]),
        (way(&[Expired]), 2, vec![Debited, expired], vec![]),
    ] {
        given::<Transfer>(before.clone()).when(record(step, true)).then(moved);
        given::<Transfer>(before.clone()).when(record(step, false)).then(declined);
        for other in [step - 1, step + 1] {
            given::<Transfer>(before.clone()).when(record(other, true)).then_nothing();
        }
    }
}

#[test]
fn what_has_ended_does_not_go_on() {
    for end in [Completed, Refunded, Refused { reason: reason() }, Stranded { reason: reason() }] {
        let before = way(std::slice::from_ref(&end));
        given::<Transfer>(before.clone())
            .when(record(2, true))
            .then_rejected(|why| *why == TransferRejection::NoStep);
        given::<Transfer>(before).when(TransferCommand::Expire).then_nothing();
    }
}

#[test]
fn only_what_was_not_debited_expires() {
    given::<Transfer>(way(&[])).when(TransferCommand::Expire).then([Expired]).then_state(|transfer| {
        assert_eq!(transfer.status(), TransferStatus::Expired);
        assert!(!transfer.status().holds_money());
    });
    given::<Transfer>(way(&[Debited])).when(TransferCommand::Expire).then_nothing();
}

#[test]
fn only_what_is_stranded_is_redirected() {
    let (command, event) = redirect();
    given::<Transfer>(way(&[Debited]))
        .when(command.clone())
        .then_rejected(|why| *why == TransferRejection::NotStranded);
    let stranded = [Debited, Bounced { reason: reason() }, Stranded { reason: reason() }];
    given::<Transfer>(way(&stranded)).when(command).then([event]).then_state(|transfer| {
        let order = transfer.order().expect("an order");
        assert_eq!((order.to.as_str(), order.to_version), ("3", Version::new(9)));
        assert_eq!((transfer.status(), transfer.reason()), (TransferStatus::Redirected, Some("because")));
    });
}

#[test]
fn golden_events_mean_what_they_meant() {
    let reason = || "no".to_owned();
    golden::<Transfer>([
        (
            r#"{"type":"Requested","schema":1,"data":{"from":"1","to":"2","amount":70,"from_version":3,"to_version":1}}"#,
            Requested(order()),
        ),
        (r#"{"type":"Debited","schema":1,"data":null}"#, Debited),
        (r#"{"type":"Completed","schema":1,"data":null}"#, Completed),
        (r#"{"type":"Bounced","schema":1,"data":{"reason":"no"}}"#, Bounced { reason: reason() }),
        (r#"{"type":"Refunded","schema":1,"data":null}"#, Refunded),
        (r#"{"type":"Refused","schema":1,"data":{"reason":"no"}}"#, Refused { reason: reason() }),
        (r#"{"type":"Expired","schema":1,"data":null}"#, Expired),
        (r#"{"type":"Stranded","schema":1,"data":{"reason":"no"}}"#, Stranded { reason: reason() }),
        (r#"{"type":"Redirected","schema":1,"data":{"to":"3","to_version":9}}"#, redirect().1),
    ]);
}
