//! Reading a shard of Kinesis to its end, through whatever it answers on the way.

use std::time::Duration;

use headwater::port::{Arrival, Batch, Cursor, LogError, Ports, Shard, Start};
use tokio::time::{Instant, sleep, timeout_at};

use crate::chain::pauses;

/// Records that one read asks for.
const RECORDS: usize = 10_000;

/// A shard, or the list of all, that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shard} can't be read to its end: {cause}")]
pub(crate) struct Unread {
    /// The shard, or what stands for all.
    pub(crate) shard: String,
    /// The last answer.
    pub(crate) cause: LogError,
}

/// Whether a reader has seen what it came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    /// It has.
    Yes,
    /// It goes on to the shard's end.
    No,
}

/// All shards that still hold records, closed ones too.
pub(crate) async fn all(ports: &Ports, patience: Duration) -> Result<Vec<Shard>, Unread> {
    let shards = repeat(ports, patience, || ports.log.shards()).await;
    shards.map_err(|cause| Unread { shard: "the list of shards".to_owned(), cause })
}

/// Hands every record of a shard from `start` on to `each`, until it is enough, or the shard's end is reached: the newest
/// record, or the last one of a closed shard.
pub(crate) async fn to_end(
    ports: &Ports,
    shard: &str,
    mut start: Start,
    patience: Duration,
    mut each: impl FnMut(Vec<Arrival>) -> Enough,
) -> Result<(), Unread> {
    let unread = |cause| Unread { shard: shard.to_owned(), cause };
    let mut cursor: Option<Cursor> = None;
    loop {
        let place = match cursor.take() {
            Some(place) => place,
            None => repeat(ports, patience, || ports.log.cursor(shard, &start)).await.map_err(unread)?,
        };
        let Batch { records, next, behind } =
            match repeat(ports, patience, || ports.log.read(&place, RECORDS)).await {
                Ok(batch) => batch,
                Err(LogError::Expired) => continue,
                Err(cause) => return Err(unread(cause)),
            };
        let tip = records.is_empty() && behind.is_zero();
        if let Some(last) = records.last() {
            start = Start::After(last.sequence.clone());
        }
        if each(records) == Enough::Yes || tip || next.is_none() {
            return Ok(());
        }
        cursor = next;
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
            Err(_) => LogError::Unknown("no answer in time".to_owned()),
        };
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= deadline {
            return Err(cause);
        }
        sleep(pause).await;
    }
}
