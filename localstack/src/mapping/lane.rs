//! One lane of a shard: gathers a batch, and invokes the function until the batch is done or given up.
//!
//! 1. A batch is at most `batch_size` records and an event's bytes; it goes when it is full or its window is over.
//! 2. Records that are too old are given up.
//! 3. A failure that names its first record leaves those before it done; the rest is tried again.
//! 4. Under `Bisect` a batch that failed from its first record is split, and each half begins anew; splitting is no
//!    retry. So a bad record ends up alone.
//! 5. A batch that has failed more often than retries allow is given up.
//! 6. A batch that did not reach the function, because that is throttled or not there, is tried again without end; that is
//!    no retry, and only its age ends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::destination::{Cause, keep};
use super::event::{Record, event, room};
use super::outcome::{Outcome, outcome};
use super::{OnError, ResponseType, Source};
use crate::lambda::InvokeError;

/// The longest wait between two tries.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

pub(crate) struct Lane {
    pub(crate) source: Arc<Source>,
    pub(crate) shard: String,
    pub(crate) stream_arn: String,
    pub(crate) number: usize,
    pub(crate) queue: mpsc::UnboundedReceiver<Vec<Record>>,
    pub(crate) waiting: VecDeque<Record>,
}

/// A batch and how often it has failed.
struct Try {
    batch: Vec<Record>,
    failures: u32,
    /// How often it did not reach the function since.
    turned_away: u32,
}

impl Try {
    fn new(batch: Vec<Record>, failures: u32) -> Self {
        Self { batch, failures, turned_away: 0 }
    }
}

impl Lane {
    /// Runs until the queue ends or the functions are stopped.
    pub(crate) async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            let mut tries = vec![Try::new(batch, 0)];
            while let Some(next) = tries.pop() {
                if self.attempt(next, &mut tries).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn gather(&mut self) -> Option<Vec<Record>> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.queue.recv().await?);
        }
        let options = &self.source.options;
        let end = tokio::time::Instant::now() + options.batching_window;
        let (mut batch, mut free) = (Vec::new(), room());
        while batch.len() < options.batch_size {
            if self.waiting.is_empty() {
                let more = if options.batching_window.is_zero() {
                    self.queue.try_recv().ok()
                } else {
                    tokio::time::timeout_at(end, self.queue.recv()).await.ok().flatten()
                };
                self.waiting.extend(more.unwrap_or_default());
            }
            let Some(record) = self.waiting.pop_front() else { break };
            if record.size() > free && !batch.is_empty() {
                self.waiting.push_front(record);
                break;
            }
            free = free.saturating_sub(record.size());
            batch.push(record);
        }
        Some(batch)
    }

    /// Invokes once, and leaves behind what is to be tried next.
    async fn attempt(&self, mut next: Try, tries: &mut Vec<Try>) -> Result<(), InvokeError> {
        let options = &self.source.options;
        self.give_up_old(&mut next).await;
        if next.batch.is_empty() {
            return Ok(());
        }
        let invoked = self.source.functions.invoke(&options.function, Bytes::from(event(&next.batch))).await;
        let outcome = match invoked {
            Err(InvokeError::Stopped) => return Err(InvokeError::Stopped),
            Err(error @ (InvokeError::NoSuchFunction(_) | InvokeError::Throttled)) => {
                tracing::debug!(function = %options.function, %error, "a mapping waits for its function");
                next.turned_away = next.turned_away.saturating_add(1);
                tokio::time::sleep(self.delay(next.turned_away)).await;
                tries.push(next);
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(function = %options.function, shard = %self.shard, %error, "a batch failed");
                Outcome::Failed
            }
            Ok(answer) => match options.response_type {
                ResponseType::Ignored => Outcome::Done,
                ResponseType::ReportBatchItemFailures => outcome(&answer, &next.batch),
            },
        };
        let failed_from = match outcome {
            Outcome::Done => next.batch.len(),
            Outcome::FailedFrom(place) => place,
            Outcome::Failed => 0,
        };
        let rest = next.batch.split_off(failed_from);
        self.finish(&next.batch);
        if rest.is_empty() {
            self.source.progress.failed(&self.shard, self.number, 0);
            return Ok(());
        }
        if failed_from == 0 && options.on_error == OnError::Bisect && rest.len() > 1 {
            let mut first = rest;
            let second = first.split_off(first.len() / 2);
            tries.push(Try::new(second, 0));
            tries.push(Try::new(first, 0));
            return Ok(());
        }
        // Whoever is first in the rest has failed once, if the records before it were done.
        let failures = if failed_from == 0 { next.failures.saturating_add(1) } else { 1 };
        self.source.progress.failed(&self.shard, self.number, failures);
        if options.maximum_retry_attempts.is_some_and(|retries| failures > retries) {
            self.give_up(&rest, Cause::RetryAttemptsExhausted, failures).await;
            self.source.progress.failed(&self.shard, self.number, 0);
            return Ok(());
        }
        tokio::time::sleep(self.delay(failures)).await;
        tries.push(Try::new(rest, failures));
        Ok(())
    }

    /// How long to wait after so many tries in vain: one at least.
    fn delay(&self, tries: u32) -> Duration {
        let doublings = tries.saturating_sub(1).min(16);
        (self.source.options.retry_delay * 2_u32.pow(doublings)).min(LONGEST_DELAY)
    }

    async fn give_up_old(&self, next: &mut Try) {
        let Some(limit) = self.source.options.maximum_record_age else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = now.saturating_sub(limit).as_secs_f64();
        let old = next.batch.iter().take_while(|record| record.arrival < oldest).count();
        if old > 0 {
            let rest = next.batch.split_off(old);
            self.give_up(&next.batch, Cause::RecordAgeExceeded, next.failures).await;
            next.batch = rest;
        }
    }

    async fn give_up(&self, batch: &[Record], cause: Cause, failures: u32) {
        keep(&self.source, &self.shard, &self.stream_arn, batch, cause, failures).await;
        self.finish(batch);
    }

    fn finish(&self, batch: &[Record]) {
        self.source.progress.done(&self.shard, batch.iter().map(|record| record.place));
    }
}
