//! The bank's consumers: views that events feed, the queries that they answer, and processes.
//!
//! 1. Kinesis hands a batch to a Lambda; [`serve()`] gives it to the projection, and what must come again back to Lambda.
//! 2. [`balance`] keeps what is in each account.
//! 3. [`credit_limit`] keeps what the bank would lend, and forwards every change of it to another Kinesis stream.
//! 4. The same function answers queries over HTTP: [`account`] is what they have in common.
//! 5. [`serve_process`] gives batches and ticks to a process: [`transfers`] moves money between accounts, [`holdings`] finds
//!    who has too many of them, which [`exceptions`] shows.
//!
//! A stream that a projection cannot apply is parked and the rest goes on, also where the projection panics: the binaries
//! must unwind.

#[cfg(not(panic = "unwind"))]
compile_error!(
    "a projection that panics parks one stream by unwinding: panic = \"abort\" would stop the whole shard"
);

pub mod account;
pub mod balance;
pub mod credit_limit;
pub mod exceptions;
pub mod holdings;
mod serve;
pub mod transfers;

pub use self::serve::{process_router, serve, serve_process};
