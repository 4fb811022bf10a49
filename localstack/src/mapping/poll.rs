//! Reads every shard that may be read, and feeds its lanes.
//!
//! A shard may be read when its parents are done, or are no longer there: so the records of one partition key are
//! processed in order across a split or a merge. It is done when it is closed and every record of it is done.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Source;
use super::event::{Origin, Record};
use super::lane::Lane;
use super::source::{Shard, Stream};

/// The most records of one read, as on AWS.
const READ: usize = 10_000;

type Queues = Vec<mpsc::UnboundedSender<Vec<Record>>>;

/// What the poll keeps between two rounds.
struct Poll {
    source: Arc<Source>,
    queues: BTreeMap<String, Queues>,
    /// Ends the lanes with the poll.
    lanes: JoinSet<()>,
}

/// Polls until it is aborted.
pub(crate) async fn poll(source: Arc<Source>) {
    let mut poll = Poll { source: Arc::clone(&source), queues: BTreeMap::new(), lanes: JoinSet::new() };
    loop {
        let mut found = false;
        match source.services.stream(&source.options.stream).await {
            Ok(stream) => {
                for index in 0..stream.shards.len() {
                    found |= poll.shard(&stream, index).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, stream = %source.options.stream, "a mapping waits for its stream");
            }
        }
        while let Some(ended) = poll.lanes.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a lane ended");
            }
        }
        if !found {
            tokio::time::sleep(source.options.poll_interval).await;
        }
    }
}

impl Poll {
    /// Reads one shard once; true if there is reason to look again at once.
    async fn shard(&mut self, stream: &Stream, index: usize) -> bool {
        let Some(shard) = stream.shards.get(index) else { return false };
        let progress = &self.source.progress;
        let done = |parent: &String| {
            progress.finished(parent) || !stream.shards.iter().any(|shard| shard.id == *parent)
        };
        if progress.finished(&shard.id) || !shard.parents.iter().all(done) {
            return false;
        }
        let options = &self.source.options;
        // Two batches per lane, so that one is ready when the other is done.
        let capacity = (options.batch_size * options.parallelization_factor * 2).max(100);
        let (read, pending) = progress.position(&shard.id);
        let limit = capacity.saturating_sub(pending).min(READ);
        if limit == 0 {
            return false;
        }
        let services = &self.source.services;
        let page = services.read(&options.stream, (index, shard), read.as_deref(), limit).await;
        let records = page.records;
        if records.is_empty() {
            if shard.closed && page.ended && pending == 0 {
                progress.finish(&shard.id);
                self.queues.remove(&shard.id);
                return true;
            }
            return page.behind;
        }
        let records = records.into_iter().map(|(sequence, stored)| {
            let wanted = self.source.filter.wants(&sequence, &stored);
            (sequence, stored, wanted)
        });
        let records: Vec<_> = records.collect();
        let facts = records.iter().map(|(sequence, stored, wanted)| {
            (sequence.clone(), stored.approximate_arrival_timestamp, *wanted)
        });
        let place = progress.read(&shard.id, facts);
        let origin = Origin { shard: &shard.id, stream_arn: &stream.arn, region: &self.source.region };
        let mut lanes: BTreeMap<usize, Vec<Record>> = BTreeMap::new();
        for (place, (sequence, stored, wanted)) in (place..).zip(records) {
            if !wanted {
                continue;
            }
            match Record::new(sequence, stored, place, &origin) {
                Ok(record) => lanes.entry(self.lane_of(&record)).or_default().push(record),
                Err(error) => {
                    tracing::error!(%error, "a record can't be written as JSON");
                    self.source.progress.done(&shard.id, [place]);
                }
            }
        }
        for (number, records) in lanes {
            self.send(stream, shard, number, records);
        }
        true
    }

    fn lane_of(&self, record: &Record) -> usize {
        let mut hasher = DefaultHasher::new();
        record.partition_key.hash(&mut hasher);
        let lanes = self.source.options.parallelization_factor as u64;
        usize::try_from(hasher.finish() % lanes).unwrap_or_default()
    }

    fn send(&mut self, stream: &Stream, shard: &Shard, number: usize, records: Vec<Record>) {
        let (source, lanes) = (&self.source, &mut self.lanes);
        let queues = self.queues.entry(shard.id.clone()).or_insert_with(|| {
            let lane = |number| {
                let (sender, queue) = mpsc::unbounded_channel();
                let lane = Lane {
                    source: Arc::clone(source),
                    shard: shard.id.clone(),
                    stream_arn: stream.arn.clone(),
                    number,
                    queue,
                    waiting: VecDeque::new(),
                };
                lanes.spawn(lane.run());
                sender
            };
            (0..source.options.parallelization_factor).map(lane).collect()
        });
        // A lane ends only when the functions are stopped; then nothing is to be sent any more.
        if let Some(queue) = queues.get(number) {
            let _ = queue.send(records);
        }
    }
}
