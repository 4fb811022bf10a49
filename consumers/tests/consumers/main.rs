//! The consumers as Lambda sees them: events as JSON in, requests at their routers, over ports in memory.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy takes helpers of an integration test for no test"
)]

mod balance;
mod bench;
mod credit_limit;
mod holdings;
mod shared;
mod transfers;
