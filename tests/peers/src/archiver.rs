//! An archiver as a team would write it, in Python, beside Headwater's: the same Lambda events, one core, an S3 that is memory.
//!
//! 1. Events are made: records of about 300 bytes, as in the row `archive` of `headwater bench`, 5,000 in an event (4 MB of JSON).
//! 2. Each archiver reads an event's JSON, as the Lambda runtime does, and archives it; the next follows at once.
//! 3. Then the first event comes again, as events do: it is counted what is stored twice.
//!
//! Python's S3 client is a stand-in with boto3's signature that keeps what is put. Headwater's is its own port in memory.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use archiver::{
    archive::{Archiver, Bounds},
    handler::handle,
    segment::Segment,
};
use aws_lambda_events::kinesis::KinesisEvent;
use bank::AccountEvent;
use base64::{Engine, prelude::BASE64_STANDARD};
use headwater::{
    StreamId, Version,
    format::{commit::Commit, record::Record},
    memory::{SeededEntropy, World},
    port::Entropy,
    schema::Schemas,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::{process::Command, time::Instant};

use crate::{
    bank::Error,
    effort::Effort,
    table::{Table, median},
};

/// Records of an event.
const RECORDS: u32 = 5_000;
/// Events.
const EVENTS: u32 = 20;
/// Streams that the records belong to.
const STREAMS: u64 = 1_000;
/// When the first of them arrives, in milliseconds since 1970: 2026-11-21T12:00:00Z.
const BEGINNING: i64 = 1_795_262_400_000;
/// Rounds.
const ROUNDS: u32 = 3;
/// What the tables call them, and what `archiver.py` does.
const PYTHON: [(&str, &str); 2] =
    [("Python, gzip JSON lines", "gzip"), ("Python, pyarrow, Parquet with zstd", "parquet")];

/// What became of a round.
#[derive(Debug, Clone, Deserialize)]
struct Archived {
    /// Seconds for all events once.
    seconds: f64,
    /// Records of all events.
    records: f64,
    /// Bytes that were stored of them.
    bytes: f64,
    /// Records that are stored after one event came again.
    after_repeat: f64,
}

/// Measures; `python` is the command that runs Python with pyarrow, if there is one.
pub(crate) async fn measure(
    python: Option<&[String]>,
    scratch: &Path,
    effort: &Effort,
) -> Result<Table, Error> {
    let mut table = Table::new(
        "archiver",
        "Archivers, on one core: records of about 300 bytes, from a Lambda event's text to an object",
        &["archiver", "records/s", "least", "most", "bytes a record", "stored twice after a repeat"],
    );
    effort.say("archiver: making events");
    let directory = scratch.join("events");
    let events = effort.many(EVENTS);
    make(&directory, events).await?;
    let records = f64::from(events) * f64::from(RECORDS);
    let mut archivers = vec![("Headwater", None)];
    if python.is_some() {
        archivers.extend(PYTHON.map(|(name, mode)| (name, Some(mode))));
    }
    let mut rounds: Vec<Vec<Archived>> = vec![Vec::new(); archivers.len()];
    for round in 0..effort.rounds(ROUNDS) {
        for ((name, mode), rounds) in archivers.iter().zip(&mut rounds) {
            effort.say(&format!("archiver: {name}, round {}", round + 1));
            let archived = if let (Some(mode), Some(python)) = (mode, python) {
                theirs(python, mode, &directory).await?
            } else {
                let directory = directory.clone();
                tokio::task::spawn_blocking(move || ours(&directory)).await??
            };
            if archived.records < records {
                return Err(format!("{name} archived {} of {records}", archived.records).into());
            }
            rounds.push(archived);
        }
    }
    for ((name, _), rounds) in archivers.iter().zip(rounds) {
        let rates = || rounds.iter().map(|archived| archived.records / archived.seconds);
        let last = rounds.last().ok_or("there was no round")?;
        table.rows.push(vec![
            (*name).into(),
            median(rates()).into(),
            rates().fold(f64::INFINITY, f64::min).into(),
            rates().fold(0.0, f64::max).into(),
            (last.bytes / last.records).into(),
            (last.after_repeat - last.records).into(),
        ]);
    }
    Ok(table)
}

/// Writes the events as files, in the order of their names.
async fn make(directory: &Path, events: u32) -> Result<(), Error> {
    tokio::fs::create_dir_all(directory).await?;
    for event in 0..events {
        let from = u64::from(event) * u64::from(RECORDS);
        let records = (from..from + u64::from(RECORDS)).map(record).collect::<Result<Vec<_>, _>>()?;
        let body = json!({ "Records": records }).to_string();
        tokio::fs::write(directory.join(format!("{event:04}.json")), body).await?;
    }
    Ok(())
}

/// The record of this number, as a mapping hands it out: a commit of one event, as a store writes it.
fn record(number: u64) -> Result<serde_json::Value, Error> {
    let chance = SeededEntropy::new(number);
    let account = number % STREAMS;
    let stream: StreamId = format!("account/{account:012}").parse()?;
    let version = Version::new(number / STREAMS + 1);
    let at = Timestamp::from_millisecond(BEGINNING + i64::try_from(number)?)?;
    // Both are drawn, for compression sees the difference.
    let (id, correlation) = (chance.unique(), chance.unique());
    let amount = number % 900_000 + 100_000;
    let event: AccountEvent = serde_json::from_value(json!({
        "Credited": {"amount": amount, "reference": format!("invoice {:09}", chance.bits() % 1_000_000_000)},
    }))?;
    let commit = Commit {
        id: id.parse()?,
        first: version,
        last: version,
        at,
        events: vec![Schemas::FIRST.encode(&event)?],
        meta: [("correlation".to_owned(), correlation.into())].into_iter().collect(),
    };
    let data = Record::new(stream.clone(), vec![Arc::new(commit)]).encode()?;
    let sequence = format!("4966{number:052}");
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century")]
    let arrived = at.as_millisecond() as f64 / 1_000.0;
    Ok(json!({
        "awsRegion": "us-east-1",
        "eventID": format!("shardId-000000000000:{sequence}"),
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/bank",
        "eventVersion": "1.0",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/archiver",
        "kinesis": {
            "approximateArrivalTimestamp": arrived,
            "data": BASE64_STANDARD.encode(&data),
            "kinesisSchemaVersion": "1.0",
            "partitionKey": stream.as_str(),
            "sequenceNumber": sequence,
        },
    }))
}

/// Headwater's archiver, on this thread alone.
fn ours(directory: &Path) -> Result<Archived, Error> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    let bodies = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let world = World::new(1);
        let archiver = Archiver::new(world.ports(), world.objects.clone(), "bank", Bounds::default());
        let began = Instant::now();
        for body in &bodies {
            handle(&archiver, serde_json::from_slice::<KinesisEvent>(body)?).await?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let (records, bytes) = stored(&world)?;
        let first = bodies.first().ok_or("there are no events")?;
        handle(&archiver, serde_json::from_slice::<KinesisEvent>(first)?).await?;
        Ok(Archived { seconds, records, bytes, after_repeat: stored(&world)?.0 })
    })
}

/// Commits and bytes of all segments.
fn stored(world: &World) -> Result<(f64, f64), Error> {
    let (mut commits, mut bytes) = (0.0, 0.0);
    for (_, body) in world.objects.all("archive/") {
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let (length, count) = (body.len() as f64, Segment::open(body)?.footer().commits as f64);
        bytes += length;
        commits += count;
    }
    Ok((commits, bytes))
}

/// Python's.
async fn theirs(python: &[String], mode: &str, directory: &Path) -> Result<Archived, Error> {
    let (program, arguments) = python.split_first().ok_or("no Python is named")?;
    let output = Command::new(program)
        .args(arguments)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/archiver.py"))
        .arg(mode)
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("archiver.py {mode} ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
