//! The bank's producers: services that take commands over HTTP, each a server or a Lambda.
//!
//! | service | takes |
//! |---|---|
//! | [`accounts`] | `POST /accounts`, `GET /accounts/{id}`, `POST /accounts/{id}/close` |
//! | [`credit`] | `POST /accounts/{id}/credit` |
//! | [`withdraw`] | `POST /accounts/{id}/withdraw` |
//! | [`transfers`] | `POST /transfers`, `GET /transfers/{id}`, `POST /transfers/{id}/redirect` |
//! | [`users`] | `POST /users`, `GET /users/{id}`, `POST /users/{id}/rename`, `POST /users/{id}/close`, `GET /usernames/{name}` |
//!
//! What a request goes through:
//!
//! 1. a service takes it apart: path, headers, body; what does not fit is refused by name,
//! 2. [`Bank`] executes the command: the aggregate decides, S3 commits, Kinesis is told,
//! 3. [`answer`] says what came of it, or [`rejection`] why not.
//!
//! A command that was committed is never reported as failed: while Kinesis has not taken it yet, the answer is the same
//! with `"publication": "pending"`. It is not a 202, since nothing is left for the caller to wait for: the store has the
//! commit, every read of the account sees it, and publishing is the store's business.

pub mod accounts;
pub mod answer;
mod bank;
pub mod credit;
#[cfg(test)]
mod fixture;
pub mod rejection;
mod serve;
pub mod transfers;
pub mod users;
pub mod withdraw;

pub use self::{
    bank::{Bank, Named, Served},
    serve::serve,
};
