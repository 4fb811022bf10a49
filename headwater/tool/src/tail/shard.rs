//! Following one shard to its end.
//!
//! 1. Read from the cursor; hand on what came; go on with the next cursor, with a pause at the tip.
//! 2. No answer: again, with growing pauses, and a word about it.
//! 3. The cursor has expired, as after this machine slept: a new one after the last record. Where no record has come yet,
//!    from the oldest, without what arrived before the last good read (less [`SKEW`]: rather twice than never).

use std::{sync::Arc, time::Duration};

use headwater::port::{Clock, Cursor, Entropy, Log, LogError, Start, backoff};
use tokio::{sync::mpsc, time::sleep};

use super::line::Found;

/// Most records of one read: a few MB at most of what stores write.
const RECORDS: usize = 1_000;
/// How far this clock and Kinesis's may differ.
const SKEW: Duration = Duration::from_mins(1);

/// Follows shards.
#[derive(Clone)]
pub(super) struct Follower {
    pub(super) log: Arc<dyn Log>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) pace: Duration,
    pub(super) found: mpsc::Sender<Found>,
}

impl Follower {
    /// Follows `shard` to its end, and gives its name back.
    pub(super) async fn follow(self, shard: String, start: Start) -> Result<String, LogError> {
        let (mut start, mut answered, mut seen) = (start, self.clock.now(), None);
        let mut cursor = Some(self.cursor(&shard, &start).await?);
        while let Some(here) = cursor {
            let asked = self.clock.now();
            let mut batch = match self.repeat(&shard, || self.log.read(&here, RECORDS)).await {
                Ok(batch) => batch,
                Err(LogError::Expired) => {
                    if start == Start::Latest {
                        (start, seen) = (Start::Oldest, answered.checked_sub(SKEW).ok());
                    }
                    cursor = Some(self.cursor(&shard, &start).await?);
                    continue;
                }
                Err(error) => return Err(error),
            };
            answered = asked;
            if let Some(last) = batch.records.last() {
                start = Start::After(last.sequence.clone());
            }
            let new = batch.records.iter().position(|record| seen.is_none_or(|seen| record.at >= seen));
            batch.records.drain(..new.unwrap_or(batch.records.len()));
            if new.is_some() {
                seen = None;
            }
            let tip = batch.records.is_empty() || batch.behind.is_zero();
            if !batch.records.is_empty() {
                let found = Found {
                    records: batch.records,
                    behind: batch.behind,
                    now: self.clock.now(),
                    trouble: None,
                };
                if self.found.send(found).await.is_err() {
                    return Ok(shard);
                }
            }
            cursor = batch.next;
            if tip && cursor.is_some() {
                sleep(self.pace).await;
            }
        }
        Ok(shard)
    }

    async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
        self.repeat(shard, || self.log.cursor(shard, start)).await
    }

    /// Asks until there is an answer.
    async fn repeat<T, F: Future<Output = Result<T, LogError>>>(
        &self,
        shard: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, LogError> {
        let mut pauses = backoff(&*self.entropy, Duration::from_millis(250), Duration::from_secs(10));
        let mut tries = 0_u32;
        loop {
            let reason = match ask().await {
                Err(LogError::Unknown(reason)) => reason,
                answer => return answer,
            };
            tries += 1;
            // Throttling is usual where several readers share a shard, and passes.
            if tries.is_power_of_two() && tries > 2 {
                let trouble = format!("{shard}: no answer, tried {tries} times, trying on: {reason}");
                let found = Found {
                    records: Vec::new(),
                    behind: Duration::ZERO,
                    now: self.clock.now(),
                    trouble: Some(trouble),
                };
                let _ = self.found.send(found).await;
            }
            sleep(pauses.next().unwrap_or_default()).await;
        }
    }
}
