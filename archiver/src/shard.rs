//! Reading a shard of Kinesis to its end, through whatever it answers on the way.

use std::time::Duration;

use futures::{Stream, stream};
use headwater::port::{Arrival, Batch, Cursor, LogError, Ports, Shard, Start};
use tokio::time::{Instant, sleep, timeout_at};

use crate::chain::pauses;

/// Records that one read asks for.
const RECORDS: usize = 10_000;

/// A shard, or the list of all, that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shard} can't be read to its end: {cause}")]
pub struct Unread {
    /// The shard, or what stands for all.
    pub shard: String,
    /// The last answer.
    #[source]
    pub cause: LogError,
}

/// All shards that still hold records, closed ones too.
pub(crate) async fn all(ports: &Ports, patience: Duration) -> Result<Vec<Shard>, Unread> {
    let shards = repeat(ports, patience, || ports.log.shards()).await;
    shards.map_err(|cause| Unread { shard: "the list of shards".to_owned(), cause })
}

/// The records of a shard from `start` on, to the shard's end: the newest record, or the last one of a closed shard.
pub(crate) fn batches(
    ports: &Ports,
    shard: &str,
    start: Start,
    patience: Duration,
) -> impl Stream<Item = Result<Vec<Arrival>, Unread>> + Send + use<> {
    let reading = Reading { ports: ports.clone(), shard: shard.to_owned(), patience, start, cursor: None };
    stream::try_unfold(Some(reading), |reading| async move {
        let Some(mut reading) = reading else { return Ok(None) };
        let batch = reading.next().await;
        let batch = batch.map_err(|cause| Unread { shard: reading.shard.clone(), cause })?;
        let tip = batch.records.is_empty() && batch.behind.is_zero();
        reading.cursor = batch.next;
        let more = reading.cursor.is_some() && !tip;
        Ok(Some((batch.records, more.then_some(reading))))
    })
}

/// How far a shard is read.
struct Reading {
    ports: Ports,
    shard: String,
    patience: Duration,
    /// Where to begin once more when the cursor has expired.
    start: Start,
    cursor: Option<Cursor>,
}

impl Reading {
    async fn next(&mut self) -> Result<Batch, LogError> {
        let Self { ports, shard, patience, start, cursor } = self;
        loop {
            let place = match cursor.take() {
                Some(place) => place,
                None => repeat(ports, *patience, || ports.log.cursor(shard, start)).await?,
            };
            match repeat(ports, *patience, || ports.log.read(&place, RECORDS)).await {
                Err(LogError::Expired) => {}
                Err(cause) => return Err(cause),
                Ok(batch) => {
                    if let Some(last) = batch.records.last() {
                        *start = Start::After(last.sequence.clone());
                    }
                    return Ok(batch);
                }
            }
        }
    }
}

/// Asks again while Kinesis does not answer.
async fn repeat<T, F>(ports: &Ports, patience: Duration, ask: impl Fn() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, LogError>>,
{
    let (deadline, mut pauses) = (Instant::now() + patience, pauses(&*ports.entropy));
    loop {
        let cause = match timeout_at(deadline, ask()).await {
            Ok(Err(cause @ LogError::Unknown(_))) => cause,
            Ok(answer) => return answer,
            Err(_) => LogError::Unknown("no answer in time".into()),
        };
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= deadline {
            return Err(cause);
        }
        sleep(pause).await;
    }
}
