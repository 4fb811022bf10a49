//! Records of a bank, as a mapping hands them to a Lambda: what rows that need no network work on.
//!
//! A record has a commit of one event and about 300 bytes; a batch is as large as Lambda takes it. Which record comes next is
//! drawn from a seed: every run has the same.

use std::time::Duration;

use aws_lambda_events::kinesis::KinesisEvent;
use bank::{Account, AccountEvent, Amount, Reference};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fastrand::Rng;
use headwater::{
    StreamId, Version,
    format::{commit::Commit, record::Record},
    schema::Schemas,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Error;

/// The shard that all of them arrive in.
pub(super) const SHARD: &str = "shardId-000000000000";
/// Most bytes of a batch, as the text that Lambda takes.
pub(super) const BATCH_BYTES: usize = 6 << 20;
/// Most records of a batch.
const BATCH_RECORDS: usize = 10_000;
/// Accounts that money moves on.
const STREAMS: usize = 1_000;
/// When the first of them arrives, in seconds since 1970: 2026-11-21T12:00:00Z.
const BEGINNING: i64 = 1_795_262_400;

/// One batch after another, without an end.
pub(super) struct Records {
    chance: Rng,
    /// How many events each account has.
    versions: Vec<Version>,
    arrived: i64,
    bytes: usize,
}

impl Records {
    pub(super) fn new(seed: u64) -> Self {
        let versions = vec![Version::ZERO; STREAMS];
        Self { chance: Rng::with_seed(seed), versions, arrived: 0, bytes: 0 }
    }

    /// The next batch: so many bytes of text at most, as Lambda gets it.
    pub(super) fn batch(&mut self, most: usize) -> Result<String, Error> {
        let mut text = r#"{"Records":["#.to_owned();
        for number in 0..BATCH_RECORDS {
            let before = text.len();
            if number > 0 {
                text.push(',');
            }
            text.push_str(&self.record()?);
            if number > 0 && text.len() + "]}".len() > most {
                text.truncate(before);
                break;
            }
        }
        text.push_str("]}");
        Ok(text)
    }

    /// Bytes of the records drawn so far in the mean.
    pub(super) fn mean_bytes(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some gigabytes at most")]
        let mean = self.bytes as f64 / self.arrived.max(1) as f64;
        mean
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
        let arrived = SignedDuration::from_millis(self.arrived);
        let at = Timestamp::from_second(BEGINNING)?.checked_add(arrived)?;
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
        let sequence = format!("4965{:052}", self.arrived * 7);
        let seconds = Duration::from_millis(at.as_millisecond().try_into()?).as_secs_f64();
        let record = json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": stream.as_str(),
                "sequenceNumber": sequence,
                "data": BASE64_STANDARD.encode(&data),
                "approximateArrivalTimestamp": seconds,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("{SHARD}:{sequence}"),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/headwater-archiver",
            "awsRegion": "eu-central-1",
            "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/headwater",
        });
        Ok(record.to_string())
    }
}

/// What the Lambda's runtime makes of a batch.
pub(super) fn event(text: &str) -> Result<KinesisEvent, Error> {
    Ok(serde_json::from_str(text)?)
}
