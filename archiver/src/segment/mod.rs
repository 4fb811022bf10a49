//! A segment: one immutable batch of the archive, a Parquet file with a row per event.
//!
//! | column | type | |
//! |---|---|---|
//! | `shard`, `sequence` | string | where the record arrived |
//! | `arrived_at` | timestamp (ms, UTC) | when |
//! | `kind`, `id` | string | the stream |
//! | `version` | int64 | the event's |
//! | `commit_id` | string | |
//! | `index` | int32 | the event's place in its commit, from 0 |
//! | `type` | string | |
//! | `schema` | int32 | the number of the data's schema: without it a replay could not give back the same commit |
//! | `data`, `meta` | string | JSON text. Not annotated as JSON, which some readers take for bytes |
//! | `committed_at` | timestamp (ms, UTC) | the commit's time, by its writer's clock |
//!
//! Nothing is null. Rows are in the order of arrival, the rows of one commit stand together, and the footer
//! ([`Footer`]) says what the segment covers, which can be more than it has rows for.
//!
//! A segment is read like any stored object: a format number first, and what does not add up is a [`SegmentError`],
//! never a panic, whatever the bytes.

mod columns;
mod footer;
mod pages;
mod read;
mod typed;
mod write;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use headwater::{StreamId, format::commit::Commit, port::Sequence};
use jiff::Timestamp;
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::{Type, TypePtr},
};

pub use self::{
    footer::{Footer, Previous},
    read::{Segment, Span},
    typed::Event,
    write::{encode, properties, unstorable},
};

/// The number of the format that this module writes, and the only one that it reads.
pub const FORMAT: u32 = 1;
/// Most rows of a segment that a reader takes: what has more was not written by this library.
///
/// 32 MiB of records, the most that an archiver puts into one, have half as many: an event has 32 bytes at least.
pub const MOST_ROWS: usize = 1 << 21;
/// Most bytes of a segment's columns, decompressed, that a reader takes.
///
/// 32 MiB of records become 450 MiB at most, where each event repeats the longest names.
pub const MOST_BYTES: usize = 1 << 30;

/// A commit, and where it arrived in its shard.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived {
    /// The record that brought it.
    pub sequence: Sequence,
    /// When Kinesis took that record, in milliseconds.
    pub arrived_at: Timestamp,
    /// Its stream.
    pub stream: StreamId,
    /// The commit.
    pub commit: Arc<Commit>,
}

/// A segment that cannot be written, or bytes that are no segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a segment: {reason}")]
pub struct SegmentError {
    /// What does not add up.
    pub reason: String,
}

impl SegmentError {
    #[expect(clippy::needless_pass_by_value, reason = "it stands where errors are mapped")]
    fn new(reason: impl ToString) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// The columns, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Shard,
    Sequence,
    ArrivedAt,
    Kind,
    Id,
    Version,
    CommitId,
    Index,
    Type,
    Schema,
    Data,
    Meta,
    CommittedAt,
}

const COLUMNS: [(Column, &str); 13] = [
    (Column::Shard, "shard"),
    (Column::Sequence, "sequence"),
    (Column::ArrivedAt, "arrived_at"),
    (Column::Kind, "kind"),
    (Column::Id, "id"),
    (Column::Version, "version"),
    (Column::CommitId, "commit_id"),
    (Column::Index, "index"),
    (Column::Type, "type"),
    (Column::Schema, "schema"),
    (Column::Data, "data"),
    (Column::Meta, "meta"),
    (Column::CommittedAt, "committed_at"),
];

/// The schema of every segment; an error only if the table of columns is wrong.
pub fn schema() -> Result<TypePtr, SegmentError> {
    SCHEMA.clone()
}

static SCHEMA: LazyLock<Result<TypePtr, SegmentError>> = LazyLock::new(|| {
    let field = |(column, name): (Column, &str)| {
        let (physical, logical) = match column {
            Column::ArrivedAt | Column::CommittedAt => {
                let logical = LogicalType::timestamp(true, TimeUnit::MILLIS);
                (Physical::INT64, Some(logical))
            }
            Column::Version => (Physical::INT64, None),
            Column::Index | Column::Schema => (Physical::INT32, None),
            _ => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(logical)
            .build();
        field.map(Arc::new)
    };
    let fields = COLUMNS.into_iter().map(field).collect::<Result<Vec<_>, _>>();
    let group = fields.and_then(|fields| Type::group_type_builder("segment").with_fields(fields).build());
    group.map(Arc::new).map_err(SegmentError::new)
});
