//! Warm commands, each on a stream of its own: what a service does all day.
//!
//! An account is opened and then gets [`COMMANDS`] credits, one after another; so many accounts are at it at a time. Only the
//! credits are timed. The floor is one conditional PUT of as many bytes for each, and the same calls of `PutRecords`.

use std::{cell::RefCell, sync::Arc, time::Duration};

use bank::{Account, AccountCommand, Amount, OverdraftLimit};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use headwater::{Options, Settings, Store, aws::Clients};
use tokio::time::Instant;

use super::{
    Bench, Error, Figure, Row,
    bare::{self, Notes, STORE, STREAM, Written},
    figure::Bound,
    rounds::rounds,
};

/// Commands under way, and accounts of a round.
const LEVELS: [(usize, usize); 3] = [(1, 64), (32, 512), (256, 512)];
/// Credits of an account.
const COMMANDS: usize = 16;
/// Pairs of rounds.
const ROUNDS: usize = 7;

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for (in_flight, accounts) in LEVELS {
        bench.say(format!("{in_flight} in flight"));
        figures.push(level(bench, in_flight, bench.many(accounts)).await?);
    }
    Ok(figures)
}

async fn level(bench: &Bench, in_flight: usize, accounts: usize) -> Result<Figure, Error> {
    let (aws, clients) = bare::local().await?;
    let (ports, notes) = Notes::of(clients.ports(STORE, STREAM));
    let store = Store::new(ports, Settings::default());
    let commands = (accounts * COMMANDS) as f64;
    let latencies = RefCell::new(Histogram::<u64>::new(3)?);
    let written = RefCell::new(Written::default());
    let ours = async |round: usize| {
        let took = run(&store, &notes, accounts, in_flight, round).await?;
        latencies.borrow_mut().add(&took.latencies)?;
        written.replace(notes.take());
        Ok(commands / took.all.as_secs_f64())
    };
    let floor = async |round: usize| {
        let to_write = written.borrow().clone();
        let took = floor(&clients, &to_write, in_flight, round).await?;
        Ok(commands / took.as_secs_f64())
    };
    let pairs = rounds(bench, ROUNDS, ours, floor).await?;
    aws.shutdown().await;
    let (written, latencies) = (written.into_inner(), latencies.into_inner());
    let figure = Figure::rounds(Row::Append, format!("{in_flight} in flight"), "commands/s", &pairs)
        .ratio_goal(Bound::AtLeast(0.9))
        .beside("p50", milliseconds(latencies.value_at_quantile(0.5)), "ms")
        .beside("p99", milliseconds(latencies.value_at_quantile(0.99)), "ms")
        .beside("PUTs a command", written.puts() as f64 / commands, "")
        .beside("commands a PutRecords", commands / written.calls.len().max(1) as f64, "");
    Ok(figure)
}

/// The floor of one round.
async fn floor(
    clients: &Clients,
    written: &Written,
    in_flight: usize,
    round: usize,
) -> Result<Duration, Error> {
    bare::write(clients, written, in_flight, &format!("append/{in_flight}/{round}")).await
}

struct Took {
    all: Duration,
    latencies: Histogram<u64>,
}

async fn run(
    store: &Store,
    notes: &Notes,
    accounts: usize,
    in_flight: usize,
    round: usize,
) -> Result<Took, Error> {
    let ids: Vec<Arc<str>> =
        (0..accounts).map(|account| format!("{in_flight}-{round}-{account}").into()).collect();
    let opened = ids.iter().map(|id| open(store, id));
    stream::iter(opened).buffer_unordered(256).try_collect::<()>().await?;
    notes.take();
    let began = Instant::now();
    let lanes = ids.iter().cloned().map(|id| {
        let store = store.clone();
        async move { tokio::spawn(async move { credits(&store, &id).await }).await? }
    });
    let latencies: Vec<Vec<Duration>> = stream::iter(lanes).buffer_unordered(in_flight).try_collect().await?;
    let all = began.elapsed();
    let mut histogram = Histogram::new(3)?;
    for latency in latencies.into_iter().flatten() {
        histogram.record(u64::try_from(latency.as_micros())?)?;
    }
    Ok(Took { all, latencies: histogram })
}

pub(super) async fn open(store: &Store, id: &str) -> Result<(), Error> {
    let command = AccountCommand::Open { overdraft_limit: OverdraftLimit::default(), holder: None };
    store.execute::<Account>(id, command, Options::default()).await?;
    Ok(())
}

pub(super) fn credit() -> Result<AccountCommand, Error> {
    Ok(AccountCommand::Credit { amount: Amount::try_from(5)?, reference: None, transfer: None })
}

async fn credits(store: &Store, id: &str) -> Result<Vec<Duration>, Error> {
    let mut latencies = Vec::with_capacity(COMMANDS);
    for _ in 0..COMMANDS {
        let began = Instant::now();
        store.execute::<Account>(id, credit()?, Options::default()).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

fn milliseconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1e3
}
