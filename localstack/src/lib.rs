//! A local AWS in one process: S3, Kinesis, Lambda and event source mappings on one loopback port.
//!
//! It is made for tests and for work without a network. Where it answers, it answers as AWS does; what it does not
//! know it refuses.
//!
//! The journey of one request from outside:
//!
//! 1. `port` takes it in, `browser` refuses what a web page sends, `classify` says what it is, `permission` what IAM would ask for, the hook of a test may say what to do with it ([`Fault`]), and
//!    `connection` does to the answer's bytes what a bad network would;
//! 2. `signature` checks who asks, if a key pair is demanded;
//! 3. `s3` or `kinesis` does it, and with a data directory keeps it before the answer;
//! 4. `count` adds it up ([`Counts`]).
//!
//! The journey of one record to a function:
//!
//! 1. `mapping` reads it from its shard ([`MappingOptions`]), in a batch with others;
//! 2. `lambda` hands the batch to a process of the function ([`FunctionOptions`]), through the Lambda Runtime API;
//! 3. `mapping` reads the answer, and tries again, splits, gives up, or moves its checkpoint.
//!
//! S3 and Kinesis can be those of another program ([`Elsewhere`]): functions, mappings and schedules run here all the same.
//!
//! A `schedule` invokes a function without any record, at a rate.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use localstack::{LocalAws, Options};
//!
//! let aws = LocalAws::start(Options::for_test()).await?;
//! aws.create_bucket("events")?;
//! aws.create_stream("events", 2).await?;
//! println!("AWS_ENDPOINT_URL={}", aws.endpoint());
//! aws.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

#![allow(clippy::disallowed_methods, reason = "this crate is the world that has the time and the chance")]

mod aws;
mod browser;
mod classify;
mod connection;
mod count;
mod elsewhere;
mod error;
mod fault;
mod kinesis;
mod lambda;
mod mapping;
mod permission;
mod port;
mod s3;
mod schedule;
mod signature;

pub use aws::{DEFAULT_PORT, LocalAws, Options, Stored};
pub use count::{Class, Counts, Tally};
pub use elsewhere::Elsewhere;
pub use error::{CreateError, StartError};
pub use fault::{Fault, Gate, Hook, Request};
pub use kinesis::ShardLimits;
pub use lambda::{FunctionOptions, Invocations, InvokeError, Log, PAYLOAD_LIMIT, Process};
pub use mapping::filter::PatternError;
pub use mapping::progress::ShardStatus;
pub use mapping::{Mapping, MappingError, MappingOptions, OnError, ResponseType, StartingPosition};
pub use schedule::Schedule;
pub use signature::Credentials;
