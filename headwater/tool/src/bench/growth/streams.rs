//! Many streams: what is done to some of them takes no more where there are a hundred times as many.

use std::cell::Cell;

use bank::Account;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{Options, Store};

use super::{
    super::{
        Bench, Error, Figure, Row,
        append::{credit, open},
        figure::Bound,
        rounds::rounds,
    },
    place::{Place, Took},
};

/// Streams of the store that the others are compared with.
const FEW: usize = 1_000;
/// Streams of the others.
const MANY: [usize; 2] = [10_000, 100_000];
/// Streams of each that something is done to, which lie as far apart as can be.
const CHOSEN: usize = 100;
/// Commands under way while streams are opened.
const IN_FLIGHT: usize = 32;
/// Pairs of rounds.
const ROUNDS: usize = 7;

/// What is done.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Load,
    Cold,
    Warm,
}

/// A store with so many streams.
struct Streams {
    place: Place,
    chosen: Vec<String>,
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for many in MANY {
        // Anew, so that what was done to either is the same.
        let few = Streams::new(bench, FEW).await?;
        let many_streams = Streams::new(bench, many).await?;
        for (deed, what) in
            [(Deed::Load, "loads"), (Deed::Cold, "cold commands"), (Deed::Warm, "warm commands")]
        {
            let what = format!("{what}, {many} streams");
            bench.say(what.clone());
            figures.push(compare(bench, what, deed, &many_streams, &few).await?);
        }
        many_streams.place.aws.shutdown().await;
        few.place.aws.shutdown().await;
    }
    Ok(figures)
}

async fn compare(
    bench: &Bench,
    what: String,
    deed: Deed,
    many: &Streams,
    few: &Streams,
) -> Result<Figure, Error> {
    let (ours, floor) = (Cell::new(Took::default()), Cell::new(Took::default()));
    let took = async |streams: &Streams, last: &Cell<Took>| {
        last.set(streams.took(deed).await?);
        Ok(last.get().milliseconds)
    };
    let pairs = rounds(bench, ROUNDS, |_| took(many, &ours), |_| took(few, &floor)).await?;
    let figure = Figure::rounds(Row::Growth, what, "ms", &pairs).ratio_goal(Bound::AtMost(1.2));
    Ok(ours.get().beside(figure, floor.get()))
}

impl Streams {
    async fn new(bench: &Bench, count: usize) -> Result<Self, Error> {
        let count = bench.many(count);
        bench.say(format!("{count} streams"));
        let place = Place::new().await?;
        let store = place.process();
        let opened = (0..count).map(|number| {
            let store = store.clone();
            async move { tokio::spawn(async move { open(&store, &name(number)).await }).await? }
        });
        stream::iter(opened).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        let apart = (count / CHOSEN).max(1);
        let chosen = (0..CHOSEN.min(count)).map(|number| name(number * apart)).collect();
        Ok(Self { place, chosen })
    }

    /// Does it once to each of the chosen streams.
    async fn took(&self, deed: Deed) -> Result<Took, Error> {
        let process = self.place.process();
        // The watermark is read once in half a minute.
        command(&process, &self.chosen[..1]).await?;
        if matches!(deed, Deed::Warm) {
            command(&process, &self.chosen).await?;
        }
        let chosen = if matches!(deed, Deed::Warm) { &self.chosen } else { &self.chosen[1..] };
        let work = async {
            match deed {
                Deed::Load => {
                    for id in chosen {
                        process.load::<Account>(id).await?;
                    }
                    Ok(())
                }
                Deed::Cold | Deed::Warm => command(&process, chosen).await,
            }
        };
        self.place.took(chosen.len(), work).await
    }
}

async fn command(store: &Store, ids: &[String]) -> Result<(), Error> {
    for id in ids {
        store.execute::<Account>(id, credit()?, Options::default()).await?;
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("{number:06}")
}
