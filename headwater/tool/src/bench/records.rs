//! Records of a bank, as a mapping hands them to a Lambda: what rows that need no network work on.
//!
//! A record has a commit of one event and about 300 bytes; a batch is as large as Lambda takes it. Which record comes next is
//! drawn from a seed: every run has the same.

use bank::{Account, AccountEvent, Amount, Reference};
use fastrand::Rng;
use headwater::{
    StreamId, Version,
    format::{commit::Commit, record::Record},
    schema::Schemas,
};
use jiff::ToSpan;

use super::{
    Error,
    batches::{BEGIN, Batch, arrived, full},
};

/// Most records of a batch.
const BATCH_RECORDS: usize = 10_000;
/// Accounts that money moves on.
const STREAMS: usize = 1_000;

/// One batch after another, without an end.
pub(super) struct Records {
    chance: Rng,
    /// How many events each account has.
    versions: Vec<Version>,
    arrived: u64,
    bytes: usize,
}

impl Records {
    pub(super) fn new(seed: u64) -> Self {
        let versions = vec![Version::ZERO; STREAMS];
        Self { chance: Rng::with_seed(seed), versions, arrived: 0, bytes: 0 }
    }

    /// The next batch: so many bytes at most, as Lambda gets it.
    pub(super) fn batch(&mut self, bytes: usize) -> Result<Batch, Error> {
        full(BATCH_RECORDS, bytes, std::iter::from_fn(|| Some(self.record())))
    }

    /// Bytes of the records drawn so far in the mean.
    pub(super) fn mean_bytes(&self) -> f64 {
        self.bytes as f64 / self.arrived.max(1) as f64
    }

    fn record(&mut self) -> Result<String, Error> {
        let account = self.chance.usize(..self.versions.len());
        let stream: StreamId = format!("account/{account:012}").parse()?;
        let version = self.versions.get_mut(account).ok_or("an account of ours")?;
        *version = version.next();
        let amount = Amount::try_from(self.chance.i64(1..1_000_000))?;
        let reference: Option<Reference> = Some(format!("invoice {}", self.chance.u32(..)).parse()?);
        let event = if self.chance.bool() {
            AccountEvent::Credited { amount, reference, transfer: None }
        } else {
            AccountEvent::Withdrawn { amount, reference, transfer: None }
        };
        let at = BEGIN.checked_add(i64::try_from(self.arrived)?.milliseconds())?;
        let commit = Commit {
            id: format!("{:032x}", self.chance.u128(..)).parse()?,
            first: *version,
            last: *version,
            at,
            events: vec![Schemas::of::<Account>().encode(&event)?],
            meta: [("correlation".to_owned(), format!("{:016x}", self.chance.u64(..)).into())]
                .into_iter()
                .collect(),
        };
        let data = Record::new(stream.clone(), vec![commit.into()]).encode()?;
        self.arrived += 1;
        self.bytes += data.len();
        // Numbers of Kinesis have gaps.
        Ok(arrived(self.arrived * 7, at, &stream, &data))
    }
}
