//! One stream of an import: what it holds already, and the commits that go on top, in the order of the file.
//!
//! 1. A stream that is met for the first time is presumed to be new, if the last one that was met so proved to be. Otherwise
//!    its commits are read, from its head and, where it has any, its pages: their ids, versions and what they say ([`Contents`]).
//! 2. A line that exists is a repeat. Without a version it exists if a commit of its id does; with one, if the commit at that
//!    version has its id: two commits of one id, far enough apart, are two commits, and both are restored. What exists must
//!    say the same, or the line is refused.
//! 3. The rest is appended, many at a time, so that the store commits them together. Each expects the one before it to be
//!    the newest: whatever happens to one, and whatever others write, none of the later ones can take its place. They are
//!    handed over in order, by polling each once. The store looks for repeats only behind what is known here: who else imports
//!    the same, or a stream that was presumed to be new. There the first line conflicts, whatever it is, so that a stream of
//!    one commit is not published in vain.
//! 4. What was not committed, because an answer was lost, the world failed or somebody else wrote the stream, is tried
//!    again from 1, with growing pauses, until [`TRIES`] rounds in a row brought nothing; at once, where the stream was
//!    presumed to be new and is not.
//!
//! Whether the newest write that was read is in Kinesis is not known here: [`published`](super::published) sees to it in the end.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    time::Duration,
};

use futures::{
    TryStreamExt,
    future::{BoxFuture, MaybeDone, maybe_done},
};
use headwater::{
    Appended, CommitId, Expected, Options, Store, StoreError, StreamId, Version,
    format::commit::Commit,
    limits,
    port::{Entropy, backoff},
    read::{HeadRead, Reader},
};

use super::{
    content::Contents,
    line::{BadLine, Line},
    published::Unsure,
};

/// Lines that are handed to the store together.
const TOGETHER: usize = 1_024;
/// Of them, those of a stream that is presumed to be new: if it is not, the store looks for each in vain.
const PRESUMED: usize = 64;
/// Rounds without progress after which a stream is given up.
const TRIES: usize = 6;
/// Behind every version.
const NOWHERE: Version = Version::new(limits::VERSION);
/// Bytes that a remembered commit takes beside the text of its id.
const COMMIT_BYTES: u64 = 128;

/// What a stream holds; by default nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct History {
    commits: Commits,
    /// Its newest write, if this run did not make it.
    pub(super) unsure: Option<Unsure>,
}

/// Commits that are known.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Commits {
    /// The newest one, and the version at which it ends.
    newest: Option<(Version, CommitId)>,
    by_id: HashMap<CommitId, Vec<Existing>>,
    bytes: u64,
}

/// A commit that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Existing {
    first: Version,
    /// What it says.
    content: u64,
}

/// What a line is to commits that are known.
enum Verdict {
    /// None of them.
    New,
    /// One of them.
    Repeat,
    /// It contradicts them.
    Refused(BadLine),
}

impl Commits {
    fn add(&mut self, id: &CommitId, first: Version, last: Version, content: u64) {
        if self.newest.as_ref().is_none_or(|(version, _)| *version < last) {
            self.newest = Some((last, id.clone()));
        }
        let same = self.by_id.entry(id.clone()).or_default();
        if !same.iter().any(|existing| existing.first == first) {
            same.push(Existing { first, content });
            self.bytes += id.as_str().len() as u64 + COMMIT_BYTES;
        }
    }

    fn version(&self) -> Version {
        self.newest.as_ref().map_or(Version::ZERO, |(version, _)| *version)
    }

    /// What a line is that says `content`.
    fn judge(&self, line: &Line, content: u64) -> Verdict {
        let same = self.by_id.get(&line.id).map(Vec::as_slice).unwrap_or_default();
        let says = |existing: &Existing| existing.content == content;
        let Line { number, stream, id, .. } = line;
        match line.first {
            None if same.is_empty() => Verdict::New,
            None if same.iter().any(says) => Verdict::Repeat,
            None => {
                let rule = format!(
                    "{id} exists in stream {stream} already, with other events, another time or another meta"
                );
                Verdict::Refused(BadLine::new(*number, "id", rule))
            }
            Some(first) if first > self.version() => Verdict::New,
            Some(first) if same.iter().any(|existing| existing.first == first && says(existing)) => {
                Verdict::Repeat
            }
            Some(first) => {
                let rule = format!(
                    "{first} of stream {stream} exists already, and is another commit than {id} of this line"
                );
                Verdict::Refused(BadLine::new(*number, "first", rule))
            }
        }
    }
}

impl History {
    /// Reads the stream.
    async fn read(reader: &Reader, stream: &StreamId, contents: &Contents) -> Result<Self, StoreError> {
        let mut history = Self::default();
        let HeadRead::Found { head, modified, .. } = reader.head(stream, None).await? else {
            return Ok(history);
        };
        history.unsure = (!head.is_settled()).then_some(Unsure { version: head.version, stored: modified });
        if !head.pages.is_empty() {
            let mut commits = std::pin::pin!(reader.stream(stream.clone(), Version::new(1)));
            while let Some(commit) = commits.try_next().await? {
                // The head may have grown since: what it has now is not lost, and who wrote it sees to its publication.
                history.add(&commit, contents.commit(&commit));
            }
        }
        head.commits.iter().for_each(|commit| history.add(commit, contents.commit(commit)));
        Ok(history)
    }

    fn add(&mut self, commit: &Commit, content: u64) {
        self.commits.add(&commit.id, commit.first, commit.last, content);
    }

    /// Nothing of the stream is known to stand.
    pub(super) fn is_empty(&self) -> bool {
        self.commits.newest.is_none()
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.commits.bytes + 2 * COMMIT_BYTES
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
    /// Lines whose commit exists, and says something else.
    pub(super) other: Vec<BadLine>,
    /// The first line that was given up, and why.
    pub(super) lost: Option<(u64, StoreError)>,
}

/// Commits lines of one stream.
pub(super) struct Committer<'a> {
    pub(super) store: &'a Store,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) contents: Contents,
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
            other: Vec::new(),
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
        !(self.skip_bad || done.bad.is_empty() && done.other.is_empty())
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
        let history = match done.history.take() {
            Some(history) => history,
            None => match History::read(self.store.reader(), &done.stream, &self.contents).await {
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
        let (calls, left) = self.hand_over(done, &history, lines, unknown).await;
        self.gather(done, history, (calls, left), unknown).await
    }

    /// Counts the repeats, and hands the new lines to the store until one contradicts what exists. Gives the calls, and the
    /// lines whose turn has not come.
    async fn hand_over(
        &self,
        done: &mut Done,
        history: &History,
        lines: Vec<Line>,
        unknown: &mut HashSet<CommitId>,
    ) -> (Vec<Handed>, Vec<Line>) {
        let (mut calls, mut left): (Vec<Handed>, Vec<Line>) = (Vec::new(), Vec::new());
        // What will exist if all goes well.
        let mut ahead = Commits { newest: history.commits.newest.clone(), ..Commits::default() };
        let mut lines = lines.into_iter();
        while let Some(line) = lines.next() {
            if history.is_empty() && calls.len() == PRESUMED {
                left.push(line);
                left.extend(lines);
                break;
            }
            let content = self.contents.line(&line);
            let known = match history.commits.judge(&line, content) {
                Verdict::New => None,
                verdict => Some(verdict),
            };
            let verdict = match known {
                Some(Verdict::Repeat) => {
                    done.count(&line, !unknown.remove(&line.id));
                    continue;
                }
                Some(verdict) => verdict,
                None => ahead.judge(&line, content),
            };
            let gap = line.first.filter(|first| *first > ahead.version().next());
            let refused = match (verdict, gap) {
                (Verdict::Repeat, _) => {
                    // Its first occurrence has to be answered before it is known to be a repeat.
                    left.push(line);
                    continue;
                }
                (Verdict::Refused(refused), _) => Some(refused),
                (Verdict::New, Some(first)) => {
                    let (stream, end) = (&line.stream, ahead.version());
                    let rule = format!(
                        "{first} of stream {stream} can't follow on {end}: commits between them are missing"
                    );
                    Some(BadLine::new(line.number, "first", rule))
                }
                (Verdict::New, None) => None,
            };
            if let Some(refused) = refused {
                if self.skip_bad || calls.is_empty() && left.is_empty() {
                    done.other.push(refused);
                } else {
                    // All before it is to be committed first.
                    left.push(line);
                }
                if self.skip_bad {
                    continue;
                }
                left.extend(lines);
                break;
            }
            let known = line.first.map_or(history.commits.version(), |first| Version::new(first.get() - 1));
            let expected = ahead.newest.clone().map_or(Expected::NoStream, |(_, id)| Expected::After(id));
            let options = Options {
                commit_id: Some(line.id.clone()),
                repeats_after: Some(if expected == Expected::NoStream { NOWHERE } else { known }),
                expected,
                meta: line.meta.clone(),
                at: Some(line.at),
                ..Options::default()
            };
            let first = ahead.version().next();
            ahead.add(&line.id, first, ahead.version().plus(line.events.len() as u64), content);
            let (store, stream, events) = (self.store.clone(), line.stream.clone(), line.events.clone());
            let append = async move { store.append(&stream, events, options).await };
            let append: Append = Box::pin(append);
            let mut call = Box::pin(maybe_done(append));
            // The first poll puts it into the stream's queue, behind those before it.
            let _ = futures::poll!(call.as_mut());
            calls.push(Handed { line, content, call });
        }
        (calls, left)
    }

    /// Waits for the answers.
    async fn gather(
        &self,
        done: &mut Done,
        mut history: History,
        (calls, mut left): (Vec<Handed>, Vec<Line>),
        unknown: &mut HashSet<CommitId>,
    ) -> Left {
        let presumed = history.is_empty();
        let (mut certain, mut stood, mut error) = (true, false, None);
        for Handed { line, content, mut call } in calls {
            call.as_mut().await;
            match call.as_mut().take_output() {
                // Who wrote it, and what it says, is told by the stream.
                Some(Ok(Appended { repeat: true, .. }) | Err(StoreError::Reused { .. })) => {
                    (certain, stood) = (false, true);
                    left.push(line);
                }
                Some(Ok(Appended { commit, .. })) => {
                    if line.first.is_some_and(|first| first != commit.first) {
                        let (stream, actual) = (line.stream, commit.last);
                        return Left::Fatal(
                            line.number,
                            StoreError::Conflict { stream, expected: line.first, actual },
                        );
                    }
                    history.add(&commit, content);
                    history.unsure = None;
                    unknown.remove(&line.id);
                    done.count(&line, false);
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
        // Beside what somebody else wrote, a stream that was presumed to be new may hold anything.
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

/// A call of the store under way.
type Append = BoxFuture<'static, Result<Appended, StoreError>>;

/// A line that was handed to the store.
struct Handed {
    line: Line,
    content: u64,
    call: Pin<Box<MaybeDone<Append>>>,
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
