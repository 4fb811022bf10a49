//! Writing a segment: column by column, from the commits where they stand.
//!
//! A column's texts are gathered in one buffer and handed to Parquet as slices of it, so that a value costs a copy but no
//! allocation; what is the same for all events of a commit stands in it once. Dictionaries are kept for the columns that
//! repeat; `meta` has a dictionary of any size, because a commit of 1,000 events repeats its meta 1,000 times, and plain
//! pages of that would be a thousand times the record.

use std::{io::Write as _, ops::Range, sync::Arc};

use bytes::Bytes;
use headwater::format::commit::{Commit, in_milliseconds};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::ColumnPath,
};

use super::{Archived, COLUMNS, Column, Footer, MOST_ROWS, SegmentError, schema};

/// Texts that are handed to Parquet at a time: as many as it takes in one go, few enough to stay near the processor.
const AT_A_TIME: usize = 1_024;

/// Why a commit does not fit the columns: a number beyond theirs. `None` for every commit that a store wrote.
pub fn unstorable(commit: &Commit) -> Option<String> {
    if i64::try_from(commit.last.get()).is_err() {
        return Some(format!("version {} is beyond 63 bits", commit.last));
    }
    if i32::try_from(commit.events.len()).is_err() {
        return Some(format!("{} events are beyond 31 bits", commit.events.len()));
    }
    if in_milliseconds(commit.at).is_none() {
        return Some(format!("{} is beyond the milliseconds that can be read again", commit.at));
    }
    let schema =
        commit.events.iter().map(|event| event.schema).find(|schema| i32::try_from(*schema).is_err());
    schema.map(|schema| format!("schema number {schema} is beyond 31 bits"))
}

/// The bytes of the segment that `footer` describes; its counts are taken from `commits`.
///
/// The commits are in the order of their arrival, each within what the footer covers.
pub fn encode(footer: &Footer, commits: &[Archived]) -> Result<Bytes, SegmentError> {
    let rows: usize = commits.iter().map(|archived| archived.commit.events.len()).sum();
    if rows > MOST_ROWS {
        return Err(SegmentError::new(format_args!("{rows} rows are more than {MOST_ROWS}")));
    }
    if let Some(reason) = commits.iter().find_map(|archived| unstorable(&archived.commit)) {
        return Err(SegmentError::new(reason));
    }
    let footer = Footer { rows: rows as u64, commits: commits.len() as u64, ..footer.clone() };
    footer.check()?;
    let mut file = SerializedFileWriter::new(Vec::new(), schema()?, properties(&footer)?)?;
    if rows > 0 {
        let rows = Rows { shard: &footer.shard, commits, count: rows };
        let mut group = file.next_row_group()?;
        for (column, _) in COLUMNS {
            let mut writer = group
                .next_column()?
                .ok_or_else(|| SegmentError::new("the schema has fewer columns than its table"))?;
            rows.write(column, &mut writer)?;
            writer.close()?;
        }
        group.close()?;
    }
    Ok(file.into_inner()?.into())
}

impl From<parquet::errors::ParquetError> for SegmentError {
    fn from(cause: parquet::errors::ParquetError) -> Self {
        Self::new(cause)
    }
}

/// How the columns are stored, and what the footer says: with the schema all that Parquet needs beside the rows.
pub fn properties(footer: &Footer) -> Result<WriterPropertiesPtr, SegmentError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_write_page_header_statistics(false)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(footer.write()?));
    for (column, name) in COLUMNS {
        let path = ColumnPath::from(name);
        properties = match column {
            Column::Shard | Column::Kind | Column::Type | Column::Index | Column::Schema => {
                properties.set_column_dictionary_enabled(path, true)
            }
            Column::Meta => properties
                .set_column_dictionary_enabled(path.clone(), true)
                .set_column_dictionary_page_size_limit(path.clone(), usize::MAX)
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            Column::Version | Column::ArrivedAt | Column::CommittedAt => {
                properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            Column::Data | Column::CommitId | Column::Sequence => {
                properties.set_column_statistics_enabled(path, EnabledStatistics::None)
            }
            Column::Id => properties,
        };
    }
    Ok(Arc::new(properties.build()))
}

/// What is written: the rows of `commits`, `count` of them.
struct Rows<'a> {
    shard: &'a str,
    commits: &'a [Archived],
    count: usize,
}

impl Rows<'_> {
    fn write(&self, column: Column, writer: &mut SerializedColumnWriter<'_>) -> Result<(), SegmentError> {
        match column {
            Column::Shard => {
                let value = ByteArray::from(Bytes::copy_from_slice(self.shard.as_bytes()));
                let values = vec![value; self.count];
                writer.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            }
            Column::Sequence => self.repeated(writer, |row, text| text.push(row.sequence.as_str()))?,
            Column::Kind => self.repeated(writer, |row, text| text.push(row.stream.kind()))?,
            Column::Id => self.repeated(writer, |row, text| text.push(row.stream.id()))?,
            Column::CommitId => self.repeated(writer, |row, text| text.push(row.commit.id.as_str()))?,
            Column::Meta => self.repeated(writer, |row, text| text.push_json(&row.commit.meta))?,
            Column::Type => self.each(writer, |event| &event.name)?,
            Column::Data => self.each(writer, |event| event.data.get())?,
            Column::ArrivedAt => self.longs(writer, |row, _| row.arrived_at.as_millisecond())?,
            Column::CommittedAt => self.longs(writer, |row, _| row.commit.at.as_millisecond())?,
            Column::Version => self.longs(writer, |row, index| {
                row.commit.first.plus(index as u64).get().try_into().unwrap_or(i64::MAX)
            })?,
            Column::Index => self.ints(writer, |_, index| index.try_into().unwrap_or(i32::MAX))?,
            Column::Schema => self.ints(writer, |row, index| {
                row.commit.events.get(index).map_or(0, |event| event.schema.try_into().unwrap_or(i32::MAX))
            })?,
        }
        Ok(())
    }

    /// A text per commit, the same for all its events.
    fn repeated(
        &self,
        writer: &mut SerializedColumnWriter<'_>,
        push: impl Fn(&Archived, &mut Texts) -> Result<(), SegmentError>,
    ) -> Result<(), SegmentError> {
        let mut texts = Texts::with_capacity(self.count);
        for row in self.commits {
            push(row, &mut texts)?;
            texts.repeat(row.commit.events.len());
        }
        texts.write(writer)
    }

    /// A text per event.
    fn each(
        &self,
        writer: &mut SerializedColumnWriter<'_>,
        text: impl Fn(&headwater::StoredEvent) -> &str,
    ) -> Result<(), SegmentError> {
        let mut texts = Texts::with_capacity(self.count);
        for event in self.commits.iter().flat_map(|row| &row.commit.events) {
            texts.push(text(event))?;
        }
        texts.write(writer)
    }

    fn longs(
        &self,
        writer: &mut SerializedColumnWriter<'_>,
        value: impl Fn(&Archived, usize) -> i64,
    ) -> Result<(), SegmentError> {
        let values: Vec<i64> = self.values(value);
        writer.typed::<Int64Type>().write_batch(&values, None, None)?;
        Ok(())
    }

    fn ints(
        &self,
        writer: &mut SerializedColumnWriter<'_>,
        value: impl Fn(&Archived, usize) -> i32,
    ) -> Result<(), SegmentError> {
        let values: Vec<i32> = self.values(value);
        writer.typed::<Int32Type>().write_batch(&values, None, None)?;
        Ok(())
    }

    fn values<T>(&self, value: impl Fn(&Archived, usize) -> T) -> Vec<T> {
        let mut values = Vec::with_capacity(self.count);
        for row in self.commits {
            values.extend((0..row.commit.events.len()).map(|index| value(row, index)));
        }
        values
    }
}

/// One column's texts in one buffer.
struct Texts {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Texts {
    fn with_capacity(rows: usize) -> Self {
        Self { bytes: Vec::with_capacity(rows * 32), spans: Vec::with_capacity(rows) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside push_json")]
    fn push(&mut self, text: &str) -> Result<(), SegmentError> {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        self.spans.push(begin..self.bytes.len());
        Ok(())
    }

    fn push_json(&mut self, value: &impl serde::Serialize) -> Result<(), SegmentError> {
        let begin = self.bytes.len();
        serde_json::to_writer(&mut self.bytes, value).map_err(SegmentError::new)?;
        self.bytes.flush().map_err(SegmentError::new)?;
        self.spans.push(begin..self.bytes.len());
        Ok(())
    }

    /// The newest text stands in `rows` rows.
    fn repeat(&mut self, rows: usize) {
        if let Some(span) = self.spans.pop() {
            self.spans.extend(std::iter::repeat_n(span, rows));
        }
    }

    fn write(self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), SegmentError> {
        let bytes = Bytes::from(self.bytes);
        let mut values = Vec::with_capacity(self.spans.len().min(AT_A_TIME));
        for spans in self.spans.chunks(AT_A_TIME) {
            values.clear();
            values.extend(spans.iter().map(|span| ByteArray::from(bytes.slice(span.clone()))));
            writer.typed::<ByteArrayType>().write_batch(&values, None, None)?;
        }
        Ok(())
    }
}
