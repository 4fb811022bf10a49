//! Long streams: a load with a snapshot reads the head, whatever came before it; a load without reads every page, many at a time.
//!
//! Each event is a commit of its own. A stream is filled until a page has just left its head, so that all heads are alike.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bank::Account;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    Options, Store, StoreError, StoredEvent, StreamId,
    format::{head::Head, key},
    read::HeadRead,
};
use localstack::{Fault, Hook, Request};
use serde_json::value::RawValue;

use super::{
    super::{Bench, Error, Figure, Row, append::credit, figure::Bound, rounds::rounds},
    place::{Place, Took},
};

/// Events of the stream that the others are compared with: its head is full.
const SHORT: usize = 1_000;
/// Events of the others.
const LENGTHS: [usize; 3] = [1, 10_000, 100_000];
/// Commits under way while a stream is filled.
const IN_FLIGHT: usize = 256;
/// Loads of a round, with a snapshot.
const LOADS: usize = 100;
/// Pairs of rounds: with snapshots, without, and where S3 takes its time.
const ROUNDS: usize = 7;
const FEW_ROUNDS: usize = 3;
const SLOW_ROUNDS: usize = 1;
/// What S3 is made to take for each GET, to see what of it adds up.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let place = Place::new().await?;
    let short = bench.many(SHORT);
    let mut figures = Vec::new();
    for length in [short].into_iter().chain(LENGTHS.map(|length| bench.many(length))) {
        bench.say(format!("{length} events"));
        fill(&place, length).await?;
        if length > 1 {
            figures.push(parallel(bench, &place, length, None).await?);
            figures.push(parallel(bench, &place, length, Some(PAUSE)).await?);
        }
        // A command writes a snapshot where a load would read pages.
        place.process().execute::<Account>(&name(length), credit()?, Options::default()).await?;
        if length != short {
            figures.push(flat(bench, &place, length, short).await?);
        }
    }
    place.aws.shutdown().await;
    Ok(figures)
}

/// Loads with a snapshot, beside those of the short stream.
async fn flat(bench: &Bench, place: &Place, length: usize, short: usize) -> Result<Figure, Error> {
    let loads = bench.many(LOADS);
    let (ours, floor) = (Cell::new(Took::default()), Cell::new(Took::default()));
    let took = async |length: usize, last: &Cell<Took>| {
        let id = name(length);
        let work = async {
            for _ in 0..loads {
                place.process().load::<Account>(&id).await?;
            }
            Ok(())
        };
        last.set(place.took(loads, work).await?);
        Ok(last.get().milliseconds)
    };
    let pairs = rounds(bench, ROUNDS, |_| took(length, &ours), |_| took(short, &floor)).await?;
    let what = format!("loads of {length} events, a snapshot");
    let figure = Figure::rounds(Row::Growth, what, "ms", &pairs).ratio_goal(Bound::AtMost(1.2));
    Ok(ours.get().beside(figure, floor.get()))
}

/// Loads without a snapshot, beside reading the same objects one after another.
async fn parallel(
    bench: &Bench,
    place: &Place,
    length: usize,
    pause: Option<Duration>,
) -> Result<Figure, Error> {
    let (id, flight) = (name(length), Arc::new(Flight { pause, ..Flight::default() }));
    let last = Cell::new(Took::default());
    let ours = async |_| {
        place.aws.on_request(Watch(Arc::clone(&flight)));
        let work = async {
            place.process().load::<Account>(&id).await?;
            Ok(())
        };
        last.set(place.took(1, work).await?);
        Ok(last.get().milliseconds)
    };
    let one_by_one = Arc::new(Flight { pause, ..Flight::default() });
    let floor = async |_| {
        place.aws.on_request(Watch(Arc::clone(&one_by_one)));
        Ok(place.took(1, read(place, &id)).await?.milliseconds)
    };
    let pairs = rounds(bench, pause.map_or(FEW_ROUNDS, |_| SLOW_ROUNDS), ours, floor).await?;
    place.aws.pass_requests();
    let pause = pause.map(|pause| format!(", {} ms a GET", pause.as_millis())).unwrap_or_default();
    let figure = Figure::rounds(Row::Growth, format!("loads of {length} events{pause}"), "ms", &pairs);
    let Took { requests, down, .. } = last.get();
    let most = flight.most.load(Ordering::Relaxed) as f64;
    Ok(figure.beside("requests", requests, "").beside("down", down, "bytes").beside("GETs at once", most, ""))
}

/// Reads a stream's head and its pages, one after another.
async fn read(place: &Place, id: &str) -> Result<(), Error> {
    let store = place.process();
    let stream = StreamId::new("account", id)?;
    for page in head(&store, &stream).await?.pages {
        store.reader().object(&key::page(&stream, page.first), None).await?;
    }
    Ok(())
}

async fn head(store: &Store, stream: &StreamId) -> Result<Head, StoreError> {
    Ok(match store.reader().head(stream, None).await? {
        HeadRead::Found { head, .. } => *head,
        HeadRead::Missing | HeadRead::Unchanged => Head::new(stream.clone()),
    })
}

/// Appends so many events, and then some, until a page has just left the head.
async fn fill(place: &Place, length: usize) -> Result<(), Error> {
    let store = place.process();
    let stream = StreamId::new("account", &name(length))?;
    let event = |name, data: &str| {
        StoredEvent::new(name, 1, RawValue::from_string(data.to_owned())?).map_err(Error::from)
    };
    let append = async |event: StoredEvent| store.append(&stream, vec![event], Options::default()).await;
    append(event("Opened", r#"{"overdraft_limit":0}"#)?).await?;
    let credited = event("Credited", r#"{"amount":5}"#)?;
    let credits = (1..length).map(|_| append(credited.clone()));
    stream::iter(credits).buffer_unordered(IN_FLIGHT).try_for_each(|_| std::future::ready(Ok(()))).await?;
    let pages = head(&store, &stream).await?.pages.len();
    while pages > 0 && head(&store, &stream).await?.pages.len() == pages {
        append(credited.clone()).await?;
    }
    Ok(())
}

fn name(length: usize) -> String {
    format!("long-{length}")
}

/// GETs that are under way.
#[derive(Debug, Default)]
struct Flight {
    pause: Option<Duration>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// Watches them.
struct Watch(Arc<Flight>);

impl Hook for Watch {
    fn on_request(&self, request: &Request) -> Fault {
        if request.operation != "s3:GetObject" {
            return Fault::Pass;
        }
        let now = self.0.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(now, Ordering::Relaxed);
        self.0.pause.map_or(Fault::Pass, Fault::Delay)
    }

    fn on_answer(&self, request: &Request, _: u16) {
        if request.operation == "s3:GetObject" {
            self.0.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
