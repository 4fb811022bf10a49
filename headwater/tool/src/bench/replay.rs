//! Segments to typed events, on one core: a replay of the archive, each event decoded by its schemas; and the same by way of
//! whole commits, as a rebuild of views takes them.
//!
//! The floor is the parquet crate that reads the same columns of the same segments, and `serde_json` that reads the same enum
//! from their texts: no order checked, no name and no commit made.

use std::{iter::once, pin::pin, sync::Arc};

use archiver::replay::Replay;
use bank::{Account, AccountEvent};
use bytes::Bytes;
use futures::TryStreamExt;
use headwater::{memory::World, port::Objects, schema::Schemas};
use serde::{
    Deserialize, Deserializer,
    de::{
        IntoDeserializer, Visitor,
        value::{MapAccessDeserializer, MapDeserializer},
    },
};

use super::{
    Bench, Error, Figure, Row,
    archive::{Material, STREAM},
    columns::{self, Column},
    figure::Bound,
    one_core::timed,
    rounds::rounds,
};

/// Where type and data stand in a segment.
const TYPE: usize = 8;
const DATA: usize = 10;

/// What is handed out.
#[derive(Debug, Clone, Copy)]
enum By {
    Events,
    Commits,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Commits => "events, by commits",
        }
    }

    /// The columns that it is made of: all but the shard, and for events neither the commit's id nor its meta.
    fn columns(self) -> &'static [usize] {
        match self {
            Self::Events => &[1, 2, 3, 4, 5, 7, 8, 9, 10, 12],
            Self::Commits => &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        }
    }
}

/// What was read: enough to tell that both did the same.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    events: u64,
    moved: i64,
}

impl Sum {
    fn add(&mut self, event: &AccountEvent) {
        self.events += 1;
        self.moved += match event {
            AccountEvent::Credited { amount, .. } => amount.get(),
            AccountEvent::Withdrawn { amount, .. } => -amount.get(),
            AccountEvent::Opened { .. } | AccountEvent::Declined { .. } | AccountEvent::Closed => 0,
        };
    }
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let material = Material::new(bench).await?;
    let sum = Arc::new(bare_events(&material.segments, By::Events)?);
    let (events, segments) = (sum.events as f64, material.segments.len() as f64);
    let mut figures = Vec::new();
    for by in [By::Events, By::Commits] {
        bench.say(by.name());
        let ours = async |_| Ok(events / ours(Arc::clone(&material), by, Arc::clone(&sum)).await?);
        let floor = async |_| Ok(events / floor(Arc::clone(&material), by, Arc::clone(&sum)).await?);
        let pairs = rounds(bench, 25, ours, floor).await?;
        let figure = Figure::rounds(Row::Replay, by.name(), "events/s", &pairs);
        let figure = figure.beside("a segment of", events / segments, "events");
        figures.push(match by {
            By::Events => figure.ratio_goal(Bound::AtLeast(0.8)).goal(Bound::AtLeast(500_000.0)),
            By::Commits => figure,
        });
    }
    Ok(figures)
}

/// Seconds that a replay of all segments takes.
async fn ours(material: Arc<Material>, by: By, expected: Arc<Sum>) -> Result<f64, Error> {
    let prepare = move || {
        let world = World::new(1);
        for (key, body) in &material.objects {
            world.objects.insert(key, body.clone());
        }
        let archive: Arc<dyn Objects> = world.objects.clone();
        Ok(Replay::new(archive, world.entropy, STREAM))
    };
    let work = async move |replay: Replay| {
        let (mut sum, schemas) = (Sum::default(), Schemas::of::<Account>());
        match by {
            By::Events => {
                let mut events = pin!(replay.events(schemas));
                while let Some(event) = events.try_next().await? {
                    sum.add(&event.event?);
                }
            }
            By::Commits => {
                let mut commits = pin!(replay.commits());
                while let Some(replayed) = commits.try_next().await? {
                    for event in &replayed.archived.commit.events {
                        sum.add(&schemas.decode(event)?);
                    }
                }
            }
        }
        Ok(sum)
    };
    timed(prepare, work, move |sum| same(&sum, &expected)).await
}

/// Seconds that the bare crates take.
async fn floor(material: Arc<Material>, by: By, expected: Arc<Sum>) -> Result<f64, Error> {
    let work = async move |material: Arc<Material>| bare_events(&material.segments, by);
    timed(move || Ok(material), work, move |sum| same(&sum, &expected)).await
}

fn same(sum: &Sum, expected: &Sum) -> Result<(), Error> {
    if sum == expected { Ok(()) } else { Err("the events are not the same".into()) }
}

fn bare_events(segments: &[Bytes], by: By) -> Result<Sum, Error> {
    let place =
        |column| by.columns().iter().position(|place| *place == column).ok_or("a column that is read");
    let (name, data) = (place(TYPE)?, place(DATA)?);
    let mut sum = Sum::default();
    for segment in segments {
        let columns = columns::read(segment.clone(), by.columns().iter().copied())?;
        let (Some(Column::Texts(names)), Some(Column::Texts(data))) = (columns.get(name), columns.get(data))
        else {
            return Err("types and data are texts".into());
        };
        for (name, data) in names.iter().zip(data) {
            let variant = MapDeserializer::new(once((name.as_utf8()?, Json(data.data()))));
            sum.add(&AccountEvent::deserialize(MapAccessDeserializer::new(variant))?);
        }
    }
    Ok(sum)
}

/// A text that is read when a type asks for it.
struct Json<'de>(&'de [u8]);

impl<'de> IntoDeserializer<'de, serde_json::Error> for Json<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        serde_json::Deserializer::from_slice(self.0).deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
