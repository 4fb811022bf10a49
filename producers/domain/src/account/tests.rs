//! The account's decisions, given / when / then, and what holds whatever is asked.

use headwater::given::{given, golden};
use proptest::prelude::*;

use super::*;
use crate::money::MAX_AMOUNT;

fn amount(units: i64) -> Amount {
    units.try_into().expect("an amount")
}

fn opened(limit: i64) -> AccountEvent {
    AccountEvent::Opened { overdraft_limit: limit.try_into().expect("a limit"), holder: None }
}

fn credited(units: i64) -> AccountEvent {
    AccountEvent::Credited { amount: amount(units), reference: None, transfer: None }
}

fn withdrawn(units: i64) -> AccountEvent {
    AccountEvent::Withdrawn { amount: amount(units), reference: None, transfer: None }
}

fn open(limit: i64) -> AccountCommand {
    AccountCommand::Open { overdraft_limit: limit.try_into().expect("a limit"), holder: None }
}

fn credit(units: i64) -> AccountCommand {
    AccountCommand::Credit { amount: amount(units), reference: None, transfer: None }
}

fn withdraw(units: i64) -> AccountCommand {
    AccountCommand::Withdraw { amount: amount(units), reference: None, transfer: None }
}

#[test]
fn an_account_opens_once() {
    given::<Account>([]).when(open(500)).then([opened(500)]).then_state(|account| {
        assert_eq!((account.status(), account.available()), (AccountStatus::Open, 500));
    });
    let already = |why: &AccountRejection| *why == AccountRejection::AlreadyOpen;
    given::<Account>([opened(0)]).when(open(0)).then_rejected(already);
    given::<Account>([opened(0), AccountEvent::Closed]).when(open(0)).then_rejected(already);
}

#[test]
fn nothing_moves_before_it_opens_or_after_it_closes() {
    for command in [credit(1), withdraw(1), AccountCommand::Close] {
        given::<Account>([]).when(command.clone()).then_rejected(|why| *why == AccountRejection::NotOpen);
        given::<Account>([opened(100), AccountEvent::Closed])
            .when(command)
            .then_rejected(|why| *why == AccountRejection::Closed);
    }
}

#[test]
fn a_credit_adds_up_and_keeps_its_reference() {
    let reference: Reference = "rent, March".parse().expect("a reference");
    given::<Account>([opened(0), credited(70)])
        .when(AccountCommand::Credit {
            amount: amount(30),
            reference: Some(reference.clone()),
            transfer: None,
        })
        .then([AccountEvent::Credited { amount: amount(30), reference: Some(reference), transfer: None }])
        .then_state(|account| assert_eq!(account.balance().get(), 100));
}

#[test]
fn a_withdrawal_goes_down_to_the_limit_and_no_further() {
    let history = || [opened(50), credited(100)];
    given::<Account>(history())
        .when(withdraw(150))
        .then([withdrawn(150)])
        .then_state(|account| assert_eq!((account.balance().get(), account.available()), (-50, 0)));
    let insufficient = AccountRejection::InsufficientFunds { available: 150, asked: amount(151) };
    given::<Account>(history()).when(withdraw(151)).then_rejected(|why| *why == insufficient);
}

#[test]
fn an_account_closes_with_nothing_left_and_nothing_owed() {
    given::<Account>([opened(0), credited(5), withdrawn(5)])
        .when(AccountCommand::Close)
        .then([AccountEvent::Closed])
        .then_state(|account| assert_eq!(account.status(), AccountStatus::Closed));
    for event in [credited(5), withdrawn(5)] {
        given::<Account>([opened(5), event])
            .when(AccountCommand::Close)
            .then_rejected(|why| matches!(why, AccountRejection::BalanceNotZero { .. }));
    }
}

#[test]
fn a_balance_has_a_bound() {
    let most = MAX_AMOUNT.cast_signed();
    let full = || std::iter::once(opened(0)).chain((0..MAX_BALANCE / most).map(|_| credited(most)));
    given::<Account>(full())
        .when(credit(1))
        .then_rejected(|why| matches!(why, AccountRejection::BalanceTooLarge { .. }));
}

#[test]
fn a_decision_merges_while_it_stays_right() {
    let merges = |history: &[AccountEvent], decided: AccountEvent| {
        given::<Account>(history.iter().cloned()).state().merge(&[decided], &[])
    };
    assert!(merges(&[opened(0), withdrawn(1)], credited(1)), "a credit commutes with a withdrawal");
    assert!(merges(&[opened(0), credited(100)], withdrawn(100)), "the funds still suffice");
    assert!(!merges(&[opened(0), credited(99)], withdrawn(100)), "the funds do not suffice any more");
    assert!(!merges(&[opened(0), AccountEvent::Closed], credited(1)), "it was closed meanwhile");
    assert!(!merges(&[opened(0)], opened(0)), "somebody else opened it");
    let twice = given::<Account>([opened(0), credited(150)]).state();
    assert!(!twice.merge(&[withdrawn(100), withdrawn(100)], &[]), "each of two is allowed, both are not");
}

#[test]
fn a_transfer_is_told_no_by_an_event() {
    let transfer = || "t-1".parse().expect("a transfer");
    let withdraw =
        AccountCommand::Withdraw { amount: amount(7), reference: None, transfer: Some(transfer()) };
    let credit = AccountCommand::Credit { amount: amount(7), reference: None, transfer: Some(transfer()) };
    let declined = |reason: &str| AccountEvent::Declined { transfer: transfer(), reason: reason.to_owned() };
    given::<Account>([opened(0), credited(7)]).when(withdraw.clone()).then([withdraw.event()]);
    given::<Account>([opened(0)])
        .when(withdraw.clone())
        .then([declined("7 was asked for and 0 is available")])
        .then_state(|account| assert_eq!(account.balance().get(), 0));
    let decline = AccountCommand::Decline { transfer: transfer(), reason: "late".to_owned() };
    given::<Account>([opened(0), credited(7)]).when(decline.clone()).then([declined("late")]);
    // An account that is closed says no for ever as well; one that never was has nothing to say.
    let closed = [opened(0), AccountEvent::Closed];
    given::<Account>(closed.clone()).when(credit.clone()).then([declined("the account is closed")]);
    given::<Account>(closed).when(decline.clone()).then([declined("late")]);
    for command in [withdraw, credit, decline] {
        given::<Account>([]).when(command).then_rejected(|why| *why == AccountRejection::NotOpen);
    }
}

#[test]
fn golden_events_of_every_schema_mean_what_they_meant() {
    let reference = Some("rent".parse().expect("a reference"));
    let transfer: TransferId = "t-1".parse().expect("a transfer");
    golden::<Account>([
        (include_str!("../../tests/golden/Opened.1.json"), opened(500)),
        (
            include_str!("../../tests/golden/Opened.2.json"),
            AccountEvent::Opened {
                overdraft_limit: 500.try_into().expect("a limit"),
                holder: Some("9".parse().expect("a user")),
            },
        ),
        (
            include_str!("../../tests/golden/Credited.1.json"),
            AccountEvent::Credited { amount: amount(7), reference, transfer: None },
        ),
        (include_str!("../../tests/golden/Withdrawn.1.json"), withdrawn(7)),
        (
            r#"{"type":"Withdrawn","schema":1,"data":{"amount":7,"transfer":"t-1"}}"#,
            AccountEvent::Withdrawn { amount: amount(7), reference: None, transfer: Some(transfer.clone()) },
        ),
        (
            include_str!("../../tests/golden/Declined.1.json"),
            AccountEvent::Declined { transfer, reason: "no".to_owned() },
        ),
        (include_str!("../../tests/golden/Closed.1.json"), AccountEvent::Closed),
    ]);
}

#[test]
fn the_snapshot_does_not_change() {
    let state = given::<Account>([opened(500), credited(7)]).state();
    let json = serde_json::to_string(&state).expect("serializes");
    assert_eq!(json, r#"{"status":"open","balance":7,"overdraft_limit":500}"#);
}

fn commands() -> impl Strategy<Value = Vec<AccountCommand>> {
    // Small numbers meet the overdraft limit often, large ones the bound of a balance.
    let units = || prop_oneof![4 => 1..200_i64, 1 => 1..=MAX_AMOUNT.cast_signed()];
    let reference =
        || proptest::option::of("[a-zü ]{1,12}".prop_map(|text| text.parse().expect("a reference")));
    let moved = || (units().prop_map(amount), reference());
    let command = prop_oneof![
        1 => (0..500_i64).prop_map(open),
        8 => moved().prop_map(|(amount, reference)| AccountCommand::Credit { amount, reference, transfer: None }),
        8 => moved().prop_map(|(amount, reference)| AccountCommand::Withdraw { amount, reference, transfer: None }),
        1 => Just(AccountCommand::Close),
    ];
    proptest::collection::vec(command, 1..80)
}

proptest! {
    #[test]
    fn whatever_is_asked_the_books_balance_and_the_limit_holds(commands in commands()) {
        let mut account = Account::default();
        let mut history = Vec::new();
        let mut total = 0_i128;
        for command in &commands {
            for event in account.decide(command).unwrap_or_default() {
                match &event {
                    AccountEvent::Credited { amount, .. } => total += i128::from(amount.get()),
                    AccountEvent::Withdrawn { amount, .. } => total -= i128::from(amount.get()),
                    AccountEvent::Opened { .. } | AccountEvent::Declined { .. } | AccountEvent::Closed => {}
                }
                account.evolve(&event);
                history.push(event);
            }
            prop_assert!(account.balance().get() >= -account.overdraft_limit().get());
            prop_assert!(account.available() >= 0);
            prop_assert_eq!(i128::from(account.balance().get()), total);
            if account.status() != AccountStatus::Open {
                prop_assert_eq!(account.balance().get(), 0);
            }
        }
        prop_assert_eq!(given::<Account>(history).state(), account, "a replay gives the same state");
    }

    #[test]
    fn a_merge_is_a_second_decision(history in commands(), asked in commands()) {
        let mut account = Account::default();
        for command in &history {
            for event in account.decide(command).unwrap_or_default() {
                account.evolve(&event);
            }
        }
        for command in &asked {
            prop_assert_eq!(account.merge(&[command.event()], &[]), account.decide(command).is_ok());
        }
    }
}
