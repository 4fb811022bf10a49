//! What goes on behind: the archive, and the relay.

use std::{sync::Arc, time::Duration};

use archiver::{
    archive::{Archiver, Bounds},
    relay::{Relay, Settings},
};
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    StoredEvent, StreamId, Version,
    format::{
        commit::{Commit, Meta},
        head::Head,
        identity::Identity,
        key,
        record::Record,
    },
    port::{Arrival, Keys, Precondition, Sequence},
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::{
    super::{Error, bare::verified},
    item::Item,
    world::{SHARD, STREAM, World, names, open},
};

/// Records of a batch, the most that Lambda hands out.
const RECORDS: usize = 10_000;
/// Streams that they are of.
const STREAMS: usize = 1_000;
/// Heads that an idle relay looks at.
const HEADS: usize = 1_000;
/// Heads that have changed.
const CHANGED: usize = 10;
/// When records arrived, and nothing else had been done.
const ARRIVED: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// How long it may take until heads are old enough.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn count() -> Result<Vec<Item>, Error> {
    let mut items = archive().await?;
    items.extend(relay().await?);
    Ok(items)
}

async fn archive() -> Result<Vec<Item>, Error> {
    let world = World::new().await?;
    world.settle().await?;
    let archiver =
        || Archiver::new(world.ports.clone(), Arc::clone(&world.archive), STREAM, Bounds::default());
    let warm = archiver();
    let ours = world.ports.identity.known();
    warm.archive(SHARD, &[arrival(0, ours)?]).await?;
    let batch = (1..=RECORDS).map(|number| arrival(number, ours)).collect::<Result<Vec<_>, Error>>()?;
    let work = async {
        warm.archive(SHARD, &batch).await?;
        Ok(())
    };
    let warm = world.count("commits archived, 10,000 in a segment", RECORDS, work).await?.reading(&batch);
    // The batch comes again: all that is left is to find out that it stands.
    let cold = async {
        archiver().archive(SHARD, &batch).await?;
        Ok(())
    };
    let cold = world.count("starts of an archiver, two segments back", 1, cold).await?;
    Ok(vec![warm, cold])
}

/// The record of that number: the next commit of one of the streams.
fn arrival(number: usize, ours: Option<&Identity>) -> Result<Arrival, Error> {
    let stream = StreamId::new("account", &format!("a-{:04}", number % STREAMS))?;
    let version = Version::new((number / STREAMS + 1) as u64);
    let event = StoredEvent::new("Credited", 1, RawValue::from_string(format!(r#"{{"amount":{number}}}"#))?)?;
    let commit = Commit {
        id: format!("{:032x}", fastrand::Rng::with_seed(number as u64).u128(..)).parse()?,
        first: version,
        last: version,
        at: ARRIVED,
        events: vec![event],
        meta: Meta::new(),
    };
    Ok(Arrival {
        shard: SHARD.to_owned(),
        sequence: Sequence::try_from(format!("4965{number:052}"))?,
        at: ARRIVED,
        key: stream.to_string(),
        data: Record::new(stream, vec![Arc::new(commit)]).of(ours).encode()?,
    })
}

async fn relay() -> Result<Vec<Item>, Error> {
    let idle = World::new().await?;
    let heads = stream::iter(names("a", HEADS)).map(|id| stand(&idle, id));
    heads.buffer_unordered(32).try_collect::<()>().await?;
    passed_long_ago(&idle).await?;
    // To this one all heads are too young.
    let young = pass(&idle, Duration::from_hours(1), HEADS, 0);
    let idle = idle.count("passes of the relay over a thousand heads, idle", 1, young).await?;
    let busy = World::new().await?;
    open(&busy.process(), &names("a", CHANGED)).await?;
    passed_long_ago(&busy).await?;
    until_older(&busy).await?;
    let new = pass(&busy, Duration::ZERO, CHANGED, CHANGED);
    let busy = busy.count("passes of the relay over 10 heads, all of them new", 1, new).await?;
    Ok(vec![idle, busy])
}

/// A head that nobody looks into.
async fn stand(world: &World, id: String) -> Result<(), Error> {
    let stream = StreamId::new("account", &id)?;
    let body = Head::new(stream.clone()).encode()?;
    world.ports.objects.put(&key::head(&stream), body, Precondition::Absent).await?;
    Ok(())
}

/// The relay has passed, before any of the heads was written.
async fn passed_long_ago(world: &World) -> Result<(), Error> {
    verified(&*world.ports.objects, ARRIVED).await
}

/// A pass in which so many heads stand, and so many are looked into.
async fn pass(world: &World, age: Duration, heads: usize, changed: usize) -> Result<(), Error> {
    let settings = Settings { age, ..Settings::default() };
    let relay = Relay::new(world.ports.clone(), Arc::clone(&world.archive), STREAM, settings);
    let report = relay.pass().await;
    let found = (report.heads, report.candidates, report.present, &report.stayed);
    if found == (heads as u64, changed as u64, changed as u64, &None) {
        Ok(())
    } else {
        Err(format!("the relay did something else: {report:?}").into())
    }
}

/// Waits until S3's time is behind every head's.
async fn until_older(world: &World) -> Result<(), Error> {
    let heads = world.ports.objects.list_all(&Keys::under(key::HEADS)).await?;
    let newest = heads.into_iter().map(|head| head.modified).max();
    let deadline = Instant::now() + PATIENCE;
    while Some(world.ports.objects.now().await?) <= newest {
        if Instant::now() > deadline {
            return Err("S3's clock stands still".into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
