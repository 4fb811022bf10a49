//! Why an account says no, as a problem document of its own kind.
//!
//! | kind | status | members |
//! |---|---|---|
//! | `not-open` | 404 | |
//! | `already-open` | 409 | |
//! | `closed` | 422 | |
//! | `insufficient-funds` | 422 | `available`, `asked` |
//! | `balance-too-large` | 422 | `balance`, `most` |
//! | `balance-not-zero` | 422 | `balance` |
//! | `idempotency-key-reused` | 422 | |
//!
//! A rejection is not remembered: a retry with the same key decides again, on what is there then.

use bank::{AccountRejection, MAX_BALANCE};
use http::StatusCode;
use service::Problem;

/// The problem of a rejection.
pub fn problem(rejection: &AccountRejection) -> Problem {
    let unprocessable = |kind, title| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title);
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

/// The problem of a key that stands for another command already.
pub(crate) fn key_reused() -> Problem {
    let title = "the Idempotency-Key was used before";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title).with_detail(
        "it stands for a command that did something else, and nothing was done now: use a fresh one",
    )
}
