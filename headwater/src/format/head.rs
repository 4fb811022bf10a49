//! The head: the one object that is a stream's newest state, at `heads/{kind}/{id}`, replaced by compare-and-swap.
//!
//! It holds the newest commits, an index of the pages with the older ones, and perhaps a snapshot. `newest_write` is the
//! first version of the newest head write: the commits from there on are all that can be unpublished (H5), and they
//! never leave the head. A page's `until` says how old its commits are, so that a repeat is looked for in the young ones
//! (H8). Heads of older versions have neither `until` nor `attempts`; their `remembered` is passed over.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Format, FormatError, attempt::Attempt, commit, commit::Commit, snapshot::Binding};
use crate::{
    id::{CommitId, StreamId, Version},
    limits,
};

const OBJECT: &str = "head";

/// A stream's newest state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    format: Format<1>,
    /// The stream.
    pub stream: StreamId,
    /// The number of its events.
    pub version: Version,
    /// A fresh id of every write, so that no two heads of a stream ever have the same bytes.
    pub write: String,
    /// The version where the newest write of commits began.
    pub newest_write: Version,
    /// How often a contender for a unique value has fenced this stream.
    pub fence: u64,
    /// The newest write is known to be in Kinesis. Only a fence says so: it gives the head a new time in S3, by which the
    /// newest write would look younger than it is, and be published once more long after the archive has forgotten it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published: bool,
    /// Where the older commits are, in version order.
    pub pages: Vec<PageRef>,
    /// The attempts that made some of the commits, in version order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// A folded state, from which a load goes on.
    pub snapshot: Option<Snapshot>,
    /// The newest commits, in version order.
    pub commits: Vec<Arc<Commit>>,
}

/// The versions of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// The version of its first event, which is also its key.
    pub first: Version,
    /// The version of its last event.
    pub last: Version,
    /// No commit of it was written after this time of S3's, to the second. Where it is missing, the next page's counts; if none
    /// comes, the page may be young.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// An aggregate's state at a version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of the state's schema; another number than the aggregate's makes a load fold the events instead.
    pub schema: u32,
    /// The version that the state stands at.
    pub version: Version,
    /// The state, as JSON text.
    pub state: Box<RawValue>,
    /// What it was made from; it is believed only where it fits. Older versions wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

impl Head {
    /// The head of a stream that has no events yet.
    pub fn new(stream: StreamId) -> Self {
        Self {
            format: Format,
            stream,
            version: Version::ZERO,
            write: String::new(),
            newest_write: Version::ZERO,
            fence: 0,
            published: false,
            pages: Vec::new(),
            attempts: Vec::new(),
            snapshot: None,
            commits: Vec::new(),
        }
    }

    /// Reads and checks a head.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let head: Self = super::parse(OBJECT, bytes)?;
        commit::check_chain(OBJECT, head.commits.iter().map(AsRef::as_ref))?;
        head.check().map_err(|reason| FormatError::new(OBJECT, &reason))?;
        Ok(head)
    }

    /// The head's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }

    /// The version of the first event that is in the head itself.
    pub fn first_in_head(&self) -> Version {
        self.commits.first().map_or(self.version.next(), |commit| commit.first)
    }

    /// The commits of the newest write: all that can be unpublished.
    pub fn newest_commits(&self) -> &[Arc<Commit>] {
        let from = self.commits.partition_point(|commit| commit.first < self.newest_write);
        &self.commits[from..]
    }

    /// The versions of the newest commit `id` in the head itself.
    pub fn find(&self, id: &CommitId) -> Option<(Version, Version)> {
        self.commits.iter().rev().find(|commit| commit.id == *id).map(|commit| (commit.first, commit.last))
    }

    /// Adds the commits of one write and marks where it began.
    pub fn push(&mut self, commits: impl IntoIterator<Item = Arc<Commit>>) {
        self.newest_write = self.version.next();
        self.published = false;
        for commit in commits {
            self.version = commit.last;
            self.commits.push(commit);
        }
    }

    /// Raises the fence, by a write with this fresh id. The newest write must be in Kinesis.
    pub fn raise_fence(&mut self, write: String) {
        self.write = write;
        self.fence = self.fence.saturating_add(1);
        self.published = true;
    }

    /// Nothing of it can be unpublished: by what it says, or because it has no commits.
    pub fn is_settled(&self) -> bool {
        self.published || self.version == Version::ZERO
    }

    /// Takes out the commits that should move to a page when the head has outgrown [`limits::HEAD_COMMIT_BYTES`]: all but
    /// the newest [`limits::HEAD_KEPT_BYTES`], and never one of the newest write. Empty when the head is small enough.
    pub fn overflow(&mut self) -> Vec<Arc<Commit>> {
        if !self.is_overgrown() {
            return Vec::new();
        }
        let (mut kept, older) = (self.commit_bytes(), self.commits.len() - self.newest_commits().len());
        let paged = self.commits[..older].iter().take_while(|commit| {
            let moves = kept > limits::HEAD_KEPT_BYTES;
            kept -= weight(commit);
            moves
        });
        let paged = paged.count();
        self.commits.drain(..paged).collect()
    }

    /// Whether it has outgrown [`limits::HEAD_COMMIT_BYTES`].
    pub fn is_overgrown(&self) -> bool {
        self.commit_bytes() > limits::HEAD_COMMIT_BYTES
    }

    fn commit_bytes(&self) -> usize {
        self.commits.iter().map(|commit| weight(commit)).sum()
    }

    /// Notes that `commits`, which [`Self::overflow`] took out, exist in a page.
    pub fn paged(&mut self, commits: &[Arc<Commit>]) {
        if let (Some(first), Some(last)) = (commits.first(), commits.last()) {
            self.pages.push(PageRef { first: first.first, last: last.last, until: None });
            self.attempts.retain(|attempt| attempt.first() > last.last);
        }
    }

    /// Notes that S3 had stored the commits of all pages by this time. Times that nobody looks back to are left out.
    pub fn paged_until(&mut self, until: Timestamp) {
        let Some((newest, older)) = self.pages.split_last_mut() else { return };
        newest.until = Some(until);
        let age =
            |page: &PageRef| page.until.map_or(SignedDuration::ZERO, |written| until.duration_since(written));
        let old = older.iter_mut().rev().filter(|page| age(page) > limits::PAGE_TIMES_FOR);
        old.skip(1).for_each(|page| page.until = None);
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        self.commit_bytes()
            + self.snapshot.as_ref().map_or(0, |snapshot| snapshot.state.get().len())
            + 40 * self.pages.len()
            + 200
    }

    /// Whether a load would have to read pages, for want of a snapshot of this schema whose binding it can prove.
    pub fn wants_snapshot(&self, schema: u32) -> bool {
        let bound = |snapshot: &Snapshot| {
            snapshot.binding.as_ref().is_some_and(|binding| self.first_in_head() <= binding.from)
        };
        let covers = |snapshot: &Snapshot, last| {
            snapshot.schema == schema && snapshot.version >= last && bound(snapshot)
        };
        let covered =
            |page: &PageRef| self.snapshot.as_ref().is_some_and(|snapshot| covers(snapshot, page.last));
        self.pages.last().is_some_and(|page| !covered(page))
    }

    fn check(&self) -> Result<(), String> {
        let mut next = Version::new(1);
        for page in &self.pages {
            if page.first != next || page.last < page.first {
                return Err(format!("page {}..={} does not begin at {next}", page.first, page.last));
            }
            next = page.last.next();
        }
        if self.first_in_head() != next {
            return Err(format!("commits begin at {} and not at {next}", self.first_in_head()));
        }
        if self.commits.last().map_or(next, |commit| commit.last.next()) != self.version.next() {
            return Err(format!("commits do not end at version {}", self.version));
        }
        let began = self.newest_write;
        if self.version > Version::ZERO && !self.commits.iter().any(|commit| commit.first == began) {
            return Err(format!("the newest write began at {began}, where no commit begins"));
        }
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.version > self.version) {
            return Err("the snapshot is newer than the stream".to_owned());
        }
        Ok(())
    }
}

/// About how many bytes a commit takes in the head.
fn weight(commit: &Commit) -> usize {
    let events: usize =
        commit.events.iter().map(|event| event.data.get().len() + event.name.len() + 40).sum();
    let meta: usize =
        commit.meta.iter().map(|(key, value)| key.len() + value.as_str().map_or(64, str::len) + 8).sum();
    events + meta + commit.id.as_str().len() + 100
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::{commit::arbitrary::chain, golden};

    fn grown(commits: Vec<Arc<Commit>>) -> Head {
        let mut head = Head::new("account/42".parse().expect("a stream"));
        for commit in commits {
            head.push([commit]);
        }
        head
    }

    proptest! {
        #[test]
        fn a_head_comes_back(commits in chain(0)) {
            let written = grown(commits).encode().expect("encodes");
            prop_assert_eq!(Head::decode(&written).expect("decodes").encode().expect("encodes"), written);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Head::decode(&bytes);
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn paging_keeps_the_newest_write_and_loses_no_commit(sizes in proptest::collection::vec(1_usize..40_000, 1..150)) {
            let mut head = grown(Vec::new());
            let mut pages = 0;
            for (number, size) in sizes.iter().enumerate() {
                let text = serde_json::value::to_raw_value(&"x".repeat(*size)).expect("JSON");
                let version = head.version.next();
                head.push([Arc::new(Commit {
                    id: format!("c{number}").parse().expect("an id"),
                    first: version,
                    last: version,
                    at: jiff::Timestamp::UNIX_EPOCH,
                    events: vec![crate::event::StoredEvent::new("Noted", 1, text).expect("an event")],
                    meta: commit::Meta::new(),
                })]);
                let paged = head.overflow();
                pages += paged.len();
                head.paged(&paged);
                prop_assert_eq!(pages + head.commits.len(), number + 1, "no commit is lost");
                prop_assert_eq!(head.newest_commits().len(), 1);
                prop_assert!(Head::decode(&head.encode().expect("encodes")).is_ok());
            }
        }
    }

    #[test]
    fn the_golden_head_stands() {
        let golden = golden::read("head.json");
        golden::check("head.json", &Head::decode(&golden).expect("decodes").encode().expect("encodes"));
    }

    #[test]
    fn a_head_of_before_attempts_and_times_is_read() {
        let head = Head::decode(&golden::read("head-with-remembered.json")).expect("decodes");
        assert_eq!((head.version, head.attempts.len()), (Version::new(17), 0));
        assert_eq!(head.pages[0].until, None, "how old the page is is not known");
    }

    #[test]
    fn times_that_nobody_looks_back_to_are_left_out_of_a_head() {
        let mut head = grown(Vec::new());
        let hours = |hours: i64| {
            Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(hours)).expect("a time")
        };
        for number in 0..100 {
            let (first, last) = (Version::new(number + 1), Version::new(number + 1));
            head.pages.push(PageRef { first, last, until: None });
            head.paged_until(hours(i64::try_from(number).expect("few")));
        }
        let times = head.pages.iter().filter(|page| page.until.is_some()).count();
        assert!(times < 30, "{times}");
        let oldest = head.pages.iter().find_map(|page| page.until).expect("a time");
        assert!(hours(99).duration_since(oldest) > SignedDuration::from_hours(24), "one is left that is old");
    }

    #[test]
    fn a_number_in_meta_stays_the_same_however_often_a_head_is_written() {
        let golden = String::from_utf8(golden::read("head.json")).expect("UTF-8");
        for number in
            ["123456789012345678901234567890123456789012345678901234567890", "0.1234567890123456789e-7"]
        {
            let text = golden.replace(r#""r-1""#, number);
            let once = Head::decode(text.as_bytes()).expect("decodes").encode().expect("encodes");
            let twice = Head::decode(&once).expect("decodes").encode().expect("encodes");
            assert_eq!(once, twice);
        }
    }

    #[test]
    fn a_version_or_a_time_out_of_range_is_refused() {
        let golden = String::from_utf8(golden::read("head.json")).expect("UTF-8");
        let at = |last: u64| {
            golden
                .replace(r#""first":1,"last":15"#, &format!(r#""first":1,"last":{}"#, last - 2))
                .replace(r#""first":16,"last":17"#, &format!(r#""first":{},"last":{last}"#, last - 1))
                .replace(r#""version":17"#, &format!(r#""version":{last}"#))
                .replace(r#""newest_write":16"#, &format!(r#""newest_write":{}"#, last - 1))
        };
        assert!(Head::decode(at(limits::VERSION).as_bytes()).is_ok());
        for last in [limits::VERSION + 1, u64::MAX] {
            let error = Head::decode(at(last).as_bytes()).expect_err("nothing could follow").to_string();
            assert!(error.contains("out of range"), "{error}");
        }
        let late = golden.replace("2026-11-21T19:30:00.123Z", "9999-12-30T22:00:00.999999999Z");
        let error =
            Head::decode(late.as_bytes()).expect_err("a time that milliseconds can't say").to_string();
        assert!(error.contains("out of range"), "{error}");
    }

    #[test]
    fn a_head_that_contradicts_itself_is_refused() {
        let golden = String::from_utf8(golden::read("head.json")).expect("UTF-8");
        for (right, wrong) in [
            (r#""version":17,"write"#, r#""version":18,"write"#),
            (r#""newest_write":16"#, r#""newest_write":9"#),
            (r#"{"first":1,"last":15,"#, r#"{"first":1,"last":14,"#),
            (r#""format":1"#, r#""format":9"#),
            (r#""snapshot":{"schema":1,"version":15"#, r#""snapshot":{"schema":1,"version":150"#),
        ] {
            let broken = golden.replacen(right, wrong, 1);
            assert_ne!(golden, broken, "{right}");
            assert!(Head::decode(broken.as_bytes()).is_err(), "{wrong}");
        }
    }
}
