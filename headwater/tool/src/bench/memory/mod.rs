//! `memory`: the most that a Lambda ever has resident, when it is given as much as Lambda gives it.
//!
//! The real binaries run as the embedded AWS runs them, each a process of its own for each kind of batch:
//!
//! | functions | what they get |
//! |---|---|
//! | `archiver`, `balance`, `credit-limit`, `exceptions` | an event of 6 MB: of small records, or of few that are near 1 MiB each |
//! | `holdings`, `transfer-process` | their mapping's 100 records, as large as fit into 6 MB, each of which they react to |
//! | `relay` | a store of some thousand heads, none of which is published |
//! | those that take requests | a request with the largest body that they read, and one that is too large for them |
//!
//! What counts is the kernel's high-water mark of the process (`VmHWM`), the pages of its binary included, after several of
//! them. So it is measured on Linux alone.

mod function;
mod reactions;
mod relay;
mod requests;

use std::time::Duration;

use bank::{Account, Portfolio};
use headwater::{Aggregate, aws::Clients};
use serde_json::json;

use self::function::Function;
use super::{
    Bench, Error, Figure, bare,
    batches::{Batch, Happened, Source},
};
use crate::cluster::{Cluster, Options, STORE};

/// Records of one event, at most.
const RECORDS: usize = 10_000;
/// Streams that they are of, if they are small.
const STREAMS: usize = 100;
/// Events that a process gets, one after another.
const EVENTS: usize = 5;

/// The function that keeps no view.
const ARCHIVER: &str = "archiver";

/// What a consumer is told.
type Told = fn(u64) -> Happened;

/// Functions that take in whatever they are told.
const CONSUMERS: [(&str, &str, Told); 4] = [
    (ARCHIVER, Account::KIND, credited),
    ("balance", Account::KIND, credited),
    ("credit-limit", Account::KIND, credited),
    ("exceptions", Portfolio::KIND, exceeded),
];

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let options = Options { lambdas: false, ..Options::default() };
    let cluster = Cluster::start(options, |step| bench.say(step)).await?;
    let clients = cluster.clients().await?;
    let ours = bare::identity(&clients, STORE).await?;
    // The relay first: it believes what stands in the archive, and the records that the archiver gets stand in no shard.
    let mut figures = vec![relay::measure(bench, &cluster, &clients).await?];
    for (binary, kind, told) in CONSUMERS {
        let small = Source::new(kind, "small", bench.many(STREAMS), told).of(ours.clone());
        figures.push(consumer(bench, &cluster, &clients, binary, small).await?);
        // As many commits as a record may have, and so many events that it is just below a record's limit.
        let large = Source::new(kind, "large", 4, told).with(256, 50).of(ours.clone());
        figures.push(consumer(bench, &cluster, &clients, binary, large).await?);
    }
    figures.extend(reactions::measure(bench, &cluster, &clients, ours.as_ref()).await?);
    figures.extend(requests::measure(bench, &cluster).await?);
    cluster.stop(Duration::ZERO).await;
    Ok(figures)
}

/// A function that is given events of a source.
async fn consumer(
    bench: &Bench,
    cluster: &Cluster,
    clients: &Clients,
    binary: &str,
    mut source: Source,
) -> Result<Figure, Error> {
    let function = Function::register(cluster, binary, &source.prefix);
    bench.say(&function.name);
    let (mut records, mut bytes) = (0, 0);
    for _ in 0..bench.rounds(EVENTS) {
        let Batch { payload, records: held } = source.batch(bench.many(RECORDS))?;
        (records, bytes) = (held, payload.len());
        function.take_in(cluster, payload).await?;
    }
    if binary != ARCHIVER {
        source.check(clients, binary).await?;
    }
    function.figure(cluster, format!("{binary}, {records} records"), bytes)
}

fn credited(version: u64) -> Happened {
    ("Credited", json!({"amount": 100 + version % 7, "reference": "rent"}))
}

fn exceeded(version: u64) -> Happened {
    ("Exceeded", json!({"account": format!("a-{version}"), "held": 4}))
}
