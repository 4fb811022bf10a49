//! Records to segments, on one core: the archiver's handler, from the event that the Lambda's runtime hands it to the object
//! that it puts; and the same from the event's text.
//!
//! The floor is the parquet crate that writes the same rows, which stand ready in columns, with the same properties: the
//! bytes that come out are the same, and this is checked.

use std::sync::Arc;

use archiver::{
    archive::{Archiver, Bounds},
    handler::handle,
    place::stream_prefix,
    segment::{self, Segment},
};
use aws_lambda_events::kinesis::KinesisEvent;
use bytes::Bytes;
use headwater::{
    memory::{MemoryObjects, World},
    port::Objects,
};
use localstack::PAYLOAD_LIMIT;

use super::{
    Bench, Error, Figure, Row,
    batches::{Batch, taken},
    columns,
    figure::Bound,
    one_core::timed,
    records::Records,
    rounds::rounds,
};
use crate::cluster;

/// The Kinesis stream's name.
pub(super) const STREAM: &str = cluster::STREAM;
/// Batches of a round.
const BATCHES: usize = 8;
/// Columns of a segment.
const COLUMNS: usize = 13;

/// Batches, and the segments that they become.
pub(super) struct Material {
    texts: Vec<Vec<u8>>,
    events: Vec<KinesisEvent>,
    /// In the order of the chain.
    pub(super) segments: Vec<Bytes>,
    /// The same under their keys.
    pub(super) objects: Vec<(String, Bytes)>,
    records: usize,
    mean_bytes: f64,
}

impl Material {
    /// Draws batches and archives them.
    pub(super) async fn new(bench: &Bench) -> Result<Arc<Self>, Error> {
        bench.say("drawing records");
        let mut drawn = Records::new(3);
        let batches = if bench.brief { 2 } else { BATCHES };
        let most = bench.many(PAYLOAD_LIMIT);
        let texts = (0..batches).map(|_| {
            let Batch { payload, .. } = drawn.batch(most)?;
            Ok(payload)
        });
        let texts = texts.collect::<Result<Vec<_>, Error>>()?;
        let events = texts
            .iter()
            .map(|text| serde_json::from_slice(text))
            .collect::<Result<Vec<KinesisEvent>, _>>()?;
        let records = events.iter().map(|event| event.records.len()).sum();
        let (archiver, bucket) = archiver();
        for event in events.clone() {
            take(&archiver, event).await?;
        }
        let objects = bucket.all(&stream_prefix(STREAM));
        let segments = objects.iter().map(|(_, body)| body.clone()).collect();
        Ok(Arc::new(Self { texts, events, segments, objects, records, mean_bytes: drawn.mean_bytes() }))
    }

    fn check(&self, written: &[Bytes]) -> Result<(), Error> {
        if self.segments == written { Ok(()) } else { Err("the segments are not the same".into()) }
    }
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let material = Material::new(bench).await?;
    let (records, segments) = (material.records as f64, material.segments.len() as f64);
    let bytes = material.segments.iter().map(Bytes::len).sum::<usize>();
    let mut figures = Vec::new();
    for from in [From::Event, From::Text] {
        bench.say(from.name());
        let ours = async |_| Ok(records / ours(Arc::clone(&material), from).await?);
        let floor = async |_| Ok(records / floor(Arc::clone(&material)).await?);
        let figure =
            Figure::rounds(Row::Archive, from.name(), "records/s", &rounds(bench, 15, ours, floor).await?);
        figures.push(match from {
            From::Event => figure.ratio_goal(Bound::AtLeast(0.6)).goal(Bound::AtLeast(100_000.0)),
            From::Text => figure,
        });
    }
    let stored = bytes as f64 / records;
    let beside = |figure: Figure| {
        let figure = figure.beside("records of", material.mean_bytes, "bytes");
        figure.beside("a segment of", records / segments, "records").beside("stored in", stored, "bytes each")
    };
    Ok(figures.into_iter().map(beside).collect())
}

/// Where the clock starts.
#[derive(Debug, Clone, Copy)]
enum From {
    /// With the event, its records as they are in Kinesis.
    Event,
    /// With its text, the records in base64.
    Text,
}

impl From {
    fn name(self) -> &'static str {
        match self {
            Self::Event => "from the event",
            Self::Text => "from the event's text",
        }
    }
}

fn archiver() -> (Archiver, Arc<MemoryObjects>) {
    let world = World::new(1);
    let archive: Arc<dyn Objects> = world.objects.clone();
    (Archiver::new(world.ports(), archive, STREAM, Bounds::default()), world.objects)
}

async fn take(archiver: &Archiver, event: KinesisEvent) -> Result<(), Error> {
    taken(&handle(archiver, event).await?)
}

/// Seconds that the archiver takes for all batches, cold with the first of them.
async fn ours(material: Arc<Material>, from: From) -> Result<f64, Error> {
    let (given, expected) = (Arc::clone(&material), material);
    let prepare = move || {
        let (archiver, bucket) = archiver();
        let events = match from {
            From::Event => given.events.clone(),
            From::Text => Vec::new(),
        };
        Ok((archiver, bucket, events, given))
    };
    let work =
        async move |(archiver, bucket, events, given): (_, Arc<MemoryObjects>, Vec<_>, Arc<Material>)| {
            match from {
                From::Event => {
                    for event in events {
                        take(&archiver, event).await?;
                    }
                }
                From::Text => {
                    for text in &given.texts {
                        take(&archiver, serde_json::from_slice(text)?).await?;
                    }
                }
            }
            Ok(bucket)
        };
    let check = move |bucket: Arc<MemoryObjects>| {
        let written: Vec<Bytes> =
            bucket.all(&stream_prefix(STREAM)).into_iter().map(|(_, body)| body).collect();
        expected.check(&written)
    };
    timed(prepare, work, check).await
}

/// Seconds that the parquet crate takes for the same segments.
async fn floor(material: Arc<Material>) -> Result<f64, Error> {
    let (given, expected) = (Arc::clone(&material), material);
    let prepare = move || {
        let prepared = given.segments.iter().map(|body| {
            let properties = segment::properties(Segment::open(body.clone())?.footer())?;
            Ok((properties, columns::read(body.clone(), 0..COLUMNS)?))
        });
        Ok((segment::schema()?, prepared.collect::<Result<Vec<_>, Error>>()?))
    };
    let work = async |(schema, prepared): (_, Vec<(_, Vec<columns::Column>)>)| {
        let write = |(properties, rows): &(_, Vec<columns::Column>)| {
            columns::write(Arc::clone(&schema), Arc::clone(properties), rows)
        };
        prepared.iter().map(write).collect::<Result<Vec<_>, _>>()
    };
    timed(prepare, work, move |written: Vec<Bytes>| expected.check(&written)).await
}
