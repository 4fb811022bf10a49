//! The publisher: commits that S3 holds go to Kinesis, in batches, and until Kinesis has them.
//!
//! 1. [`Publisher::publish`] waits for room in the queue (`QUEUE_BYTES`): that is the back-pressure.
//! 2. The dispatcher sends at once while no call is under way; else records wait for company, a call's end or the linger.
//! 3. A call takes at most [`limits::PUT_RECORDS`] records and [`limits::PUT_RECORDS_BYTES`], and never a record of a
//!    stream that has another one unacknowledged (H4).
//! 4. What Kinesis did not take is sent again, alone, after a growing, jittered pause; the stream stays busy meanwhile.
//! 5. What Kinesis refuses for good, as for a right that is not there, is given up at once; all else at its deadline, and not
//!    sent any more: the next writer of the stream helps, or the relay. A deadline is
//!    at most [`limits::PUBLISH_FOR`] after the head was known to be unsettled, because archivers forget.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    error::StoreError,
    id::StreamId,
    limits, metric,
    port::{Entropy, Entry, Log, LogError, Ports, backoff},
    reason::Reason,
};

/// Bytes of records that may wait; more must wait outside.
const QUEUE_BYTES: usize = 64 << 20;
/// Calls under way at a time.
const CALLS: usize = 8;
/// The longest that one call may take.
const CALL: Duration = Duration::from_secs(15);

/// Kinesis did not take the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpublished {
    /// It did not answer, or had no room, until the deadline.
    #[error("not published: {0}")]
    Late(#[source] Reason),
    /// It refuses, and a repeat changes nothing: the operator must act.
    #[error("not published: {0}")]
    Denied(#[source] Reason),
}

impl From<Unpublished> for StoreError {
    fn from(error: Unpublished) -> Self {
        match error {
            Unpublished::Late(_) => Self::Unavailable(error.into()),
            Unpublished::Denied(_) => Self::Denied(error.into()),
        }
    }
}

/// Publishes records. Cheap to clone; clones share one queue.
#[derive(Debug, Clone)]
pub struct Publisher {
    jobs: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
}

/// One record on its way.
#[derive(Debug)]
struct Job {
    entry: Entry,
    since: Instant,
    until: Instant,
    tries: u32,
    done: oneshot::Sender<Result<(), Unpublished>>,
    _room: OwnedSemaphorePermit,
}

impl Publisher {
    /// A publisher on the log of these ports; a record waits for company for `linger` while another call is under way.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(ports: &Ports, linger: Duration) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let dispatcher = Dispatcher {
            log: Arc::clone(&ports.log),
            entropy: Arc::clone(&ports.entropy),
            linger,
            ready: VecDeque::new(),
            busy: HashSet::new(),
            calls: FuturesUnordered::new(),
            pauses: FuturesUnordered::new(),
        };
        tokio::spawn(dispatcher.run(queue));
        Self { jobs, room: Arc::new(Semaphore::new(QUEUE_BYTES)) }
    }

    /// Publishes one record of `stream`; returns when Kinesis has it, or soon after `until`. Dropping the future does not stop
    /// the record.
    pub async fn publish(&self, stream: &StreamId, data: Bytes, until: Instant) -> Result<(), Unpublished> {
        let gone = |what: &str| Unpublished::Late(format!("the publisher is gone: {what}").into());
        let bytes = u32::try_from(data.len().min(limits::RECORD_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| gone("closed"))?;
        let entry = Entry { key: stream.to_string(), data };
        let (done, answer) = oneshot::channel();
        let job = Job { entry, since: Instant::now(), until, tries: 0, done, _room: room };
        self.jobs.send(job).map_err(|_| gone("not running"))?;
        answer.await.unwrap_or_else(|_| Err(gone("stopped")))
    }
}

/// A record with what became of it in one call.
type Settled = (Job, Result<(), Unpublished>);

/// Owns the queue: forms the calls, and minds which streams are busy.
struct Dispatcher {
    log: Arc<dyn Log>,
    entropy: Arc<dyn Entropy>,
    linger: Duration,
    ready: VecDeque<Job>,
    busy: HashSet<String>,
    calls: FuturesUnordered<BoxFuture<'static, Vec<Settled>>>,
    pauses: FuturesUnordered<BoxFuture<'static, Job>>,
}

impl Dispatcher {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        let mut open = true;
        while open || !self.ready.is_empty() || !self.calls.is_empty() || !self.pauses.is_empty() {
            let linger = self.next_call();
            tokio::select! {
                // Chance comes in through a port, not through the branch that is looked at first.
                biased;
                Some(results) = self.calls.next() => self.settle(results),
                Some(job) = self.pauses.next() => {
                    self.busy.remove(&job.entry.key);
                    self.ready.push_front(job);
                }
                job = queue.recv(), if open => match job {
                    Some(job) => self.ready.push_back(job),
                    None => open = false,
                },
                () = sleep_until(linger.unwrap_or_else(Instant::now)), if linger.is_some() => {}
            }
            while let Ok(job) = queue.try_recv() {
                self.ready.push_back(job);
            }
            self.give_up();
            self.send();
        }
    }

    /// When the next call is due although others are under way.
    fn next_call(&self) -> Option<Instant> {
        let oldest = self.oldest().filter(|_| self.calls.len() < CALLS)?;
        Some(oldest.since + self.linger)
    }

    /// The record that has waited longest and could be sent.
    fn oldest(&self) -> Option<&Job> {
        self.ready.iter().find(|job| !self.busy.contains(&job.entry.key))
    }

    /// Drops what waits beyond its deadline: a process may have stood still for any time since it was queued.
    fn give_up(&mut self) {
        let now = Instant::now();
        if self.ready.iter().all(|job| now < job.until) {
            return;
        }
        for job in std::mem::take(&mut self.ready) {
            if now < job.until {
                self.ready.push_back(job);
            } else {
                // The caller may have stopped waiting.
                let _ = job.done.send(Err(Unpublished::Late("its time is over".into())));
            }
        }
    }

    fn send(&mut self) {
        while self.calls.len() < CALLS {
            let batch = self.take();
            if batch.is_empty() {
                return;
            }
            let log = Arc::clone(&self.log);
            self.calls.push(call(log, batch).boxed());
        }
    }

    /// The records of one call, if it is time for one: each stream's oldest, if the stream is not busy.
    fn take(&mut self) -> Vec<Job> {
        if !self.is_due() {
            return Vec::new();
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let mut left = VecDeque::with_capacity(self.ready.len());
        while let Some(job) = self.ready.pop_front() {
            if self.busy.contains(&job.entry.key) {
                left.push_back(job);
                continue;
            }
            bytes += size(&job);
            let full = taken.len() == limits::PUT_RECORDS
                || (bytes > limits::PUT_RECORDS_BYTES && !taken.is_empty());
            if full {
                left.push_back(job);
                break;
            }
            self.busy.insert(job.entry.key.clone());
            taken.push(job);
        }
        left.append(&mut self.ready);
        self.ready = left;
        taken
    }

    /// Whether it is time for a call: none is under way, the oldest has waited long enough, or there is enough for a whole one.
    /// It is asked for every record that comes in, and copies nothing.
    fn is_due(&self) -> bool {
        let Some(oldest) = self.oldest() else { return false };
        self.calls.is_empty()
            || oldest.since.elapsed() >= self.linger
            || self.ready.len() > limits::PUT_RECORDS
            || self.ready.iter().map(size).sum::<usize>() > limits::PUT_RECORDS_BYTES
    }

    fn settle(&mut self, results: Vec<Settled>) {
        for (mut job, result) in results {
            let Err(reason) = result else {
                self.busy.remove(&job.entry.key);
                metric::bytes(metric::RECORD_BYTES, job.entry.data.len());
                // The caller may have stopped waiting.
                let _ = job.done.send(Ok(()));
                continue;
            };
            if Instant::now() >= job.until || matches!(reason, Unpublished::Denied(_)) {
                self.busy.remove(&job.entry.key);
                let _ = job.done.send(Err(reason));
                continue;
            }
            metric::count(metric::PUBLISH_RETRIES, 1);
            tracing::debug!(stream = job.entry.key, tries = job.tries, %reason, "publishing again");
            let pauses = backoff(&*self.entropy, Duration::from_millis(25), Duration::from_secs(5));
            let pause = pauses.skip(job.tries.min(16) as usize).take(1).next().unwrap_or_default();
            job.tries += 1;
            self.pauses.push(tokio::time::sleep(pause).map(|()| job).boxed());
        }
    }
}

/// What a record takes of a call.
fn size(job: &Job) -> usize {
    job.entry.data.len() + job.entry.key.len()
}

/// One `PutRecords` call, and what became of each of its records.
async fn call(log: Arc<dyn Log>, jobs: Vec<Job>) -> Vec<Settled> {
    let entries: Vec<Entry> = jobs.iter().map(|job| job.entry.clone()).collect();
    let late = || Err(LogError::Unknown("no answer in time".into()));
    match timeout(CALL, log.put(&entries)).await.unwrap_or_else(|_| late()) {
        Ok(results) if results.len() == jobs.len() => {
            let result = |result: Result<_, crate::port::EntryError>| {
                result.map(|_| ()).map_err(|error| Unpublished::Late(error.into()))
            };
            jobs.into_iter().zip(results.into_iter().map(result)).collect()
        }
        Ok(_) => {
            let odd = Unpublished::Late("an answer of another length".into());
            jobs.into_iter().map(|job| (job, Err(odd.clone()))).collect()
        }
        Err(error) => {
            let reason = match error {
                LogError::Refused(_) => Unpublished::Denied(error.into()),
                LogError::Unknown(_) | LogError::Expired => Unpublished::Late(error.into()),
            };
            jobs.into_iter().map(|job| (job, Err(reason.clone()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Fault, FaultyLog, Operation, World};

    #[tokio::test(start_paused = true)]
    async fn a_record_never_overtakes_an_unacknowledged_one_of_its_stream() {
        let world = World::new(1);
        let log = FaultyLog::new(world.log.clone());
        let ports = Ports { log: Arc::new(log.clone()), ..world.ports() };
        let publisher = Publisher::new(&ports, Duration::from_millis(2));
        let stream: StreamId = "account/1".parse().expect("a stream");
        log.faults().script(Operation::PutRecords, [Fault::Before(LogError::Unknown("lost".into()))]);
        let until = Instant::now() + limits::PUBLISH_FOR;
        let records = ["one", "two", "three"].map(|text| publisher.publish(&stream, text.into(), until));
        for published in futures::future::join_all(records).await {
            published.expect("published");
        }
        let arrived: Vec<Bytes> = world.log.records().into_iter().map(|arrival| arrival.data).collect();
        assert_eq!(arrived, ["one", "two", "three"], "H4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_not_sent_after_its_time() {
        let world = World::new(1);
        let log = FaultyLog::new(world.log.clone());
        let ports = Ports { log: Arc::new(log.clone()), ..world.ports() };
        let publisher = Publisher::new(&ports, Duration::from_millis(2));
        let stream: StreamId = "account/1".parse().expect("a stream");
        let until = Instant::now() + Duration::from_mins(1);
        log.faults().hook(move |_| {
            assert!(Instant::now() < until, "it was sent at {:?}", Instant::now() - until);
            Fault::Before(LogError::Unknown("down".into()))
        });
        publisher.publish(&stream, "one".into(), until).await.expect_err("down");
        assert!(Instant::now() < until + CALL);
        let sent = log.faults().calls(Operation::PutRecords);
        publisher.publish(&stream, "two".into(), Instant::now()).await.expect_err("too late");
        assert_eq!(log.faults().calls(Operation::PutRecords), sent);
    }
}
