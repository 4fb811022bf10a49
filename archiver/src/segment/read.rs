//! Reading a segment: its footer alone, its spans, or its commits.
//!
//! Parquet's decoder is made for files that somebody meant well, and panics on some that nobody did. Everything here that
//! calls it goes through [`guarded`], which makes such a panic the [`SegmentError`] that it should have been.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use headwater::{
    CommitId, StoredEvent, StreamId, Version,
    format::commit::{Commit, Meta},
    port::Sequence,
};
use jiff::Timestamp;
use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use serde_json::value::RawValue;

use super::{
    Archived, Column, Footer, MOST_ROWS, SegmentError,
    columns::{Columns, at},
    pages::{self, Budget},
    schema,
};

/// Largest footer that a reader takes, in bytes: what it becomes in memory is many times as large.
const FOOTER_BYTES: u32 = 4 << 20;

/// A segment whose footer was read; its columns are decoded when they are asked for.
pub struct Segment {
    bytes: Arc<Bytes>,
    metadata: Arc<ParquetMetaData>,
    footer: Footer,
}

/// Which versions of which stream one commit covers: what is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The stream.
    pub stream: StreamId,
    /// The commit's first version.
    pub first: Version,
    /// The commit's last version.
    pub last: Version,
    /// When its record arrived.
    pub arrived_at: Timestamp,
}

impl Segment {
    /// Reads the footer of a segment's bytes.
    pub fn open(bytes: Bytes) -> Result<Self, SegmentError> {
        guarded(move || {
            if footer_bytes(&bytes).is_none_or(|length| length > FOOTER_BYTES) {
                return Err(SegmentError::new(format_args!("its footer has more than {FOOTER_BYTES} bytes")));
            }
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes)?;
            let file = metadata.file_metadata();
            let footer = Footer::read(file.key_value_metadata().map_or(&[], Vec::as_slice))?;
            if file.schema() != schema()?.as_ref() {
                return Err(SegmentError::new("its columns are not a segment's"));
            }
            // Each group by itself: numbers that cancel out must not pass for a sum.
            let mut rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
            let counted = rows.try_fold(0_u64, |sum, rows| sum.checked_add(rows?));
            if counted != Some(footer.rows) || footer.rows > MOST_ROWS as u64 {
                return Err(SegmentError::new(format_args!(
                    "{} rows, of which {counted:?} stand",
                    footer.rows
                )));
            }
            Ok(Self { bytes: Arc::new(bytes), metadata: Arc::new(metadata), footer })
        })
    }

    /// What the segment says of itself.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// All commits, in the order of their arrival.
    pub fn commits(&self) -> Result<Vec<Archived>, SegmentError> {
        self.select(|_| true)
    }

    /// The commits of the streams whose kind is `wanted`, in the order of their arrival.
    pub fn select(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Archived>, SegmentError> {
        guarded(|| {
            let columns = Commits::read(self)?;
            let begins = columns.events.begins(&self.footer)?;
            let mut commits = Vec::with_capacity(begins.len());
            let ends = begins.iter().skip(1).copied().chain([columns.events.index.len()]);
            for (begin, end) in begins.iter().copied().zip(ends) {
                if wanted(columns.events.kind.text(begin)?) {
                    commits.push(columns.commit(begin, end)?);
                }
            }
            Ok(commits)
        })
    }

    /// Which versions the commits cover: a few columns only.
    pub fn spans(&self) -> Result<Vec<Span>, SegmentError> {
        guarded(|| {
            let budget = Budget::new()?;
            let (kind, id) = (self.texts(Column::Kind, &budget)?, self.texts(Column::Id, &budget)?);
            let (index, version) =
                (self.ints(Column::Index, &budget)?, self.longs(Column::Version, &budget)?);
            let arrived_at = self.longs(Column::ArrivedAt, &budget)?;
            let mut spans: Vec<Span> = Vec::new();
            for (row, (index, version)) in index.iter().zip(&version).enumerate() {
                let version = natural(*version)?;
                match spans.last_mut() {
                    Some(span) if *index > 0 => span.last = version,
                    _ => spans.push(Span {
                        stream: StreamId::new(kind.text(row)?, id.text(row)?).map_err(SegmentError::new)?,
                        first: version,
                        last: version,
                        arrived_at: time(*arrived_at.get(row).ok_or_else(short)?)?,
                    }),
                }
            }
            Ok(spans)
        })
    }

    pub(super) fn texts(&self, column: Column, budget: &Budget) -> Result<Texts, SegmentError> {
        let read = |reader, rows| match reader {
            ColumnReader::ByteArrayColumnReader(reader) => values(reader, rows),
            _ => Err(SegmentError::new(format_args!("column {column:?} is no text"))),
        };
        self.column(column, budget, read).map(Texts)
    }

    pub(super) fn longs(&self, column: Column, budget: &Budget) -> Result<Vec<i64>, SegmentError> {
        self.column(column, budget, |reader, rows| match reader {
            ColumnReader::Int64ColumnReader(reader) => values(reader, rows),
            _ => Err(SegmentError::new(format_args!("column {column:?} has no 64 bits"))),
        })
    }

    pub(super) fn ints(&self, column: Column, budget: &Budget) -> Result<Vec<i32>, SegmentError> {
        self.column(column, budget, |reader, rows| match reader {
            ColumnReader::Int32ColumnReader(reader) => values(reader, rows),
            _ => Err(SegmentError::new(format_args!("column {column:?} has no 32 bits"))),
        })
    }

    /// One column through all row groups.
    fn column<T>(
        &self,
        column: Column,
        budget: &Budget,
        read: impl Fn(ColumnReader, usize) -> Result<Vec<T>, SegmentError>,
    ) -> Result<Vec<T>, SegmentError> {
        let mut all = Vec::new();
        for group in self.metadata.row_groups() {
            let rows = usize::try_from(group.num_rows()).map_err(SegmentError::new)?;
            let chunk = group.columns().get(column as usize).ok_or_else(short)?;
            let values = read(pages::column(&self.bytes, chunk, rows, budget)?, rows)?;
            if all.is_empty() {
                all = values;
            } else {
                all.extend(values);
            }
        }
        if all.len() as u64 != self.footer.rows {
            return Err(short());
        }
        Ok(all)
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("footer", &self.footer).finish_non_exhaustive()
    }
}

/// Makes a panic of the decoder an error.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, SegmentError>) -> Result<T, SegmentError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(SegmentError::new("it breaks the decoder")))
}

/// The length of the footer, as the file's last bytes say it.
fn footer_bytes(file: &[u8]) -> Option<u32> {
    let (length, _magic) = file.last_chunk::<8>()?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*length))
}

pub(super) fn short() -> SegmentError {
    SegmentError::new("a column has fewer rows than the footer says, or more")
}

/// All values of a column that has none missing.
fn values<T: DataType>(mut reader: ColumnReaderImpl<T>, rows: usize) -> Result<Vec<T::T>, SegmentError> {
    /// At a time, so that a file that lies about its rows costs no memory for them.
    const ROWS: usize = 1 << 16;
    let mut values = Vec::with_capacity(rows.min(ROWS));
    loop {
        let (records, _, _) = reader.read_records(ROWS, None, None, &mut values)?;
        if records == 0 {
            return Ok(values);
        }
        if values.len() > rows {
            return Err(short());
        }
    }
}

pub(super) fn natural(version: i64) -> Result<Version, SegmentError> {
    u64::try_from(version).map(Version::new).map_err(SegmentError::new)
}

pub(super) fn time(millis: i64) -> Result<Timestamp, SegmentError> {
    Timestamp::from_millisecond(millis).map_err(SegmentError::new)
}

/// A column of texts.
pub(super) struct Texts(pub(super) Vec<ByteArray>);

impl Texts {
    pub(super) fn text(&self, row: usize) -> Result<&str, SegmentError> {
        Ok(self.0.get(row).ok_or_else(short)?.as_utf8()?)
    }
}

/// All columns that a commit is made of.
struct Commits {
    events: Columns,
    commit_id: Texts,
    meta: Texts,
}

impl Commits {
    fn read(segment: &Segment) -> Result<Self, SegmentError> {
        let budget = Budget::new()?;
        Ok(Self {
            events: Columns::read(segment, &budget)?,
            commit_id: segment.texts(Column::CommitId, &budget)?,
            meta: segment.texts(Column::Meta, &budget)?,
        })
    }

    /// The commit of the rows `begin..end`, which agree on everything but the event.
    fn commit(&self, begin: usize, end: usize) -> Result<Archived, SegmentError> {
        let rows = &self.events;
        let mut events = Vec::with_capacity(end.saturating_sub(begin));
        for row in begin..end {
            for column in [&self.commit_id, &self.meta] {
                if column.0.get(row) != column.0.get(begin) {
                    return Err(SegmentError::new(format_args!("row {row} is not of its commit")));
                }
            }
            let schema = u32::try_from(at(&rows.schema, row)?).map_err(SegmentError::new)?;
            let data = RawValue::from_string(rows.data.text(row)?.to_owned()).map_err(SegmentError::new)?;
            events.push(StoredEvent { name: rows.name.text(row)?.to_owned(), schema, data });
        }
        let first = natural(at(&rows.version, begin)?)?;
        let id: CommitId = self.commit_id.text(begin)?.parse().map_err(SegmentError::new)?;
        let meta: Meta = serde_json::from_str(self.meta.text(begin)?).map_err(SegmentError::new)?;
        Ok(Archived {
            sequence: Sequence::try_from(rows.sequence.text(begin)?.to_owned()).map_err(SegmentError::new)?,
            arrived_at: time(at(&rows.arrived_at, begin)?)?,
            stream: StreamId::new(rows.kind.text(begin)?, rows.id.text(begin)?).map_err(SegmentError::new)?,
            commit: Arc::new(Commit {
                id,
                first,
                last: first.plus((events.len() as u64).saturating_sub(1)),
                at: time(at(&rows.committed_at, begin)?)?,
                events,
                meta,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{encode, tests as golden};

    #[test]
    fn events_of_a_commit_share_its_id_and_meta() {
        let bytes = encode(&golden::footer(5), &golden::golden_commits()).expect("encodes");
        let segment = Segment::open(bytes).expect("opens");
        let read = || Commits::read(&segment).expect("reads");
        let row = read().events.index.iter().position(|index| *index == 1).expect("a commit of two events");
        let commit = |columns: &Commits| columns.commit(row - 1, row + 1);
        commit(&read()).expect("as it was written");
        let mut columns = read();
        columns.commit_id.0[row] = "other".into();
        commit(&columns).expect_err("another commit's id");
        let mut columns = read();
        columns.meta.0[row] = r#"{"other":1}"#.into();
        commit(&columns).expect_err("another commit's meta");
    }
}
