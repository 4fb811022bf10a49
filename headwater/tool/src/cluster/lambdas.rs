//! The cluster's Lambdas, each with its event source mapping.
//!
//! | function | batch | parallel | filter | failures |
//! |---|---|---|---|---|
//! | `balance` | 500 | 1 per shard | the kinds that it reads | bisected, 5 retries, then to the failures bucket |
//! | `credit-limit` | 500 | 1 per shard | the kinds that it reads | bisected, 5 retries, then to the failures bucket |
//! | `exceptions` | 500 | 1 per shard | the kinds that it reads | bisected, 5 retries, then to the failures bucket |
//! | `transfer-process` | 100 | 1 per shard | the kinds that it reads | repeated without end: money waits for it |
//! | `holdings` | 100 | 1 per shard | the kinds that it reads | bisected, 5 retries, then to the failures bucket |
//! | `archiver` | 10,000 or 100 ms | 1 per shard | none | repeated without end: it never discards |
//!
//! The function `relay` has a schedule instead ([`Relay`]), and `transfer-process` one besides, for its timers.

use std::time::Duration;

use consumers::{
    balance::Balances, credit_limit::CreditLimits, exceptions::Exceptions, holdings::Holdings,
    transfers::Transfers,
};
use futures::future::join_all;
use headwater::consume::{Process, Projection, kinds};
use localstack::{FunctionOptions, LocalAws, Mapping, MappingOptions, OnError, ResponseType, Schedule};
use serde_json::json;

use super::{ClusterError, FAILURES, Relay, STREAM, binaries::Binaries, named};

/// The functions with a mapping each, and the kinds of streams that it lets through, which are those that the code reads; all
/// without any. A test holds the template to it.
pub fn mapped() -> [(&'static str, Vec<&'static str>); 6] {
    fn view<P: Projection>() -> Vec<&'static str> {
        kinds::<P::Reads>().collect()
    }
    fn process<P: Process>() -> Vec<&'static str> {
        kinds::<P::Reads>().collect()
    }
    [
        ("balance", view::<Balances>()),
        ("credit-limit", view::<CreditLimits>()),
        ("exceptions", view::<Exceptions>()),
        (TRANSFERS, process::<Transfers>()),
        ("holdings", process::<Holdings>()),
        ("archiver", Vec::new()),
    ]
}

/// The process that moves money.
const TRANSFERS: &str = "transfer-process";

/// How often a process looks for timers that are due.
const TICK: Duration = Duration::from_mins(1);

/// How often a shard is looked at: a machine that runs everything has better things to do than to invoke a function for
/// every record.
const POLL: Duration = Duration::from_millis(40);

/// The same where each look is a request to another program.
const POLL_ELSEWHERE: Duration = Duration::from_millis(200);

/// How long a pass of the relay may take: it publishes for 5 minutes.
const PASS: Duration = Duration::from_mins(10);

/// What invokes the Lambdas; it ends when it is dropped.
#[derive(Default)]
pub(super) struct Triggers {
    mappings: Vec<Mapping>,
    _relay: Option<Schedule>,
    _timers: Option<Schedule>,
}

impl Triggers {
    /// Waits until each has processed what is in the stream now.
    pub(super) async fn drain(&self) {
        join_all(self.mappings.iter().map(Mapping::drain)).await;
    }
}

/// Registers every Lambda and starts its mapping or schedule.
pub(super) async fn register(
    aws: &LocalAws,
    function_options: &impl Fn(&str, Duration) -> FunctionOptions,
    invocation: Duration,
    relay: Option<Relay>,
    elsewhere: bool,
) -> Result<Triggers, ClusterError> {
    let mut mappings = Vec::new();
    for (function, kinds) in mapped() {
        aws.function(function_options(function, invocation));
        let mapping = MappingOptions { filters: filters(&kinds), ..MappingOptions::new(STREAM, function) };
        let mapping = match function {
            "archiver" => archive(mapping),
            TRANSFERS => react(mapping),
            "holdings" => MappingOptions { batch_size: REACTIONS, ..project(mapping) },
            _ => project(mapping),
        };
        let mapping =
            if elsewhere { MappingOptions { poll_interval: POLL_ELSEWHERE, ..mapping } } else { mapping };
        let started = aws.mapping(mapping).await;
        mappings.push(started.map_err(|error| ClusterError::Create(error.to_string()))?);
    }
    let relay = relay.map(|relay| schedule(aws, function_options("relay", PASS), relay));
    Ok(Triggers { mappings, _relay: relay, _timers: Some(aws.schedule(TRANSFERS, TICK)) })
}

/// Registers the relay, and lets it pass again and again.
fn schedule(aws: &LocalAws, mut function: FunctionOptions, Relay { every, age }: Relay) -> Schedule {
    function.env.insert("HEADWATER_RELAY_AGE".to_owned(), age.as_secs().to_string());
    aws.function(function);
    aws.schedule("relay", every)
}

/// A function of the cluster that runs the binary of that name.
pub(super) fn function_options(
    binaries: &Binaries,
    binary: &str,
    invocation: Duration,
    environment: &[(&'static str, String)],
) -> FunctionOptions {
    let env = named(environment, binary).into_iter();
    FunctionOptions {
        env: env.map(|(name, value)| (name.to_owned(), value)).collect(),
        timeout: invocation,
        ..FunctionOptions::new(binary, binaries.path(binary))
    }
}

/// What lets records of these kinds through.
fn filters(kinds: &[&str]) -> Vec<String> {
    let filter = json!({"data": {"kind": kinds}}).to_string();
    if kinds.is_empty() { Vec::new() } else { vec![filter] }
}

/// Records of a process's batch: each may be a few commands.
const REACTIONS: usize = 100;

fn react(mapping: MappingOptions) -> MappingOptions {
    MappingOptions {
        batch_size: REACTIONS,
        poll_interval: POLL,
        response_type: ResponseType::ReportBatchItemFailures,
        ..mapping
    }
}

fn project(mapping: MappingOptions) -> MappingOptions {
    MappingOptions {
        batch_size: 500,
        poll_interval: POLL,
        response_type: ResponseType::ReportBatchItemFailures,
        on_error: OnError::Bisect,
        maximum_retry_attempts: Some(5),
        on_failure_destination: Some(FAILURES.to_owned()),
        ..mapping
    }
}

fn archive(mapping: MappingOptions) -> MappingOptions {
    MappingOptions {
        batch_size: 10_000,
        batching_window: Duration::from_millis(100),
        response_type: ResponseType::ReportBatchItemFailures,
        ..mapping
    }
}
