//! `headwater unpark`: after a projection was mended, the stream that it could not apply goes on, healed from its head.
//!
//! A projection is code, so this command knows only those that it was built with: the bank's ([`Known`]).

use clap::{Args as Arguments, ValueEnum};
use consumers::{
    balance::Balances, credit_limit::CreditLimits, exceptions::Exceptions, holdings::Holdings,
    transfers::Transfers,
};
use headwater::{
    Settings, Store, StoreError, StreamId, Version,
    consume::{Process, Projection, Projector, Reactor, Unparked, parked_settings},
    port::Ports,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

use crate::{
    failure::Failure,
    output::{Line, Output, Paint, plain},
    target::{Connection, Need, Target},
};

/// How long it waits for Kinesis.
const DRAIN: Duration = Duration::from_secs(10);

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
    /// The seconds after which a transfer expires, as deployed: for a stream that was parked by a version which did not keep
    /// them with it
    #[arg(long, env = "HEADWATER_EXPIRE_AFTER", value_name = "SECONDS")]
    pub expire_after: Option<u64>,
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
    /// Who has too many accounts
    #[value(name = Exceptions::NAME)]
    Exceptions,
    /// What finds that out, a process
    #[value(name = Holdings::NAME)]
    Holdings,
    /// What moves the money of transfers, a process
    #[value(name = Transfers::NAME)]
    Transfers,
}

/// Unparks the stream and shows on stdout what became of it.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut output = Output::stdout(args.json);
    // What a projection forwards goes to a stream of its own, and nothing else is published.
    let (target, needs): (Target, &[Need]) =
        match args.forward.clone().filter(|_| args.projection == Known::CreditLimit) {
            Some(stream) => (Target { forward: Some(stream), ..args.target }, &[Need::Writes, Need::Stream]),
            None if matches!(args.projection, Known::Holdings | Known::Transfers) => {
                (args.target, &[Need::Writes, Need::Stream])
            }
            None => (args.target, &[Need::Writes]),
        };
    let connection = target.connect(needs).await?;
    let expire_after = args.expire_after.map(Duration::from_secs);
    unpark(&connection, args.projection, &args.key, &args.stream, expire_after, &mut output).await
}

/// Unparks a stream in one view. The connection's stream is the one that the projection forwards to, if it forwards, or that a
/// process publishes to. `expire_after` counts where a stream of transfers was parked without it.
pub async fn unpark(
    connection: &Connection,
    projection: Known,
    key: &str,
    stream: &StreamId,
    expire_after: Option<Duration>,
    output: &mut Output,
) -> Result<(), Failure> {
    let ports = &connection.ports;
    let (name, unparked) = match projection {
        Known::Balance => (Balances::NAME, Projector::new(Balances, ports).unpark(key, stream).await?),
        Known::CreditLimit => {
            let projector = Projector::forwarding(CreditLimits, ports, Arc::clone(&ports.log));
            (CreditLimits::NAME, projector.unpark(key, stream).await?)
        }
        Known::Exceptions => (Exceptions::NAME, Projector::new(Exceptions, ports).unpark(key, stream).await?),
        Known::Holdings => (Holdings::NAME, react(Holdings, ports, stream).await?),
        Known::Transfers => {
            let unparked = match transfers(ports, stream, expire_after).await? {
                Some(process) => react(process, ports, stream).await?,
                None => Unparked::NotParked,
            };
            (Transfers::NAME, unparked)
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

/// The process as it was deployed when it parked the stream; `None` where the stream is not parked.
async fn transfers(
    ports: &Ports,
    stream: &StreamId,
    expire_after: Option<Duration>,
) -> Result<Option<Transfers>, Failure> {
    let Some(settings) = parked_settings(ports, Transfers::NAME, stream).await? else { return Ok(None) };
    let given = expire_after.map(|expire_after| Transfers { expire_after });
    match Transfers::of_settings(settings).or(given) {
        Some(process) => Ok(Some(process)),
        None => Err(Failure::NoSettings { stream: stream.clone() }),
    }
}

/// Lets a process react to a stream, and waits until what it commands is published.
async fn react<P: Process>(process: P, ports: &Ports, stream: &StreamId) -> Result<Unparked, StoreError> {
    let reactor = Reactor::new(process, Store::new(ports.clone(), Settings::default()), ports);
    let unparked = reactor.unpark(stream).await?;
    reactor.store().drain(DRAIN).await;
    Ok(unparked)
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
