//! The audit: everything in heads and pages against everything in the archive, both ways.
//!
//! ```text
//!  1. S3's time, and the relay's watermark
//!  2. every head with its pages: one history (H1), the checks of the domain ([`check`]);
//!     of each commit a digest is kept ([`index`])
//!  3. every chain, parents first, segment after segment ([`walk`]): each commit is one that S3 holds, word for word (H2, H3),
//!     was not archived before, and comes in version order (H4, H10)
//!  4. every shard behind its chain, to its end: the same, and it is not archived yet
//!  5. what was not met: not archived yet, or in no record (at most the newest write, H5), or lost
//!  6. what lies in quarantine, for information
//!  7. what exists and no check has the code of ([`coverage`])
//!  8. repair: publish what is in no record, as the relay does
//! ```
//!
//! The store goes on meanwhile, so the order matters: what a head holds when it is read has been published when the shards are
//! read, all but its newest write. A commit that is met in the archive and was not there when its head was read makes the head
//! be read once more.
//!
//! What is behind is no finding before a time of [grace](Audit::grace): views, the archive, and newest writes whose writers
//! are at it. What can't be read is a finding, and the audit goes on behind it; only services that do not answer end it.
//!
//! In memory it has a digest of each commit, some 24 bytes, and the streams' names; for a moment the keys of views, timers or
//! claims; and what [`check`]s hold.

pub mod check;
mod coverage;
mod differ;
mod index;
pub mod states;
pub mod unique;
pub mod views;
mod walk;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Write},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use headwater::{
    StoreError, StreamId, Version,
    format::{key, watermark::Watermark},
    invariants::{self, History, Invariant, Violation},
    limits,
    port::{Got, ObjectError, Objects, Ports},
    read::Reader,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use self::{
    check::{Check, Part},
    index::{Index, Kept},
};
use crate::{
    chain::{ChainError, pauses, repeat},
    relay::deliver::{deliver, standing},
    shard::Unread,
};

/// Streams that are read at a time.
const STREAMS_AT_A_TIME: usize = 16;
/// How long an operation is repeated while a service does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is audited, and how.
pub struct Audit {
    /// The store's bucket and the stream.
    pub ports: Ports,
    /// The archive's bucket.
    pub archive: Arc<dyn Objects>,
    /// The Kinesis stream's name.
    pub stream: String,
    /// How long views, archive and publication may be behind.
    pub grace: SignedDuration,
    /// What else is looked at in every stream's history.
    pub checks: Vec<Box<dyn Check>>,
    /// Publish what nobody has published, and claim what a state holds and nobody claims.
    pub repair: bool,
}

/// Something that is not as it should be, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is not so.
    pub finding: What,
    /// The stream, or the object's key.
    pub place: String,
    /// What was found there.
    pub found: String,
    /// It was mended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repaired: bool,
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Something that should stand does not, or can't be read.
    Damage,
    /// A promise of the domain.
    Domain,
    /// A snapshot is not what its stream's events make.
    Snapshot,
    /// H1 to H11.
    #[serde(untagged)]
    Promise(Invariant),
}

/// What an audit has looked at, and what it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Streams with a head.
    pub streams: u64,
    /// Their commits.
    pub commits: u64,
    /// Segments of the archive.
    pub segments: u64,
    /// Commits in them.
    pub archived: u64,
    /// Commits that have arrived in Kinesis, and are not archived yet.
    pub waiting: u64,
    /// Commits that nobody has published, newest writes all of them.
    pub unpublished: u64,
    /// What was mended: streams whose newest write was published, values that were claimed.
    pub repaired: u64,
    /// Records in quarantine.
    pub quarantined: u64,
    /// What exists and no check has the code of. Where this is not empty, no finding is no clean bill.
    pub unchecked: BTreeSet<Part>,
    /// What the checks counted.
    pub checked: BTreeMap<String, u64>,
    /// Findings that were not repaired.
    pub findings: u64,
}

/// Who is told how it goes.
pub trait Listener: Send {
    /// Something new begins; `total` is how many steps it has, where that is known.
    fn begins(&mut self, what: &str, total: Option<u64>);
    /// A step is done.
    fn step(&mut self);
    /// Something was found.
    fn found(&mut self, finding: &Finding);
}

/// Why an audit ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// S3 does not say what time it is.
    #[error("S3 does not answer: {0}")]
    Objects(#[from] ObjectError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive does not answer.
    #[error(transparent)]
    Archive(#[from] ChainError),
    /// A shard does not answer.
    #[error(transparent)]
    Shard(#[from] Unread),
}

impl Finding {
    /// A finding.
    pub fn new(what: What, place: impl Display, found: impl Into<String>) -> Self {
        Self { finding: what, place: place.to_string(), found: found.into(), repaired: false }
    }

    fn promise(invariant: Invariant, place: impl Display, found: impl Into<String>) -> Self {
        Self::new(What::Promise(invariant), place, found)
    }
}

impl From<Violation> for Finding {
    fn from(Violation { invariant, place, found }: Violation) -> Self {
        Self::promise(invariant, place, found)
    }
}

impl Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage => f.write_str("damage"),
            Self::Domain => f.write_str("domain"),
            Self::Snapshot => f.write_str("snapshot"),
            Self::Promise(invariant) => write!(f, "{invariant:?} ({})", invariant.promise()),
        }
    }
}

/// Sorts an error: what can't be read for what stands there is a finding, and all else ends the audit.
fn damage(error: StoreError) -> Result<Finding, StoreError> {
    match error {
        StoreError::Corrupt { key, reason } => Ok(Finding::new(What::Damage, key, reason)),
        other => Err(other),
    }
}

/// An audit under way.
struct Run<'a> {
    audit: &'a Audit,
    reader: Reader,
    index: Index,
    summary: Summary,
    listener: &'a mut dyn Listener,
    /// Segments are missing or can't be read: what is not archived may have been.
    damaged: bool,
}

impl Audit {
    /// Looks at everything, and tells `listener` what it finds.
    pub async fn run(&self, listener: &mut dyn Listener) -> Result<Summary, AuditError> {
        let reader = Reader::new(&self.ports).with_patience(PATIENCE);
        let index = Index::new(reader.clone());
        let mut run =
            Run { audit: self, reader, index, summary: Summary::default(), listener, damaged: false };
        let now = || self.ports.objects.now();
        let begin = repeat(PATIENCE, pauses(&*self.ports.entropy), now).await?;
        let watermark = run.watermark().await?;
        let kinds = run.heads(begin).await?;
        run.archive().await?;
        run.rest(begin, watermark).await?;
        run.quarantine().await?;
        run.coverage(kinds).await?;
        for check in &self.checks {
            run.summary.checked.extend(check.counts());
        }
        Ok(run.summary)
    }

    /// Whether what was stored, or arrived, at `at` is older than the grace.
    fn is_old(&self, begin: Timestamp, at: Timestamp) -> bool {
        begin.duration_since(at) > self.grace
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Run<'_> {
    fn find(&mut self, finding: &Finding) {
        if !finding.repaired {
            self.summary.findings += 1;
        }
        self.listener.found(finding);
    }

    fn find_all(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.find(&finding);
        }
    }

    /// The watermark; the end of time's other side where none can be read.
    async fn watermark(&mut self) -> Result<Timestamp, AuditError> {
        let Got::Found { body, .. } = self.reader.object(key::WATERMARK, None).await? else {
            return Ok(Timestamp::MIN);
        };
        match Watermark::decode(&body) {
            Ok(mark) => Ok(mark.through),
            Err(error) => {
                self.find(&Finding::new(What::Damage, key::WATERMARK, error.to_string()));
                Ok(Timestamp::MIN)
            }
        }
    }

    /// Step 2; tells the kinds that there are.
    async fn heads(&mut self, begin: Timestamp) -> Result<BTreeSet<String>, AuditError> {
        let mut streams = Vec::new();
        for key in self.reader.keys(key::HEADS).await? {
            match key::stream_of_head(&key) {
                Some(stream) => streams.push(stream),
                None => self.find(&Finding::new(What::Damage, key, "this is no head's key")),
            }
        }
        self.listener.begins("heads, pages and views", Some(streams.len() as u64));
        for check in &self.audit.checks {
            check.begin(&streams);
        }
        let kinds = streams.iter().map(|stream| stream.kind().to_owned()).collect();
        let (audit, reader) = (self.audit, self.reader.clone());
        let reads = streams.into_iter().map(|stream| {
            let reader = &reader;
            async move {
                let read = look(audit, reader, &stream, begin).await;
                (stream, read)
            }
        });
        let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffer_unordered(STREAMS_AT_A_TIME);
        while let Some((stream, read)) = reads.next().await {
            self.listener.step();
            self.summary.streams += 1;
            match read {
                Ok((history, modified, findings)) => {
                    self.summary.commits += history.commits.len() as u64;
                    self.index.add(&history, modified);
                    self.find_all(findings);
                }
                Err(error) => {
                    let finding = damage(error)?;
                    self.index.unreadable(stream);
                    self.find(&finding);
                }
            }
        }
        for check in &self.audit.checks {
            let end = check.end(&self.reader, self.audit.repair.then_some(&self.audit.ports)).await;
            let findings = end.or_else(|error| damage(error).map(|finding| vec![finding]))?;
            self.summary.repaired += findings.iter().filter(|finding| finding.repaired).count() as u64;
            self.find_all(findings);
        }
        Ok(kinds)
    }

    /// Step 5, and the repair.
    async fn rest(&mut self, begin: Timestamp, watermark: Timestamp) -> Result<(), AuditError> {
        self.listener.begins("what was not met", None);
        let (mut findings, mut unpublished) = (Vec::new(), BTreeMap::new());
        for (stream, entry) in self.index.entries() {
            for run in entry
                .unarchived()
                .chunk_by(|one, other| entry.fate(one, watermark) == entry.fate(other, watermark))
            {
                let Some((first, last)) = run.first().zip(run.last()) else { continue };
                let (span, commits) = (span(first, last), run.len() as u64);
                match entry.fate(first, watermark) {
                    Fate::Waiting(arrived) => {
                        self.summary.waiting += commits;
                        if self.audit.is_old(begin, arrived) {
                            let found = format!("{span}: arrived at {arrived}, and not archived");
                            findings.push(Finding::promise(Invariant::H10, stream, found));
                        }
                    }
                    // It may be in what is missing.
                    Fate::Unpublished if !self.damaged => {
                        self.summary.unpublished += commits;
                        if self.audit.is_old(begin, entry.modified) {
                            unpublished.insert(stream.clone(), (entry.version, span));
                        }
                    }
                    Fate::Unpublished if !self.audit.is_old(begin, entry.modified) => {}
                    Fate::Unpublished | Fate::Lost => {
                        let found = format!("{span}: not in the archive, nor behind it in Kinesis");
                        findings.push(Finding::promise(Invariant::H10, stream, found));
                    }
                }
            }
        }
        self.find_all(findings);
        self.undelivered(unpublished).await
    }

    /// Newest writes that nobody has published; with them the repair.
    async fn undelivered(&mut self, left: BTreeMap<StreamId, (Version, String)>) -> Result<(), AuditError> {
        let mut found: BTreeMap<StreamId, Finding> = BTreeMap::new();
        for (stream, (_, span)) in &left {
            let words = format!("{span}: in S3, and in no record");
            found.insert(stream.clone(), Finding::promise(Invariant::H6, stream, words));
        }
        if self.audit.repair {
            let missing = left.into_iter().map(|(stream, (version, _))| (stream, version)).collect();
            let last = Instant::now() + limits::PUBLISH_FOR / 2;
            let mut deliveries = pin!(deliver(&self.audit.ports, &self.reader, missing, last));
            while let Some((stream, delivered)) = deliveries.next().await {
                let Some(finding) = found.get_mut(&stream) else { continue };
                match delivered {
                    Ok(published) => {
                        finding.repaired = true;
                        finding.found.push_str(if published {
                            ": published now"
                        } else {
                            ": published since"
                        });
                        self.summary.repaired += 1;
                    }
                    Err(error) => {
                        // Writing to a string does not fail.
                        let _ = write!(finding.found, ": {error}");
                    }
                }
            }
        }
        self.find_all(found.into_values());
        Ok(())
    }

    /// Step 6.
    async fn quarantine(&mut self) -> Result<(), AuditError> {
        let archive = Ports { objects: Arc::clone(&self.audit.archive), ..self.audit.ports.clone() };
        let reader = Reader::new(&archive).with_patience(PATIENCE);
        let prefix = key::quarantined(&self.audit.stream);
        self.summary.quarantined = reader.keys(&prefix).await?.len() as u64;
        Ok(())
    }
}

/// Reads one stream whole, with everything that is to be checked of it.
async fn look(
    audit: &Audit,
    reader: &Reader,
    stream: &StreamId,
    begin: Timestamp,
) -> Result<(History, Timestamp, Vec<Finding>), StoreError> {
    let (head, modified) = standing(reader, stream).await?;
    let commits = reader.commits(&head, Version::ZERO).await?;
    let history = History { head, commits };
    let mut findings: Vec<Finding> =
        invariants::one_history(&history).into_iter().map(Finding::from).collect();
    findings.extend(invariants::committed_once(&history).into_iter().map(Finding::from));
    let old = audit.is_old(begin, modified);
    for check in &audit.checks {
        match check.stream(reader, &history, old).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(damage(error)?),
        }
    }
    Ok((history, modified, findings))
}

/// What became of a commit that is not archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It arrived at this time, and waits.
    Waiting(Timestamp),
    /// It belongs to the newest write, which nobody has published.
    Unpublished,
    /// It arrived once, and is nowhere now; or it never did, against H5.
    Lost,
}

/// The versions of some commits in a row.
fn span(first: &Kept, last: &Kept) -> String {
    if first.first == last.last {
        format!("version {}", first.first)
    } else {
        format!("versions {}..={}", first.first, last.last)
    }
}
