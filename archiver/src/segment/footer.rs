//! The footer's key-value metadata: what a segment covers, and how it hangs in its chain.
//!
//! | key, after `headwater.` | |
//! |---|---|
//! | `format` | 1 |
//! | `shard`, `date`, `ordinal` | the segment's place |
//! | `previous`, `previous_date` | last sequence number and date of the ordinal before; absent in ordinal 1 |
//! | `parents` | the nearest shards with segments that this one was split or merged from, as a JSON list |
//! | `first`, `last` | sequence numbers of the records that it covers, with or without rows |
//! | `arrived_last` | when the latest of those records arrived |
//! | `rows`, `commits` | counts |

use headwater::port::Sequence;
use jiff::{Timestamp, civil::Date};
use parquet::file::metadata::KeyValue;

use super::{FORMAT, SegmentError};
use crate::place::{Place, is_name};

const PREFIX: &str = "headwater.";

/// The end of the ordinal before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// The last sequence number that it covers.
    pub last: Sequence,
    /// The date in its key: with it a chain can be walked backwards without a listing.
    pub date: Date,
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The shard.
    pub shard: String,
    /// Its place in the shard's chain.
    pub place: Place,
    /// Where the ordinal before ends; `None` in ordinal 1.
    pub previous: Option<Previous>,
    /// The shards that this one was split or merged from, or where one of them never had a record, those before it. They
    /// stand in every segment, because Kinesis forgets closed shards.
    pub parents: Vec<String>,
    /// The first record that the segment covers.
    pub first: Sequence,
    /// The last record that the segment covers.
    pub last: Sequence,
    /// When the latest of the covered records arrived.
    pub arrived_last: Timestamp,
    /// How many rows the segment has: one an event.
    pub rows: u64,
    /// How many commits.
    pub commits: u64,
}

impl Footer {
    /// The place of the ordinal before; `None` for ordinal 1.
    pub fn place_before(&self) -> Option<Place> {
        let previous = self.previous.as_ref()?;
        Some(Place { date: previous.date, ordinal: self.place.ordinal.checked_sub(1)? })
    }

    pub(super) fn write(&self) -> Result<Vec<KeyValue>, SegmentError> {
        let parents = serde_json::to_string(&self.parents).map_err(SegmentError::new)?;
        let mut pairs = vec![
            ("format", FORMAT.to_string()),
            ("shard", self.shard.clone()),
            ("date", self.place.date.to_string()),
            ("ordinal", self.place.ordinal.to_string()),
        ];
        if let Some(previous) = &self.previous {
            pairs.push(("previous", previous.last.to_string()));
            pairs.push(("previous_date", previous.date.to_string()));
        }
        pairs.extend([
            ("parents", parents),
            ("first", self.first.to_string()),
            ("last", self.last.to_string()),
            ("arrived_last", self.arrived_last.to_string()),
            ("rows", self.rows.to_string()),
            ("commits", self.commits.to_string()),
        ]);
        Ok(pairs.into_iter().map(|(key, value)| KeyValue::new(format!("{PREFIX}{key}"), value)).collect())
    }

    pub(super) fn read(pairs: &[KeyValue]) -> Result<Self, SegmentError> {
        let pairs = Pairs(pairs);
        let format: u32 = pairs.parse("format")?;
        if format != FORMAT {
            return Err(SegmentError::new(format_args!(
                "format {format} is not known here, only {FORMAT}: a newer headwater wrote it"
            )));
        }
        let footer = Self {
            shard: pairs.text("shard")?.to_owned(),
            place: Place { date: pairs.parse("date")?, ordinal: pairs.parse("ordinal")? },
            previous: match pairs.find("previous") {
                None => None,
                Some(_) => {
                    Some(Previous { last: pairs.sequence("previous")?, date: pairs.parse("previous_date")? })
                }
            },
            parents: serde_json::from_str(pairs.text("parents")?).map_err(SegmentError::new)?,
            first: pairs.sequence("first")?,
            last: pairs.sequence("last")?,
            arrived_last: pairs.parse("arrived_last")?,
            rows: pairs.parse("rows")?,
            commits: pairs.parse("commits")?,
        };
        footer.check().map(|()| footer)
    }

    pub(super) fn check(&self) -> Result<(), SegmentError> {
        let Self { place, previous, first, last, .. } = self;
        if let Some(shard) = self.parents.iter().chain([&self.shard]).find(|shard| !is_name(shard)) {
            return Err(SegmentError::new(format_args!("{shard:?} is no shard's name")));
        }
        let chained = match previous {
            None => place.ordinal == 1,
            Some(previous) => place.ordinal > 1 && previous.last < *first && previous.date <= place.date,
        };
        if !chained || first > last || self.commits > self.rows {
            let reason = format!("{place} says that it covers {first}..={last} after {previous:?}");
            return Err(SegmentError::new(reason));
        }
        Ok(())
    }
}

/// The metadata of a file.
struct Pairs<'a>(&'a [KeyValue]);

impl<'a> Pairs<'a> {
    fn find(&self, name: &str) -> Option<&'a str> {
        let named = |pair: &&KeyValue| pair.key.strip_prefix(PREFIX) == Some(name);
        self.0.iter().find(named)?.value.as_deref()
    }

    fn text(&self, name: &str) -> Result<&'a str, SegmentError> {
        self.find(name).ok_or_else(|| SegmentError::new(format_args!("its footer has no {PREFIX}{name}")))
    }

    fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<T, SegmentError> {
        let text = self.text(name)?;
        let wrong = |_| SegmentError::new(format_args!("its footer's {PREFIX}{name} reads {text:?}"));
        text.parse().map_err(wrong)
    }

    fn sequence(&self, name: &str) -> Result<Sequence, SegmentError> {
        Sequence::try_from(self.text(name)?.to_owned()).map_err(SegmentError::new)
    }
}
