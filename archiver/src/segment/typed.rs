//! The events of a segment, typed: straight from the columns, and from those only that they need.
//!
//! Commit ids and meta are not read, and no commit is made: an event costs what its own data cost.

use headwater::{EventError, EventText, Schemas, StreamId, Version};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::{
    Segment, SegmentError,
    columns::{Columns, at},
    pages::Budget,
    read::{guarded, natural, short, time},
};

/// An event of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<E> {
    /// Its stream.
    pub stream: StreamId,
    /// Its version.
    pub version: Version,
    /// When its commit was decided, by the writer's clock.
    pub at: Timestamp,
    /// What happened; an error where its data do not fit, or are newer than what is known here.
    pub event: Result<E, EventError>,
}

impl Segment {
    /// The events for whose kind and arrival, in milliseconds since 1970, `wanted` is true, in the order of their arrival.
    pub fn events<E: DeserializeOwned>(
        &self,
        schemas: Schemas,
        wanted: impl Fn(&str, i64) -> bool,
    ) -> Result<Vec<Event<E>>, SegmentError> {
        guarded(|| {
            let columns = Columns::read(self, &Budget::new()?)?;
            columns.begins(self.footer())?;
            let mut streams = Streams::new(columns.version.len());
            let mut events = Vec::with_capacity(columns.version.len());
            for (row, version) in columns.version.iter().enumerate() {
                let kind = columns.kind.text(row)?;
                if !wanted(kind, at(&columns.arrived_at, row)?) {
                    continue;
                }
                let text = EventText {
                    name: columns.name.text(row)?,
                    schema: u32::try_from(at(&columns.schema, row)?).map_err(SegmentError::new)?,
                    data: columns.data.text(row)?,
                };
                events.push(Event {
                    stream: streams.stream(kind, columns.id.text(row)?)?,
                    version: natural(*version)?,
                    at: time(at(&columns.committed_at, row)?)?,
                    event: schemas.decode_text(text),
                });
            }
            Ok(events)
        })
    }
}

/// Names of streams, so that one that comes again is not made again. Each has one place: what chances to share it is made
/// anew each time, and nothing grows.
struct Streams(Vec<Option<StreamId>>);

impl Streams {
    /// For so many rows.
    fn new(rows: usize) -> Self {
        Self(vec![None; rows.clamp(1, 1 << 16).next_power_of_two()])
    }

    fn stream(&mut self, kind: &str, id: &str) -> Result<StreamId, SegmentError> {
        let spread = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, spread);
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let place = (hash ^ (hash >> 32)) as usize & (self.0.len() - 1);
        let known = self.0.get_mut(place).ok_or_else(short)?;
        if let Some(stream) = known.as_ref().filter(|known| known.kind() == kind && known.id() == id) {
            return Ok(stream.clone());
        }
        let stream = StreamId::new(kind, id).map_err(SegmentError::new)?;
        Ok(known.insert(stream).clone())
    }
}
