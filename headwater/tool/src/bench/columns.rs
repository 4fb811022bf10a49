//! Segments by the parquet crate alone: what the archive's own writer and reader are compared with.

use bytes::Bytes;
use parquet::{
    column::reader::ColumnReader,
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    file::{
        properties::WriterPropertiesPtr,
        reader::{FileReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::types::TypePtr,
};

use super::Error;

/// A column, as the crate takes and gives it.
pub(super) enum Column {
    Texts(Vec<ByteArray>),
    Longs(Vec<i64>),
    Ints(Vec<i32>),
}

/// Reads the columns of a segment at these places.
pub(super) fn read(segment: Bytes, places: impl IntoIterator<Item = usize>) -> Result<Vec<Column>, Error> {
    let file = SerializedFileReader::new(segment)?;
    let group = file.get_row_group(0)?;
    let count = usize::try_from(group.metadata().num_rows())?;
    let mut columns = Vec::new();
    for place in places {
        columns.push(match group.get_column_reader(place)? {
            ColumnReader::ByteArrayColumnReader(mut reader) => {
                let mut values = Vec::with_capacity(count);
                reader.read_records(count, None, None, &mut values)?;
                Column::Texts(values)
            }
            ColumnReader::Int64ColumnReader(mut reader) => {
                let mut values = Vec::with_capacity(count);
                reader.read_records(count, None, None, &mut values)?;
                Column::Longs(values)
            }
            ColumnReader::Int32ColumnReader(mut reader) => {
                let mut values = Vec::with_capacity(count);
                reader.read_records(count, None, None, &mut values)?;
                Column::Ints(values)
            }
            _ => return Err("a segment has texts and whole numbers".into()),
        });
    }
    Ok(columns)
}

/// Writes all columns of a segment.
pub(super) fn write(
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    columns: &[Column],
) -> Result<Bytes, Error> {
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
    let mut group = file.next_row_group()?;
    for column in columns {
        let mut writer = group.next_column()?.ok_or("a segment has more columns")?;
        match column {
            Column::Texts(values) => writer.typed::<ByteArrayType>().write_batch(values, None, None)?,
            Column::Longs(values) => writer.typed::<Int64Type>().write_batch(values, None, None)?,
            Column::Ints(values) => writer.typed::<Int32Type>().write_batch(values, None, None)?,
        };
        writer.close()?;
    }
    group.close()?;
    Ok(file.into_inner()?.into())
}
