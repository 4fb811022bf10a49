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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use headwater::{
        memory::World,
        port::{Batch, Entry, EntryError, Position, Shard},
    };

    use super::*;

    /// A log whose cursors expire: each read that `expires` names.
    struct Expiring {
        log: Arc<dyn Log>,
        reads: AtomicU32,
        expires: fn(u32) -> bool,
    }

    #[async_trait]
    impl Log for Expiring {
        async fn put(&self, entries: &[Entry]) -> Result<Vec<Result<Position, EntryError>>, LogError> {
            self.log.put(entries).await
        }

        async fn shards(&self) -> Result<Vec<Shard>, LogError> {
            self.log.shards().await
        }

        async fn cursor(&self, shard: &str, start: &Start) -> Result<Cursor, LogError> {
            self.log.cursor(shard, start).await
        }

        async fn read(&self, cursor: &Cursor, most: usize) -> Result<Batch, LogError> {
            if (self.expires)(self.reads.fetch_add(1, Ordering::SeqCst)) {
                return Err(LogError::Expired);
            }
            self.log.read(cursor, most).await
        }
    }

    /// Puts `old`, lets ten minutes pass, follows from the newest record on, and puts `new` one by one; gives what was
    /// found.
    async fn follow(old: usize, new: usize, expires: fn(u32) -> bool) -> Vec<String> {
        let world = World::new(1);
        let log: Arc<dyn Log> = world.log.clone();
        let put = |text: String| {
            let log = Arc::clone(&log);
            async move {
                let entries = [Entry { key: "note/1".to_owned(), data: text.into() }];
                log.put(&entries).await.expect("puts").remove(0).expect("puts").shard
            }
        };
        let mut shard = put("first".to_owned()).await;
        for number in 1..old {
            shard = put(format!("old {number}")).await;
        }
        sleep(Duration::from_mins(10)).await;
        let (found, mut batches) = mpsc::channel(16);
        let ports = world.ports();
        let log = Arc::new(Expiring { log: Arc::clone(&log), reads: AtomicU32::new(0), expires });
        let pace = Duration::from_secs(1);
        let follower = Follower { log, clock: ports.clock, entropy: ports.entropy, pace, found };
        let following = tokio::spawn(follower.follow(shard, Start::Latest));
        sleep(Duration::from_mins(2)).await;
        let mut seen = Vec::new();
        for number in 0..new {
            put(format!("new {number}")).await;
            sleep(Duration::from_secs(2)).await;
        }
        while let Ok(batch) = batches.try_recv() {
            seen.extend(
                batch.records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()),
            );
        }
        following.abort();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_arrives_is_found() {
        assert_eq!(follow(3, 2, |_| false).await, ["new 0", "new 1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_cursor_loses_nothing_and_repeats_nothing_old() {
        let expected: Vec<_> = (0..5).map(|number| format!("new {number}")).collect();
        assert_eq!(follow(3, 5, |read| read < 2).await, expected, "at once");
        assert_eq!(follow(3, 5, |read| read % 3 == 1).await, expected, "again and again");
    }
}
