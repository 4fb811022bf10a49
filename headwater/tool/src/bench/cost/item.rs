//! One thing that costs: how many of it were done, what was counted meanwhile, and what a million of it cost.

use std::ops::AddAssign;

use headwater::port::Arrival;
use localstack::Counts;

use super::{
    super::Error,
    price::{self, Femtodollars},
};

/// Bytes that an on-demand stream counts at a time.
const KILOBYTE: u64 = 1 << 10;
/// Bytes that a provisioned stream counts at a time.
const PAYLOAD_UNIT: u64 = 25 << 10;

/// So many of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What, in the plural.
    pub what: &'static str,
    /// How many.
    pub units: u64,
    /// What all of them took.
    pub counted: Counted,
}

/// What was counted at the other end of the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// PUTs of S3.
    pub puts: u64,
    /// GETs of S3, also those that found nothing, or nothing new.
    pub gets: u64,
    /// LISTs of S3.
    pub lists: u64,
    /// DELETEs of S3.
    pub deletes: u64,
    /// Records put to Kinesis.
    pub records: u64,
    /// Their size, each rounded up to 1 KB, in KB.
    pub kilobytes: u64,
    /// Their size, each rounded up to 25 KB, in units of 25 KB.
    pub payload_units: u64,
    /// The size of the records that Kinesis handed to a function for this, each rounded up to 1 KB, in KB.
    pub read: u64,
    /// Bytes of the bodies that were sent.
    pub up: u64,
    /// Bytes of the bodies that came back.
    pub down: u64,
}

impl Counted {
    /// What the requests were, and the records that they put. A request that is not known here is an error: it would cost, and
    /// not be told.
    pub(super) fn new(counts: &Counts, put: &[Arrival]) -> Result<Self, Error> {
        let mut counted =
            Self { up: counts.total().bytes_in, down: counts.total().bytes_out, ..Self::default() };
        for (class, tally) in counts.iter() {
            let kind = match class.operation.as_str() {
                "s3:PutObject" => &mut counted.puts,
                "s3:GetObject" => &mut counted.gets,
                "s3:ListObjectsV2" => &mut counted.lists,
                "s3:DeleteObject" => &mut counted.deletes,
                // Calls are free, by the records they bring or take.
                "kinesis:PutRecords"
                | "kinesis:ListShards"
                | "kinesis:GetShardIterator"
                | "kinesis:GetRecords" => continue,
                other => return Err(format!("what {other} costs is not known").into()),
            };
            *kind += tally.requests;
        }
        counted.records = put.len() as u64;
        counted.kilobytes = rounded(put, KILOBYTE);
        counted.payload_units = rounded(put, PAYLOAD_UNIT);
        Ok(counted)
    }
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.puts += other.puts;
        self.gets += other.gets;
        self.lists += other.lists;
        self.deletes += other.deletes;
        self.records += other.records;
        self.kilobytes += other.kilobytes;
        self.payload_units += other.payload_units;
        self.read += other.read;
        self.up += other.up;
        self.down += other.down;
    }
}

impl Item {
    /// With these records handed to a function for it.
    #[must_use]
    pub(super) fn reading(mut self, records: &[Arrival]) -> Self {
        self.counted.read += rounded(records, KILOBYTE);
        self
    }

    /// What S3 takes for a million.
    pub fn s3(&self) -> Femtodollars {
        let Counted { puts, gets, lists, .. } = self.counted;
        self.million((puts + lists, price::PUT), (gets, price::GET))
    }

    /// What Kinesis takes for a million, on demand.
    pub fn kinesis_on_demand(&self) -> Femtodollars {
        let Counted { kilobytes, read, .. } = self.counted;
        self.million((kilobytes, price::ON_DEMAND_IN), (read, price::ON_DEMAND_OUT))
    }

    /// What Kinesis takes for a million beside the shards, provisioned.
    pub fn kinesis_provisioned(&self) -> Femtodollars {
        self.million((self.counted.payload_units, price::PAYLOAD_UNIT), (0, 0))
    }

    fn million(&self, one: (u64, Femtodollars), other: (u64, Femtodollars)) -> Femtodollars {
        let all = u128::from(one.0) * one.1 + u128::from(other.0) * other.1;
        all * 1_000_000 / u128::from(self.units)
    }
}

/// How many units of so many bytes these records have, each rounded up.
fn rounded(records: &[Arrival], unit: u64) -> u64 {
    records.iter().map(|record| ((record.key.len() + record.data.len()) as u64).div_ceil(unit)).sum()
}
