//! The bank's consumers: views that events feed, and the queries that they answer.
//!
//! 1. Kinesis hands a batch to a Lambda; [`serve()`] gives it to the projection, and what must come again back to Lambda.
//! 2. [`balance`] keeps what is in each account.
//! 3. [`credit_limit`] keeps what the bank would lend, and forwards every change of it to another Kinesis stream.
//! 4. The same function answers queries over HTTP: [`account`] is what they have in common.
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
mod serve;

pub use self::serve::serve;
