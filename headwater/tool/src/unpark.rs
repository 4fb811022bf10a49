//! `headwater unpark`: after a projection was mended, the stream that it could not apply goes on, healed from its head.
//!
//! A projection is code, so this command knows only those that it was built with: the bank's ([`Known`]).

use clap::{Args as Arguments, ValueEnum};
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::{
    StreamId, Version,
    consume::{Projection, Projector, Unparked},
};
use serde::Serialize;
use std::sync::Arc;

use crate::{
    failure::Failure,
    output::{Line, Output, Paint, plain},
    target::{Connection, Need, Target},
};

/// Let a parked stream go on, after the projection was mended
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The projection
    pub projection: Known,
    /// The view's key, as `headwater parked` shows it
    pub key: String,
    /// The stream, as account/42
    #[arg(id = "name", value_name = "STREAM")]
    pub stream: StreamId,
    /// The Kinesis stream that credit-limit forwards its changes to
    #[arg(
        long,
        env = "HEADWATER_FORWARD",
        value_name = "NAME",
        required_if_eq("projection", CreditLimits::NAME)
    )]
    pub forward: Option<String>,
    /// What became of it, as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// The projections that this command was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Known {
    /// What is in each account
    #[value(name = Balances::NAME)]
    Balance,
    /// What the bank would lend
    #[value(name = CreditLimits::NAME)]
    CreditLimit,
}

/// Unparks the stream and shows on stdout what became of it.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut output = Output::stdout(args.json);
    // What a projection forwards goes to a stream of its own, and nothing else is published.
    let (target, needs): (Target, &[Need]) =
        match args.forward.clone().filter(|_| args.projection == Known::CreditLimit) {
            Some(stream) => (Target { stream, ..args.target }, &[Need::Store, Need::Stream]),
            None => (args.target, &[Need::Store]),
        };
    let connection = target.connect(needs).await?;
    unpark(&connection, args.projection, &args.key, &args.stream, &mut output).await
}

/// Unparks a stream in one view. The connection's stream is the one that the projection forwards to, if it forwards.
pub async fn unpark(
    connection: &Connection,
    projection: Known,
    key: &str,
    stream: &StreamId,
    output: &mut Output,
) -> Result<(), Failure> {
    let ports = &connection.ports;
    let (name, unparked) = match projection {
        Known::Balance => (Balances::NAME, Projector::new(Balances, ports).unpark(key, stream).await?),
        Known::CreditLimit => {
            let projector = Projector::forwarding(CreditLimits, ports, Arc::clone(&ports.log));
            (CreditLimits::NAME, projector.unpark(key, stream).await?)
        }
    };
    let (outcome, version) = match unparked {
        Unparked::Healed(version) => (Outcome::Healed, Some(version)),
        Unparked::NotParked => (Outcome::NotParked, None),
        Unparked::ParkedAgain(parked) => {
            let place = format!("{name} {key}");
            let (stream, version, error) = (stream.clone(), parked.version, parked.error);
            return Err(Failure::ParkedAgain { place, stream, version, error });
        }
    };
    output.line(&Ended { projection: name, key, stream, outcome, version })?;
    output.flush()
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Healed,
    NotParked,
}

/// What became of a parked stream, as a line.
#[derive(Debug, Serialize)]
struct Ended<'a> {
    projection: &'a str,
    key: &'a str,
    stream: &'a StreamId,
    outcome: Outcome,
    /// The version through which it is applied.
    version: Option<Version>,
}

impl Line for Ended<'_> {
    fn human(&self, paint: Paint) -> String {
        let place = plain(&format!("{} {} {}", self.projection, self.key, self.stream));
        match (self.outcome, self.version) {
            (Outcome::Healed, Some(version)) => {
                format!("{}: applied through version {version}", paint.key(place))
            }
            _ => format!("{}: is not parked, nothing was done", paint.key(place)),
        }
    }
}
