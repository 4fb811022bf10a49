//! One stream of an import: what it holds already, and the commits that go on top, in the order of the file.
//!
//! 1. A stream that is met for the first time is presumed to be new, if the last one that was met so proved to be. Otherwise
//!    its commit ids are read, from its head and, where it has any, its pages: the store itself knows the newest hundred only
//!    (H8). What stands is a repeat. The ids of the newest head write still go through the store, which publishes them if the
//!    run that wrote them did not come so far.
//! 2. The rest is appended, many at a time, so that the store commits them together. Each expects the one before it to be
//!    the newest: whatever happens to one, and whatever others write, none of the later ones can take its place. They are
//!    handed over in order, by polling each once.
//! 3. What was not committed, because an answer was lost, the world failed or somebody else wrote the stream, is tried
//!    again from 1, with growing pauses, until [`TRIES`] rounds in a row brought nothing; at once, where the stream was
//!    presumed to be new and is not.

use std::{collections::HashSet, time::Duration};

use futures::{TryStreamExt, future::maybe_done};
use headwater::{
    CommitId, Expected, Options, Store, StoreError, StreamId, Version,
    port::{Entropy, backoff},
    read::{HeadRead, Reader},
};

use super::line::{BadLine, Line};

/// Lines that are handed to the store together.
const TOGETHER: usize = 1_024;
/// Rounds without progress after which a stream is given up.
const TRIES: usize = 6;
/// Bytes that a remembered id takes beside its text.
const ID_BYTES: u64 = 64;

/// What a stream holds; by default nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct History {
    /// The newest commit, and the version at which it ends.
    newest: Option<(Version, CommitId)>,
    ids: HashSet<CommitId>,
    /// Those of the newest head write, if this run did not write it.
    newest_write: HashSet<CommitId>,
    bytes: u64,
}

impl History {
    /// Reads the stream.
    async fn read(reader: &Reader, stream: &StreamId) -> Result<Self, StoreError> {
        let mut history = Self::default();
        let HeadRead::Found { head, .. } = reader.head(stream, None).await? else { return Ok(history) };
        history.newest_write = head.newest_commits().iter().map(|commit| commit.id.clone()).collect();
        if !head.pages.is_empty() {
            let mut commits = std::pin::pin!(reader.stream(stream.clone(), Version::new(1)));
            while let Some(commit) = commits.try_next().await? {
                // The head may have grown since; what it has now is not lost, it is only not the newest write.
                history.add(&commit.id, commit.last);
            }
        }
        head.commits.iter().for_each(|commit| history.add(&commit.id, commit.last));
        Ok(history)
    }

    fn add(&mut self, id: &CommitId, last: Version) {
        if self.newest.as_ref().is_none_or(|(version, _)| *version < last) {
            self.newest = Some((last, id.clone()));
        }
        if self.ids.insert(id.clone()) {
            self.bytes += id.as_str().len() as u64 + ID_BYTES;
        }
    }

    /// Nothing of the stream is known to stand.
    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + 2 * ID_BYTES
    }
}

/// What became of some lines of one stream.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) stream: StreamId,
    /// What the stream holds now; `None` where that is not known.
    pub(super) history: Option<History>,
    /// Whether the stream stood already when it was first met, if this was when.
    pub(super) stood: Option<bool>,
    /// Bytes of the lines.
    pub(super) bytes: u64,
    /// How many lines they were.
    pub(super) lines: usize,
    pub(super) commits: u64,
    pub(super) events: u64,
    pub(super) repeats: u64,
    /// Lines that the store refused.
    pub(super) bad: Vec<BadLine>,
    /// The first line that was given up, and why.
    pub(super) lost: Option<(u64, StoreError)>,
}

/// Commits lines of one stream.
pub(super) struct Committer<'a> {
    pub(super) store: &'a Store,
    pub(super) entropy: &'a dyn Entropy,
    /// Go on behind a line that the store refuses.
    pub(super) skip_bad: bool,
}

/// What one round left.
enum Left {
    /// These lines, to be tried again.
    Lines(Vec<Line>, Option<StoreError>),
    /// These lines, of a stream that was presumed to be new and is not.
    Unread(Vec<Line>),
    /// The stream can't be written.
    Fatal(u64, StoreError),
}

impl Committer<'_> {
    /// Commits `lines`, all of one stream and in their order, on top of its `history`.
    pub(super) async fn commit(&self, stream: StreamId, lines: Vec<Line>, history: Option<History>) -> Done {
        let bytes = lines.iter().map(|line| line.bytes).sum();
        let mut done = Done {
            stream,
            history,
            stood: None,
            bytes,
            lines: lines.len(),
            commits: 0,
            events: 0,
            repeats: 0,
            bad: Vec::new(),
            lost: None,
        };
        let mut rest = lines.into_iter();
        loop {
            let together: Vec<Line> = rest.by_ref().take(TOGETHER).collect();
            if together.is_empty() {
                return done;
            }
            done.lost = self.persist(&mut done, together).await;
            if done.lost.is_some() || self.stops(&done) {
                return done;
            }
        }
    }

    fn stops(&self, done: &Done) -> bool {
        !self.skip_bad && !done.bad.is_empty()
    }

    /// Goes round until no line is left; or tells the first one that is, and why.
    async fn persist(&self, done: &mut Done, mut lines: Vec<Line>) -> Option<(u64, StoreError)> {
        let mut pauses = backoff(self.entropy, Duration::from_millis(100), Duration::from_secs(5));
        let (mut tries, mut unknown) = (0, HashSet::new());
        loop {
            let number = lines.first().map(|line| line.number)?;
            let before = lines.len();
            let error = match self.round(done, lines, &mut unknown).await {
                Left::Fatal(number, error) => return Some((number, error)),
                Left::Unread(left) => {
                    lines = left;
                    continue;
                }
                Left::Lines(left, error) => {
                    lines = left;
                    error
                }
            };
            if self.stops(done) {
                return None;
            }
            if lines.len() < before {
                tries = 0;
                continue;
            }
            tries += 1;
            if tries == TRIES {
                let gone = || StoreError::Unavailable("the store did not answer".into());
                return Some((number, error.unwrap_or_else(gone)));
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    /// Hands every line that is no repeat to the store, in order, and waits for all answers.
    async fn round(&self, done: &mut Done, lines: Vec<Line>, unknown: &mut HashSet<CommitId>) -> Left {
        let mut history = match done.history.take() {
            Some(history) => history,
            None => match History::read(self.store.reader(), &done.stream).await {
                Ok(history) => {
                    done.stood.get_or_insert(!history.is_empty());
                    history
                }
                Err(error @ (StoreError::Corrupt { .. } | StoreError::Denied(_))) => {
                    return Left::Fatal(lines.first().map_or(0, |line| line.number), error);
                }
                Err(error) => return Left::Lines(lines, Some(error)),
            },
        };
        let presumed = history.is_empty();
        let (mut calls, mut left, mut error) = (Vec::new(), Vec::new(), None);
        let mut before = history.newest.as_ref().map(|(_, id)| id.clone());
        let mut handed = HashSet::new();
        for line in lines {
            let stands = history.ids.contains(&line.id);
            if stands && !history.newest_write.contains(&line.id) {
                done.count(&line, !unknown.remove(&line.id));
                continue;
            }
            if !handed.insert(line.id.clone()) {
                // Its first occurrence has to be answered before it is known to be a repeat.
                left.push(line);
                continue;
            }
            let options = Options {
                commit_id: Some(line.id.clone()),
                expected: before.clone().map_or(Expected::NoStream, Expected::After),
                // If it is not, what the store has forgotten is a repeat all the same.
                repeats_after: presumed.then_some(Version::ZERO),
                meta: line.meta.clone(),
                at: Some(line.at),
                ..Options::default()
            };
            if !stands {
                before = Some(line.id.clone());
            }
            let (store, stream, events) = (self.store.clone(), line.stream.clone(), line.events.clone());
            let mut call = Box::pin(maybe_done(async move { store.append(&stream, events, options).await }));
            // The first poll puts it into the stream's queue, behind those before it.
            let _ = futures::poll!(call.as_mut());
            calls.push((line, call));
        }
        let (mut certain, mut stood) = (true, false);
        for (line, mut call) in calls {
            call.as_mut().await;
            match call.as_mut().take_output() {
                Some(Ok(appended)) => {
                    stood |= appended.repeat;
                    let repeat = appended.repeat && !unknown.remove(&line.id);
                    history.add(&line.id, appended.commit.last);
                    history.newest_write.remove(&line.id);
                    done.count(&line, repeat);
                }
                Some(Err(StoreError::Invalid { field, rule })) => {
                    certain = false;
                    done.bad.push(BadLine::new(line.number, field, rule));
                }
                Some(Err(fatal @ (StoreError::Corrupt { .. } | StoreError::Denied(_)))) => {
                    return Left::Fatal(line.number, fatal);
                }
                Some(Err(StoreError::Conflict { .. })) if presumed => {
                    stood = true;
                    left.push(line);
                }
                Some(Err(failed)) => {
                    certain = false;
                    if matches!(failed, StoreError::Unknown { .. }) {
                        unknown.insert(line.id.clone());
                    }
                    error.get_or_insert(failed);
                    left.push(line);
                }
                None => left.push(line),
            }
        }
        left.sort_by_key(|line| line.number);
        // Beside a repeat, or what somebody else wrote, a stream that was presumed to be new may hold anything.
        if presumed && stood {
            // Behind a line that was refused there is a conflict in a new stream too.
            if done.bad.is_empty() {
                done.stood = Some(true);
                if error.is_none() {
                    return Left::Unread(left);
                }
            }
        } else if certain {
            if presumed {
                done.stood = Some(false);
            }
            done.history = Some(history);
        }
        Left::Lines(left, error)
    }
}

impl Done {
    fn count(&mut self, line: &Line, repeat: bool) {
        if repeat {
            self.repeats += 1;
        } else {
            self.commits += 1;
            self.events += line.events.len() as u64;
        }
    }
}
