//! Commands on one stream, which all want to be next: they wait in the stream's lane and are committed together.
//!
//! The floor is a store that writes one command at a time: a conditional PUT each, one after another, and no record.
//!
//! | figure | bytes of a floor's PUT | a request takes |
//! |---|---|---|
//! | as heads are | what the same commands make one at a time, counted before | as long as it does |
//! | the least | those of a head with one commit | as long as it does |
//! | 10 ms away | as heads are | 10 ms longer, here and in the floor: about what S3 takes |

use std::{cell::RefCell, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{Options, Settings, Store};
use localstack::{Fault, Request};
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
/// Commands of a round.
const COMMANDS: usize = 16_384;
/// Commands of a round of the floor, near and far.
const BARE: [usize; 2] = [1_024, 128];
/// Pairs of rounds.
const ROUNDS: usize = 5;
/// How much longer a request takes that goes far.
const FAR: Duration = Duration::from_millis(10);

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let alone = alone(bench.many(BARE[0])).await?;
    let least = alone.objects.iter().flatten().copied().min().unwrap_or_default();
    let least = Written { objects: vec![vec![least; alone.puts()]], ..Written::default() };
    let far = Written {
        objects: alone.objects.iter().map(|puts| puts.iter().take(BARE[1]).copied().collect()).collect(),
        ..Written::default()
    };
    Ok(vec![
        figure(bench, "as heads are", &alone, None).await?.ratio_goal(Bound::AtLeast(20.0)),
        figure(bench, "the least", &least, None).await?,
        figure(bench, "10 ms away", &far, Some(FAR)).await?.ratio_goal(Bound::AtLeast(20.0)),
    ])
}

/// The PUTs of so many commands on one stream that come one at a time; only those of the head.
async fn alone(commands: usize) -> Result<Written, Error> {
    let (aws, clients) = bare::local().await?;
    let (ports, notes) = Notes::of(clients.ports(STORE, STREAM));
    let store = Store::new(ports, Settings::default());
    open(&store, "alone").await?;
    credits(&store, "alone", commands).await?;
    aws.shutdown().await;
    let head = notes.take().objects.into_iter().max_by_key(Vec::len).unwrap_or_default();
    Ok(Written { objects: vec![head], ..Written::default() })
}

async fn figure(bench: &Bench, what: &str, bare: &Written, far: Option<Duration>) -> Result<Figure, Error> {
    bench.say(what);
    let (aws, clients) = bare::local().await?;
    let (ports, notes) = Notes::of(clients.ports(STORE, STREAM));
    let store = Store::new(ports, Settings::default());
    open(&store, "hot").await?;
    if let Some(longer) = far {
        aws.on_request(move |_: &Request| Fault::Delay(longer));
    }
    let commands = bench.many(COMMANDS);
    let share = commands.div_ceil(IN_FLIGHT);
    let written = RefCell::new(Written::default());
    let ours = async |_| {
        let began = Instant::now();
        let lanes = (0..IN_FLIGHT.min(commands)).map(|_| {
            let store = store.clone();
            async move { tokio::spawn(async move { credits(&store, "hot", share).await }).await? }
        });
        let done: Vec<usize> = stream::iter(lanes).buffer_unordered(IN_FLIGHT).try_collect().await?;
        let took = began.elapsed();
        written.replace(notes.take());
        Ok(done.iter().sum::<usize>() as f64 / took.as_secs_f64())
    };
    let floor = async |round| {
        let took = bare::write(&clients, bare, 1, &format!("hot/{round}")).await?;
        Ok(bare.puts() as f64 / took.as_secs_f64())
    };
    notes.take();
    let pairs = rounds(bench, ROUNDS, ours, floor).await?;
    aws.shutdown().await;
    let puts = written.into_inner().puts().max(1) as f64;
    let mean = bare.objects.iter().flatten().sum::<usize>() as f64 / bare.puts().max(1) as f64;
    Ok(Figure::rounds(Row::Hot, format!("256 in flight, {what}"), "commands/s", &pairs)
        .beside("commands a PUT", commands as f64 / puts, "")
        .beside("the floor's PUT", mean, "bytes"))
}

async fn credits(store: &Store, id: &str, commands: usize) -> Result<usize, Error> {
    for _ in 0..commands {
        store.execute::<bank::Account>(id, credit()?, Options::default()).await?;
    }
    Ok(commands)
}
