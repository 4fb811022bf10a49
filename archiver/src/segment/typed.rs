//! The events of a segment, typed: straight from the columns, and from those only that they need.
//!
//! Commit ids and meta are not read, and no commit is made: an event costs what its own data cost.

use headwater::{EventError, EventText, Schemas, StreamId, Version, port::Digits};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::{
    Column, Segment, SegmentError,
    pages::Budget,
    read::{Texts, guarded, natural, short, time},
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
            let columns = Columns::read(self)?;
            columns.check_order(self)?;
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

fn at<T: Copy>(column: &[T], row: usize) -> Result<T, SegmentError> {
    column.get(row).copied().ok_or_else(short)
}

/// The columns that an event is made of.
struct Columns {
    sequence: Texts,
    arrived_at: Vec<i64>,
    kind: Texts,
    id: Texts,
    version: Vec<i64>,
    index: Vec<i32>,
    name: Texts,
    schema: Vec<i32>,
    data: Texts,
    committed_at: Vec<i64>,
}

impl Columns {
    fn read(segment: &Segment) -> Result<Self, SegmentError> {
        let budget = Budget::new()?;
        Ok(Self {
            sequence: segment.texts(Column::Sequence, &budget)?,
            arrived_at: segment.longs(Column::ArrivedAt, &budget)?,
            kind: segment.texts(Column::Kind, &budget)?,
            id: segment.texts(Column::Id, &budget)?,
            version: segment.longs(Column::Version, &budget)?,
            index: segment.ints(Column::Index, &budget)?,
            name: segment.texts(Column::Type, &budget)?,
            schema: segment.ints(Column::Schema, &budget)?,
            data: segment.texts(Column::Data, &budget)?,
            committed_at: segment.longs(Column::CommittedAt, &budget)?,
        })
    }

    /// Checks that records are in order, the events of a commit too, and that there are as many commits as the footer says.
    fn check_order(&self, segment: &Segment) -> Result<(), SegmentError> {
        let footer = segment.footer();
        let (mut commits, mut newest) = (0_u64, footer.first.digits());
        for (row, index) in self.index.iter().copied().enumerate() {
            if index == 0 {
                let sequence = Digits::try_from(self.sequence.text(row)?).map_err(SegmentError::new)?;
                if sequence < newest || sequence > footer.last.digits() {
                    return Err(SegmentError::new(format_args!("record {sequence} is out of order")));
                }
                (newest, commits) = (sequence, commits.saturating_add(1));
                if at(&self.version, row)? == 0 {
                    return Err(SegmentError::new(format_args!("row {row} has version 0")));
                }
            } else if !self.goes_on(row, index)? {
                return Err(SegmentError::new(format_args!("row {row} is not of its commit")));
            }
        }
        if commits != footer.commits {
            return Err(SegmentError::new(format_args!(
                "{} commits, of which {commits} stand",
                footer.commits
            )));
        }
        Ok(())
    }

    /// Whether `row`, the event `index` of its commit, follows the row before.
    fn goes_on(&self, row: usize, index: i32) -> Result<bool, SegmentError> {
        let Some(before) = row.checked_sub(1) else { return Ok(false) };
        for column in [&self.sequence, &self.kind, &self.id] {
            if column.text(row)? != column.text(before)? {
                return Ok(false);
            }
        }
        for column in [&self.arrived_at, &self.committed_at] {
            if at(column, row)? != at(column, before)? {
                return Ok(false);
            }
        }
        let next = at(&self.version, before)?.checked_add(1);
        Ok(at(&self.index, before)?.checked_add(1) == Some(index) && next == Some(at(&self.version, row)?))
    }
}
