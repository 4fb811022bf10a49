//! Event source mappings: records of a stream become invocations of a function, with AWS's semantics.
//!
//! Words: a *shard* is read in order, and a child only after its parents are done; a *lane* is one of the
//! `parallelization_factor` queues of a shard, chosen by partition key; a *batch* is what one invocation gets; the
//! *checkpoint* of a shard is the record up to which every one is done or given up.
//!
//! 1. `poll` reads every shard that may be read, and leaves out what `filter` does not want.
//! 2. `lane` gathers a batch and invokes the function until the batch is done or given up.
//! 3. `outcome` reads what an answer means; `event` writes what the function gets.
//! 4. `progress` moves the checkpoint, and keeps it if there is a data directory.
//! 5. `destination` keeps what was given up in a bucket.
//! 6. `source` is where streams and buckets are: in this process, or elsewhere.

pub(crate) mod destination;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod lane;
pub(crate) mod outcome;
pub(crate) mod poll;
pub(crate) mod progress;
pub(crate) mod source;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};

use crate::lambda::functions::Functions;
use filter::{Filter, PatternError};
use progress::{Progress, ShardStatus};
use source::Services;

/// Where a mapping begins that has no checkpoint yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StartingPosition {
    /// At the oldest record that is kept.
    #[default]
    TrimHorizon,
    /// Behind the newest record.
    Latest,
}

/// What the function's answer says about single records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// Nothing: an answer is success.
    #[default]
    Ignored,
    /// `ReportBatchItemFailures`: the answer names the records that failed.
    ReportBatchItemFailures,
}

/// What to do with a batch of several records that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Invoke again with the same batch.
    #[default]
    Retry,
    /// `BisectBatchOnFunctionError`: split it in two, and go on with each half.
    Bisect,
}

/// A mapping from a stream to a function. The names are AWS's.
#[derive(Debug, Clone)]
pub struct MappingOptions {
    /// The stream to read.
    pub stream: String,
    /// The function to invoke.
    pub function: String,
    /// The most records of one invocation, 1 to 10,000.
    pub batch_size: usize,
    /// How long to gather records for a batch, up to 300 seconds.
    pub batching_window: Duration,
    /// How many batches of a shard are processed at once, 1 to 10; records of one partition key keep their order.
    pub parallelization_factor: usize,
    /// Where to begin without a checkpoint.
    pub starting_position: StartingPosition,
    /// Filter patterns, as JSON; a record is wanted if any matches. None at all wants every record.
    pub filters: Vec<String>,
    /// What an answer means.
    pub response_type: ResponseType,
    /// What to do with a failed batch.
    pub on_error: OnError,
    /// How often a failed batch is tried again before it is given up; `None` is unlimited.
    pub maximum_retry_attempts: Option<u32>,
    /// The age at which a record is given up; `None` is unlimited.
    pub maximum_record_age: Option<Duration>,
    /// The bucket that gets what was given up.
    pub on_failure_destination: Option<String>,
    /// How long to wait before looking again at a stream that had nothing new.
    pub poll_interval: Duration,
    /// How long to wait before the first retry; it doubles up to 10 seconds.
    pub retry_delay: Duration,
}

impl MappingOptions {
    /// AWS's defaults, with the short waits of a local stream.
    pub fn new(stream: impl Into<String>, function: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            function: function.into(),
            batch_size: 100,
            batching_window: Duration::ZERO,
            parallelization_factor: 1,
            starting_position: StartingPosition::default(),
            filters: Vec::new(),
            response_type: ResponseType::default(),
            on_error: OnError::default(),
            maximum_retry_attempts: None,
            maximum_record_age: None,
            on_failure_destination: None,
            poll_interval: Duration::from_millis(10),
            retry_delay: Duration::from_millis(100),
        }
    }
}

/// Why a mapping does not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// An option is outside its limits.
    #[error("{option} must be {limits}")]
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// Its limits.
        limits: &'static str,
    },
    /// A filter is no valid pattern.
    #[error("the filter pattern {pattern} is not valid")]
    Filter {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// There is no such stream.
    #[error("there is no stream {0}")]
    NoSuchStream(String),
    /// The checkpoint can't be read.
    #[error("the checkpoint can't be read")]
    Checkpoint(#[from] io::Error),
}

/// What a mapping works with.
pub(crate) struct Source {
    pub(crate) options: MappingOptions,
    pub(crate) filter: Filter,
    pub(crate) services: Services,
    pub(crate) functions: Arc<Functions>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) region: String,
}

/// A running mapping; it ends when it is dropped.
pub struct Mapping {
    source: Arc<Source>,
    polling: JoinHandle<()>,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Mapping {
    pub(crate) fn begin(source: Source) -> Self {
        let source = Arc::new(source);
        let polling = tokio::spawn(poll::poll(Arc::clone(&source)));
        Self { source, polling }
    }

    pub(crate) fn handle(&self) -> AbortHandle {
        self.polling.abort_handle()
    }

    /// How far every shard is, as far as it has been looked at.
    pub fn status(&self) -> Vec<ShardStatus> {
        self.source.progress.status()
    }

    /// Waits until every record that the stream holds now is done or given up.
    ///
    /// Under unlimited retries that may be never: give it a deadline.
    pub async fn drain(&self) {
        let stream = &self.source.options.stream;
        let services = &self.source.services;
        let Ok(facts) = services.stream(stream).await else { return };
        let mut newest = Vec::new();
        for (index, shard) in facts.shards.into_iter().enumerate() {
            let checkpoint = self.source.progress.checkpoint(&shard.id);
            let last = services.last_sequence(stream, (index, &shard), checkpoint.as_deref()).await;
            if let Some(last) = last {
                newest.push((shard.id, last));
            }
        }
        self.source.progress.reached(&newest).await;
    }

    /// Ends it in the middle of whatever it does; what was under way comes again when it begins again.
    pub fn stop(&self) {
        self.polling.abort();
    }
}

impl MappingOptions {
    pub(crate) fn check(&self) -> Result<Filter, MappingError> {
        let limits = [
            ("batch_size", (1..=10_000).contains(&self.batch_size), "1 to 10,000"),
            ("parallelization_factor", (1..=10).contains(&self.parallelization_factor), "1 to 10"),
            ("batching_window", self.batching_window <= Duration::from_mins(5), "at most 300 seconds"),
            ("filters", self.filters.len() <= 5, "at most 5"),
        ];
        if let Some((option, _, limits)) = limits.into_iter().find(|(_, fits, _)| !fits) {
            return Err(MappingError::OutOfRange { option, limits });
        }
        Filter::parse(&self.filters)
    }
}
