//! How the local AWS behaves, seen through the real AWS SDK over real HTTP.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

mod browsers;
mod client;
mod connections;
mod elsewhere;
mod faults;
mod kinesis;
mod lambda;
mod mapping;
mod program;
mod s3;
mod uploads;
mod worker;
