//! `project`: records to views, as the function `balance` takes them in, against the embedded AWS over HTTP.
//!
//! | | work | floor |
//! |---|---|---|
//! | 1 | the event's JSON is read | so too |
//! | 2 | the records are decoded, and grouped by their views | so too |
//! | 3 | every view is read | – |
//! | 4 | versions are judged, events decoded and applied | events decoded and applied |
//! | 5 | every view is written, if it is still the one that was read | as many bytes under as many keys, on the same conditions |
//!
//! Every round has streams of its own, so that the first batch makes the views and the others change them.

use std::{cell::Cell, collections::BTreeMap};

use aws_lambda_events::kinesis::KinesisEvent;
use bank::{Account, AccountEvent};
use consumers::balance::{Balances, Held};
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    Aggregate, Schemas,
    aws::Clients,
    consume::{Envelope, Projection, Projector},
    format::{key, record::Record, view::View},
};
use localstack::Counts;
use serde_json::json;
use tokio::time::Instant;

use super::{
    Bench, Error, Figure, Row,
    bare::{self, STORE, STREAM},
    batches::{Batch, Happened, Source, taken},
    figure::Bound,
    rounds::rounds,
};

/// Records of a round.
const RECORDS: usize = 10_000;
/// Their streams.
const STREAMS: usize = 100;
/// Rounds.
const ROUNDS: usize = 15;
/// Views that the handler writes at a time, and so the floor too.
const VIEWS_AT_A_TIME: usize = 16;

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let (aws, clients) = bare::local().await?;
    let projector = Projector::new(Balances, &clients.ports(STORE, STREAM));
    let (records, streams) = (bench.many(RECORDS), bench.many(STREAMS));
    let ours = bare::identity(&clients, STORE).await?;
    let source = |name: &str, round: usize| {
        Source::new(Account::KIND, &format!("{name}-{round}"), streams, credited).of(ours.clone())
    };
    let (asked, asked_bare) = (Cell::default(), Cell::default());

    let ours = async |name: &str, round: usize| {
        let mut source = source(name, round);
        let batches = source.batches(records)?;
        let (before, start) = (aws.counts(), Instant::now());
        for Batch { payload, .. } in &batches {
            let event: KinesisEvent = serde_json::from_slice(payload)?;
            taken(&projector.handle(event).await?)?;
        }
        let time = start.elapsed();
        asked.set(requests(&aws.counts().since(&before)));
        source.check(&clients, Balances::NAME).await?;
        Ok(records as f64 / time.as_secs_f64())
    };
    let bare = async |name: &str, reads: Reads, round: usize| {
        let mut source = source(name, round);
        let batches = source.batches(records)?;
        let (before, start) = (aws.counts(), Instant::now());
        project(&clients, &batches, reads).await?;
        let time = start.elapsed();
        asked_bare.set(requests(&aws.counts().since(&before)));
        source.check(&clients, Balances::NAME).await?;
        Ok(records as f64 / time.as_secs_f64())
    };
    let what = format!("{records} records of {streams} streams");
    let pairs = rounds(bench, ROUNDS, |round| ours("ours", round), |round| bare("bare", Reads::No, round));
    let figure = Figure::rounds(Row::Project, &what, "records/s", &pairs.await?)
        .ratio_goal(Bound::AtLeast(0.8))
        .beside("GETs", asked.get().0, "")
        .beside("PUTs", asked.get().1, "")
        .beside("the floor's PUTs", asked_bare.get().1, "");
    bench.say("the same, with a floor that reads");
    let pairs = rounds(bench, ROUNDS, |round| ours("more", round), |round| bare("read", Reads::Yes, round));
    let reading =
        Figure::rounds(Row::Project, format!("{what}, the floor reads"), "records/s", &pairs.await?).beside(
            "the floor's GETs",
            asked_bare.get().0,
            "",
        );
    aws.shutdown().await;
    Ok(vec![figure, reading])
}

/// Whether the floor reads the views that it writes: the second figure tells what the reads are in the first one's distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    No,
    Yes,
}

/// GETs and PUTs.
fn requests(counts: &Counts) -> (f64, f64) {
    let of = |operation| counts.of(operation).requests as f64;
    (of("s3:GetObject"), of("s3:PutObject"))
}

/// Every event is a credit.
fn credited(version: u64) -> Happened {
    ("Credited", json!({"amount": 100 + version % 7, "reference": "rent"}))
}

/// Decodes, folds and puts, and nothing else.
async fn project(clients: &Clients, batches: &[Batch], reads: Reads) -> Result<(), Error> {
    let mut views: BTreeMap<String, (View<Held>, Option<String>)> = BTreeMap::new();
    for Batch { payload, .. } in batches {
        let event: KinesisEvent = serde_json::from_slice(payload)?;
        for arrived in event.records {
            let record: Record = serde_json::from_slice(&arrived.kinesis.data)?;
            let empty = || (View::new(Held::default()), None);
            let (view, _) = views.entry(record.stream.id().to_owned()).or_insert_with(empty);
            fold(view, &record)?;
        }
        let puts = views.iter_mut().map(|(id, (view, etag))| async move {
            if reads == Reads::Yes {
                let get = clients.s3().get_object().bucket(STORE).key(key::view(Balances::NAME, id));
                // A view that does not stand yet is an answer too.
                if let Ok(found) = get.send().await {
                    View::<Held>::decode(&found.body.collect().await?.into_bytes())?;
                }
            }
            let put = clients.s3().put_object().bucket(STORE).key(key::view(Balances::NAME, id));
            let put = put.body(view.encode()?.into());
            let put = match etag.take() {
                Some(etag) => put.if_match(etag),
                None => put.if_none_match("*"),
            };
            *etag = put.send().await?.e_tag;
            Ok::<_, Error>(())
        });
        stream::iter(puts).buffer_unordered(VIEWS_AT_A_TIME).try_collect::<()>().await?;
    }
    Ok(())
}

fn fold(view: &mut View<Held>, Record { stream, commits, .. }: &Record) -> Result<(), Error> {
    for commit in commits {
        for (version, stored) in commit.versioned() {
            let event = Schemas::of::<Account>().decode::<AccountEvent>(stored)?;
            let (at, meta) = (commit.at, &commit.meta);
            let envelope = Envelope { stream, version, commit: &commit.id, at, meta, event };
            Balances.apply(&mut view.state, &envelope)?;
        }
        view.applied.insert(stream.clone(), commit.last);
    }
    Ok(())
}
