//! `headwater import`: existing histories, as JSON lines, become streams.
//!
//! ```text
//!  lines     a thread reads and checks them (line), some ahead
//!  here      they wait with the others of their stream, up to a bound; N streams are written at a time
//!  history   what a stream holds already is passed over, the rest is appended in the order of the file
//!  published whether an earlier run published what it committed is not known, and seen to in the end
//!  summary   what came of it
//! ```
//!
//! A line's `id` is its commit's id, so that an import that broke off anywhere is simply run again: what stands is a
//! repeat. What stands under that id and says something else is an error, and so is a line that is no commit: it stops the
//! import when every line before it is committed, or is counted (`--skip-bad`).
//!
//! Memory is bounded: the lines that wait (`WAITING_BYTES`, `WAITING_LINES`), and what is remembered of streams
//! (`REMEMBERED_BYTES`; one that was forgotten is read again). Beside that a stream's name takes 16 bytes, for the count.

mod content;
mod history;
mod line;
mod lines;
mod published;
mod summary;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};

use clap::Args as Arguments;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use headwater::{Settings, Store, StoreError, StreamId};
use indicatif::ProgressBar;
use quick_cache::{Weighter, unsync::Cache};
use tokio::{sync::mpsc, time::Instant};

use self::{
    content::Contents,
    history::{Committer, Done, History},
    lines::Next,
    published::Unsure,
};
pub use self::{
    line::{BadLine, LINE_BYTES, Line, parse},
    summary::Summary,
};
use crate::{
    failure::Failure,
    output::{Output, complain, progress},
    target::{Connection, Need, Target},
};

/// Most bytes of lines that wait or are being committed; one batch more may come.
const WAITING_BYTES: u64 = 64 << 20;
/// Most lines that wait or are being committed.
const WAITING_LINES: usize = 16_384;
/// Bytes of commit ids that stay in memory.
const REMEMBERED_BYTES: u64 = 128 << 20;
/// Streams that are remembered whose newest write may be unpublished.
const UNSURE: usize = 65_536;
/// Bad lines that are shown one by one; more are only counted.
const SHOWN: u64 = 20;
/// How long the end waits for Kinesis.
const DRAIN: Duration = Duration::from_mins(1);

/// Import existing histories, one commit per JSON line; run it again to resume
///
/// A line reads {"stream":"permit/1","id":"a-1","at":"2010-10-02T09:20:39+02:00","events":[{"type":"Sent","data":{}}]};
/// an event may have a "schema", a line a "meta". The id names the commit: a second run adds nothing, and other content under an
/// id that exists is an error. Lines of `headwater replay --commits` have the versions "first" and "last" as well, and are
/// restored at just these.
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The file; - is stdin
    pub file: PathBuf,
    /// Streams that are written at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Pass over lines that are no commits, or others than those that exist, and count them; otherwise the first one stops the
    /// import
    #[arg(long)]
    pub skip_bad: bool,
    /// The summary as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// Why an import stopped. Running it again resumes it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be opened.
    #[error("{file} can't be opened: {source}")]
    Open {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The input broke off.
    #[error("the input can't be read any further ({0}): run the same import again, it resumes")]
    Read(#[source] io::Error),
    /// A line is no commit, or another than the one that exists under its id or at its version.
    #[error(
        "{0}; nothing of this line is committed, every line before it is: mend it and run the same import again, or give --skip-bad"
    )]
    Bad(BadLine),
    /// A stream could not be written.
    #[error("line {number}, stream {stream}: {source}; run the same import again, it resumes")]
    Store {
        /// The first line that is not committed, as far as is known.
        number: u64,
        /// Its stream.
        stream: StreamId,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// How an import goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Streams that are written at a time.
    pub concurrency: u16,
    /// Pass over bad lines.
    pub skip_bad: bool,
}

/// Imports the file and shows the summary on stdout.
pub async fn run(args: Args) -> Result<(), Failure> {
    let (input, length) = open(&args)?;
    let connection = args.target.connect(&[Need::Writes, Need::Stream]).await?;
    let bar = progress(length);
    let plan = Plan { concurrency: args.concurrency, skip_bad: args.skip_bad };
    let (summary, ended) = import(&connection, input, plan, &bar).await;
    bar.finish_and_clear();
    let mut output = Output::stdout(args.json);
    output.line(&summary)?;
    output.flush()?;
    Ok(ended?)
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::Other(error.into())
    }
}

fn open(args: &Args) -> Result<(Box<dyn Read + Send>, Option<u64>), ImportError> {
    if args.file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |source| ImportError::Open { file: args.file.display().to_string(), source };
    let file = File::open(&args.file).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((Box::new(file), (length > 0).then_some(length)))
}

/// Imports all lines of `input`. Dropping the future leaves an import that can be resumed.
pub async fn import(
    connection: &Connection,
    input: impl Read + Send + 'static,
    plan: Plan,
    bar: &ProgressBar,
) -> (Summary, Result<(), ImportError>) {
    let began = Instant::now();
    let store = Store::new(
        connection.ports.clone(),
        Settings { deadline: Duration::from_mins(1), ..Settings::default() },
    );
    let (entropy, contents) = (&*connection.ports.entropy, Contents::default());
    let committer = Committer { store: &store, entropy, contents, skip_bad: plan.skip_bad };
    let mut import = Import::new(plan, bar);
    let mut ended = match lines::lines(input) {
        Ok(lines) => import.all(connection, &committer, lines).await,
        Err(error) => Err(ImportError::Read(error)),
    };
    if let (Ok(()), Some(bad)) = (&ended, import.stopped.take()) {
        ended = Err(ImportError::Bad(bad));
    }
    if !matches!(ended, Err(ImportError::Store { .. })) {
        import.see_to_unsure(connection).await;
    }
    let mut summary = import.summary;
    let patience = if matches!(ended, Err(ImportError::Store { .. })) { Duration::ZERO } else { DRAIN };
    summary.unpublished += store.drain(patience).await as u64;
    summary.took(began.elapsed());
    (summary, ended)
}

/// An import under way.
struct Import<'a> {
    plan: Plan,
    bar: &'a ProgressBar,
    /// The lines of each stream that wait.
    waiting: HashMap<StreamId, Vec<Line>>,
    /// Streams with lines that nobody writes, in the order of their first line.
    ready: VecDeque<StreamId>,
    /// Streams that are being written.
    busy: HashSet<StreamId>,
    /// Lines that wait or are being committed, and their bytes.
    lines: usize,
    bytes: u64,
    /// What streams hold that were written and may come again.
    histories: Cache<StreamId, History, Bytes>,
    /// Streams that are met for the first time are presumed to be new, as the last one was that was met so.
    presumes: bool,
    /// Heads of an earlier run whose newest write may be unpublished.
    unsure: BTreeMap<StreamId, Unsure>,
    streams: HashSet<u64>,
    hasher: RandomState,
    /// The bad line that stops the import.
    stopped: Option<BadLine>,
    summary: Summary,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<StreamId, History> for Bytes {
    fn weight(&self, stream: &StreamId, history: &History) -> u64 {
        stream.as_str().len() as u64 + history.bytes()
    }
}

impl<'a> Import<'a> {
    fn new(plan: Plan, bar: &'a ProgressBar) -> Self {
        let streams = usize::try_from(REMEMBERED_BYTES >> 10).unwrap_or(usize::MAX);
        Self {
            plan,
            bar,
            waiting: HashMap::new(),
            ready: VecDeque::new(),
            busy: HashSet::new(),
            lines: 0,
            bytes: 0,
            histories: Cache::with_weighter(streams, REMEMBERED_BYTES, Bytes),
            presumes: false,
            unsure: BTreeMap::new(),
            streams: HashSet::new(),
            hasher: RandomState::new(),
            stopped: None,
            summary: Summary::default(),
        }
    }

    /// Takes lines in while there is room, and only then waits for commits: lines of one stream that come together are
    /// committed together.
    async fn all(
        &mut self,
        connection: &Connection,
        committer: &Committer<'_>,
        mut lines: mpsc::Receiver<Vec<Next>>,
    ) -> Result<(), ImportError> {
        let mut writing: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
        let mut open = true;
        loop {
            let room = self.lines < WAITING_LINES && self.bytes < WAITING_BYTES;
            tokio::select! {
                biased;
                next = lines.recv(), if open && room => match next {
                    Some(batch) => for next in batch {
                        open = open && self.take(next.map_err(ImportError::Read)?);
                    },
                    None => open = false,
                },
                Some(done) = writing.next() => open = self.settle(done)? && open,
                else => return Ok(()),
            }
            if self.unsure.len() >= UNSURE {
                self.see_to_unsure(connection).await;
            }
            while writing.len() < usize::from(self.plan.concurrency)
                && let Some(stream) = self.ready.pop_front()
            {
                let lines = self.waiting.remove(&stream).unwrap_or_default();
                let history = self.histories.remove(&stream).map(|(_, history)| history);
                let history = history.filter(|history| self.presumes || !history.is_empty());
                self.busy.insert(stream.clone());
                writing.push(Box::pin(committer.commit(stream, lines, history)));
            }
        }
    }

    /// Sees to it that what an earlier run committed is published.
    async fn see_to_unsure(&mut self, connection: &Connection) {
        self.summary.unpublished += published::see_to(connection, std::mem::take(&mut self.unsure)).await;
    }

    /// Takes a line in; tells whether to go on.
    fn take(&mut self, next: Result<Line, BadLine>) -> bool {
        self.summary.lines += 1;
        let line = match next {
            Ok(line) => line,
            Err(bad) => {
                self.summary.bad += 1;
                return self.refuse(bad);
            }
        };
        self.lines += 1;
        self.bytes += line.bytes;
        if self.streams.insert(self.hasher.hash_one(&line.stream)) {
            self.summary.streams += 1;
            self.histories.insert(line.stream.clone(), History::default());
        }
        if !self.waiting.contains_key(&line.stream) && !self.busy.contains(&line.stream) {
            self.ready.push_back(line.stream.clone());
        }
        self.waiting.entry(line.stream.clone()).or_default().push(line);
        true
    }

    /// Shows a bad line that was counted, or keeps it for the end; tells whether to go on.
    fn refuse(&mut self, bad: BadLine) -> bool {
        if self.plan.skip_bad {
            if self.summary.bad + self.summary.other <= SHOWN {
                self.bar.suspend(|| complain(&bad.to_string()));
            }
            return true;
        }
        if self.stopped.as_ref().is_none_or(|first| bad.number < first.number) {
            self.give_up_after(bad.number);
            self.stopped = Some(bad);
        }
        false
    }

    /// Takes out the lines that wait and come after line `number`: those of its stream would stand in its place.
    fn give_up_after(&mut self, number: u64) {
        for line in
            self.waiting.values_mut().flat_map(|lines| lines.extract_if(.., |line| line.number > number))
        {
            self.lines -= 1;
            self.bytes -= line.bytes;
        }
    }

    /// Notes what became of some lines; tells whether to go on.
    fn settle(&mut self, done: Done) -> Result<bool, ImportError> {
        self.lines -= done.lines;
        self.bytes -= done.bytes;
        self.busy.remove(&done.stream);
        if self.waiting.contains_key(&done.stream) {
            self.ready.push_back(done.stream.clone());
        }
        self.presumes = done.stood.map_or(self.presumes, |stood| !stood);
        self.summary.commits += done.commits;
        self.summary.events += done.events;
        self.summary.repeats += done.repeats;
        self.bar.inc(done.bytes);
        self.bar.set_message(self.summary.progress());
        if let Some((number, source)) = done.lost {
            return Err(ImportError::Store { number, stream: done.stream, source });
        }
        if let Some(history) = done.history {
            match history.unsure {
                Some(unsure) => self.unsure.insert(done.stream.clone(), unsure),
                None => self.unsure.remove(&done.stream),
            };
            self.histories.insert(done.stream, history);
        }
        let mut go_on = true;
        for bad in done.bad {
            self.summary.bad += 1;
            go_on = self.refuse(bad) && go_on;
        }
        for other in done.other {
            self.summary.other += 1;
            go_on = self.refuse(other) && go_on;
        }
        Ok(go_on)
    }
}
