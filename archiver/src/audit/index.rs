//! What S3 holds, as a digest of each commit, and what was met of it elsewhere.

use std::{
    collections::{BTreeMap, btree_map::Entry as MapEntry},
    hash::{DefaultHasher, Hasher},
};

use headwater::{
    StoreError, StreamId, Version,
    format::commit::Commit,
    invariants::{History, Invariant},
    read::{HeadRead, Reader},
};
use jiff::Timestamp;

use super::{Fate, Finding};
use crate::relay::SLACK;

/// Every stream.
pub(super) struct Index {
    reader: Reader,
    streams: BTreeMap<StreamId, Entry>,
}

/// A stream.
pub(super) struct Entry {
    /// Its version when its head was read last.
    pub(super) version: Version,
    /// When S3 stored that head.
    pub(super) modified: Timestamp,
    newest_write: Version,
    settled: bool,
    /// Nothing is said against a stream that can't be read, except that.
    readable: bool,
    commits: Vec<Kept>,
    /// The version behind the newest that was met.
    next: Version,
    /// When the commits arrived that are not archived yet.
    waiting: BTreeMap<Version, Timestamp>,
}

/// A commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) first: Version,
    pub(super) last: Version,
    digest: u64,
    archived: bool,
}

/// Where a commit was met.
#[derive(Debug, Clone, Copy)]
pub(super) enum Met<'a> {
    /// In this segment.
    Archived(&'a str),
    /// In this shard behind its archive, where it arrived then.
    Arrived(&'a str, Timestamp),
}

impl Index {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, streams: BTreeMap::new() }
    }

    /// Adds a stream, or what has come to it since.
    pub(super) fn add(&mut self, history: &History, modified: Timestamp) {
        let stream = history.head.stream.clone();
        let entry = self.streams.entry(stream).or_insert_with(Entry::empty);
        entry.grow(history, modified);
    }

    /// Adds a stream that can't be read.
    pub(super) fn unreadable(&mut self, stream: StreamId) {
        self.streams.insert(stream, Entry { readable: false, ..Entry::empty() });
    }

    /// All streams.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&StreamId, &Entry)> {
        self.streams.iter()
    }

    /// A commit was met: tells what is wrong with it, if anything is.
    pub(super) async fn meet(
        &mut self,
        stream: &StreamId,
        commit: &Commit,
        met: Met<'_>,
    ) -> Result<Vec<Finding>, StoreError> {
        if self.streams.get(stream).is_none_or(|entry| entry.readable && entry.version < commit.last) {
            self.refresh(stream).await?;
        }
        let (id, first) = (&commit.id, commit.first);
        let Some(entry) = self.streams.get_mut(stream) else {
            let found = format!("commit {id} at {first} is {met}, and the stream has no head");
            return Ok(vec![Finding::promise(met.promise(), stream, found)]);
        };
        if !entry.readable {
            return Ok(Vec::new());
        }
        Ok(entry
            .meet(commit, met)
            .into_iter()
            .map(|found| {
                Finding::promise(met.promise(), stream, format!("commit {id} at {first} is {met}{found}"))
            })
            .collect())
    }

    /// Reads a head once more.
    async fn refresh(&mut self, stream: &StreamId) -> Result<(), StoreError> {
        let HeadRead::Found { head, modified, .. } = self.reader.head(stream, None).await? else {
            return Ok(());
        };
        let after = self.streams.get(stream).map(|entry| entry.version).unwrap_or_default();
        let commits = self.reader.commits(&head, after).await?;
        self.add(&History { head: *head, commits }, modified);
        Ok(())
    }
}

impl Entry {
    fn empty() -> Self {
        Self {
            version: Version::ZERO,
            modified: Timestamp::MIN,
            newest_write: Version::ZERO,
            settled: true,
            readable: true,
            commits: Vec::new(),
            next: Version::new(1),
            waiting: BTreeMap::new(),
        }
    }

    fn grow(&mut self, history: &History, modified: Timestamp) {
        let known = self.version;
        let new = history.commits.iter().filter(|commit| commit.first > known);
        self.commits.extend(new.map(|commit| Kept {
            first: commit.first,
            last: commit.last,
            digest: digest(commit),
            archived: false,
        }));
        (self.version, self.newest_write) = (history.head.version, history.head.newest_write);
        (self.settled, self.modified) = (history.head.is_settled(), modified);
    }

    /// What is wrong with a commit that was met, in words that follow on where.
    fn meet(&mut self, commit: &Commit, met: Met<'_>) -> Vec<&'static str> {
        let place = self.commits.partition_point(|kept| kept.first < commit.first);
        let Some(kept) = self.commits.get_mut(place).filter(|kept| kept.first == commit.first) else {
            return vec![", and does not stand in S3"];
        };
        let mut wrong = Vec::new();
        if kept.digest != digest(commit) {
            wrong.push(", and S3 holds it in other words");
        }
        match met {
            // A record that comes again is a repeat, and no fault.
            Met::Arrived(_, at) if !kept.archived => match self.waiting.entry(commit.first) {
                MapEntry::Vacant(free) => {
                    free.insert(at);
                }
                MapEntry::Occupied(_) => return wrong,
            },
            Met::Arrived(..) => return wrong,
            Met::Archived(_) if kept.archived => {
                wrong.push(", and was archived before");
                return wrong;
            }
            Met::Archived(_) => kept.archived = true,
        }
        if commit.first < self.next {
            wrong.push(", behind versions that came before it");
        }
        self.next = self.next.max(commit.last.next());
        wrong
    }

    /// The commits that are not archived, in version order.
    pub(super) fn unarchived(&self) -> Vec<Kept> {
        self.commits.iter().filter(|kept| !kept.archived).copied().collect()
    }

    /// What became of one of them. What the watermark has passed was published.
    pub(super) fn fate(&self, kept: &Kept, watermark: Timestamp) -> Fate {
        let verified =
            self.settled || self.modified.checked_add(SLACK).is_ok_and(|stored| stored <= watermark);
        match self.waiting.get(&kept.first) {
            Some(arrived) => Fate::Waiting(*arrived),
            None if kept.first >= self.newest_write && !verified => Fate::Unpublished,
            None => Fate::Lost,
        }
    }
}

impl Met<'_> {
    /// What is broken where it should not be there.
    fn promise(self) -> Invariant {
        match self {
            Self::Archived(_) => Invariant::H10,
            Self::Arrived(..) => Invariant::H3,
        }
    }
}

impl std::fmt::Display for Met<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archived(key) => write!(f, "archived in {key}"),
            Self::Arrived(shard, at) => write!(f, "in {shard} since {at}"),
        }
    }
}

/// What a commit says, all of it.
fn digest(commit: &Commit) -> u64 {
    let mut hasher = DefaultHasher::new();
    // A commit that was read can be written.
    hasher.write(&serde_json::to_vec(commit).unwrap_or_default());
    hasher.finish()
}
