//! Commands on one stream, which all want to be next: they wait in the stream's lane and are committed together.
//!
//! The floor is what a store does that writes one command at a time: a conditional PUT each, one after another, of the bytes
//! that a head has at least.

use std::cell::RefCell;

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{Options, Settings, Store};
use tokio::time::Instant;

use super::{
    Bench, Error, Figure, Row,
    append::{credit, open},
    bare::{self, Notes, STORE, STREAM, Written},
    figure::Bound,
    rounds::rounds,
};

/// Commands under way.
const IN_FLIGHT: usize = 256;
/// Commands of a round, and of the floor's.
const COMMANDS: usize = 16_384;
const BARE: usize = 1_024;
/// Pairs of rounds.
const ROUNDS: usize = 5;

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let (aws, clients) = bare::local().await?;
    let (ports, notes) = Notes::of(clients.ports(STORE, STREAM));
    let store = Store::new(ports, Settings::default());
    open(&store, "hot".into()).await?;
    // The head as it is with a single commit.
    let least = notes.take().objects.into_iter().flatten().min().unwrap_or_default();
    let (commands, bare_commands) = (bench.many(COMMANDS), bench.many(BARE));
    let written = RefCell::new(Written::default());
    let ours = async |_| {
        let began = Instant::now();
        let lanes = (0..IN_FLIGHT.min(commands)).map(|_| commands.div_ceil(IN_FLIGHT));
        let lanes = lanes.map(|share| {
            let store = store.clone();
            async move { tokio::spawn(async move { credits(&store, share).await }).await? }
        });
        let done: Vec<usize> = stream::iter(lanes).buffer_unordered(IN_FLIGHT).try_collect().await?;
        let took = began.elapsed();
        written.replace(notes.take());
        Ok(done.iter().sum::<usize>() as f64 / took.as_secs_f64())
    };
    let floor = async |round| {
        let one_by_one = Written { objects: vec![vec![least; bare_commands]], ..Written::default() };
        let took = bare::write(&clients, &one_by_one, 1, &format!("hot/{round}")).await?;
        Ok(bare_commands as f64 / took.as_secs_f64())
    };
    let pairs = rounds(bench, ROUNDS, ours, floor).await?;
    aws.shutdown().await;
    let written = written.into_inner();
    let figure = Figure::rounds(Row::Hot, "256 in flight", "commands/s", &pairs)
        .ratio_goal(Bound::AtLeast(20.0))
        .beside("commands a PUT", commands as f64 / written.puts().max(1) as f64, "")
        .beside("PUTs", written.puts() as f64, "");
    Ok(vec![figure])
}

async fn credits(store: &Store, commands: usize) -> Result<usize, Error> {
    for _ in 0..commands {
        store.execute::<bank::Account>("hot", credit()?, Options::default()).await?;
    }
    Ok(commands)
}
