//! Why the bank says no, as problem documents of kinds of their own.
//!
//! | kind | status | members |
//! |---|---|---|
//! | `not-open` | 404 | |
//! | `already-open` | 409 | |
//! | `closed` | 422 | |
//! | `insufficient-funds` | 422 | `available`, `asked` |
//! | `balance-too-large` | 422 | `balance`, `most` |
//! | `balance-not-zero` | 422 | `balance` |
//! | `not-registered` | 404 | |
//! | `already-registered` | 409 | |
//! | `not-requested` | 404 | |
//! | `already-requested` | 409 | |
//! | `same-account` | 422 | |
//! | `not-stranded` | 422 | |
//! | `idempotency-key-reused` | 422 | |
//!
//! A rejection is not remembered: a retry with the same key decides again, on what is there then.

use bank::{
    Account, AccountCommand, AccountEvent, AccountRejection, MAX_BALANCE, Order, Transfer, TransferCommand,
    TransferEvent, TransferRejection, User, UserCommand, UserEvent, UserRejection,
};
use http::StatusCode;
use service::Problem;

use crate::bank::Served;

impl Served for Account {
    fn event(command: &AccountCommand) -> AccountEvent {
        command.event()
    }

    fn problem(rejection: &AccountRejection) -> Problem {
        let problem = match rejection {
            AccountRejection::NotOpen => Problem::new(StatusCode::NOT_FOUND, "not-open", "no such account"),
            AccountRejection::AlreadyOpen => {
                Problem::new(StatusCode::CONFLICT, "already-open", "the account exists")
            }
            AccountRejection::Closed => unprocessable("closed", "the account is closed"),
            AccountRejection::InsufficientFunds { available, asked } => {
                unprocessable("insufficient-funds", "the funds do not suffice")
                    .with("available", *available)
                    .with("asked", asked.get())
            }
            AccountRejection::BalanceTooLarge { balance } => {
                unprocessable("balance-too-large", "the balance would pass its bound")
                    .with("balance", balance.get())
                    .with("most", MAX_BALANCE)
            }
            AccountRejection::BalanceNotZero { balance } => {
                unprocessable("balance-not-zero", "the balance is not zero").with("balance", balance.get())
            }
        };
        problem.with_detail(rejection.to_string())
    }

    fn missing() -> Problem {
        Self::problem(&AccountRejection::NotOpen)
    }
}

impl Served for User {
    fn event(command: &UserCommand) -> UserEvent {
        command.event()
    }

    fn problem(rejection: &UserRejection) -> Problem {
        let problem = match rejection {
            UserRejection::NotRegistered => {
                Problem::new(StatusCode::NOT_FOUND, "not-registered", "no such user")
            }
            UserRejection::AlreadyRegistered => {
                Problem::new(StatusCode::CONFLICT, "already-registered", "the user exists")
            }
            UserRejection::Closed => unprocessable("closed", "the user has left"),
        };
        problem.with_detail(rejection.to_string())
    }

    fn missing() -> Problem {
        Self::problem(&UserRejection::NotRegistered)
    }
}

impl Served for Transfer {
    /// What the process tells a transfer comes from no caller, so nothing is compared with it.
    fn event(command: &TransferCommand) -> TransferEvent {
        match command.clone() {
            TransferCommand::Request(order) => TransferEvent::Requested(order),
            TransferCommand::Redirect { to, to_version } => TransferEvent::Redirected { to, to_version },
            TransferCommand::Record { .. } | TransferCommand::Expire => TransferEvent::Expired,
        }
    }

    /// A repeat asks for the same, whatever the versions of the accounts are by now.
    fn same(wanted: &TransferEvent, stands: &TransferEvent) -> bool {
        match (wanted, stands) {
            (TransferEvent::Requested(wanted), TransferEvent::Requested(stands)) => {
                let Order { from_version, to_version, .. } = *stands;
                Order { from_version, to_version, ..wanted.clone() } == *stands
            }
            (TransferEvent::Redirected { to, .. }, TransferEvent::Redirected { to: stands, .. }) => {
                to == stands
            }
            _ => wanted == stands,
        }
    }

    fn problem(rejection: &TransferRejection) -> Problem {
        let problem = match rejection {
            TransferRejection::NotRequested => {
                Problem::new(StatusCode::NOT_FOUND, "not-requested", "no such transfer")
            }
            TransferRejection::AlreadyRequested => {
                Problem::new(StatusCode::CONFLICT, "already-requested", "the transfer exists")
            }
            TransferRejection::SameAccount => unprocessable("same-account", "a transfer needs two accounts"),
            TransferRejection::NotStranded => {
                unprocessable("not-stranded", "the money stands on no transfer")
            }
            TransferRejection::NoStep => Problem::blank(StatusCode::INTERNAL_SERVER_ERROR),
        };
        problem.with_detail(rejection.to_string())
    }

    fn missing() -> Problem {
        Self::problem(&TransferRejection::NotRequested)
    }
}

fn unprocessable(kind: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title)
}
