//! Ids: which commits a stream's pages hold, as far back as a repeat is looked for (H8).
//!
//! A head has the ids of its own commits. Of those that have moved to pages a process keeps, per stream, the hashes of the
//! ids, page by page back from the newest:
//!
//! 1. A page whose ids are not known here is read once, ids only, [`PAGES_AT_A_TIME`] together. What this process moved to a
//!    page itself it knows.
//! 2. The way back ends at the first page that is too old: none before it is younger.
//! 3. A hash that matches is verified in its page.
//!
//! How old a page is is told by S3's times alone: by its reference (`paging`), else by its own `Last-Modified`. What time it
//! is is at least what S3 has told since ([`Time`]). So no clock makes a page look too old.
//!
//! Memory is bounded: by so many ids of one stream, and twice as many of all. Where the pages of one hold more than that
//! within the time, the answer is
//! [`StoreError::Unavailable`], and nothing is executed.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use quick_cache::{Weighter, unsync::Cache};

use super::{cache::Known, time::Time};
use crate::{
    error::StoreError,
    format::{
        commit::Commit,
        head::{Head, PageRef},
    },
    id::{CommitId, StreamId, Version},
    read::{PAGES_AT_A_TIME, Reader},
};

/// A page is taken to be so much younger than it is: S3's clocks differ by less, and round to seconds.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// How far back a commit id is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// Among what was written within this time, at least.
    For(SignedDuration),
    /// Among the commits that begin after this version.
    After(Version),
}

/// The same, now. Where no time is known no page is too old.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Since(Option<Timestamp>),
    After(Version),
}

impl Bound {
    /// Whether a page that ends at `last`, with nothing in it that was written after `until`, may hold what is looked for.
    fn includes(self, last: Version, until: Option<Timestamp>) -> bool {
        match (self, until) {
            (Self::After(version), _) => last > version,
            (Self::Since(Some(since)), Some(until)) => since <= until,
            (Self::Since(_), _) => true,
        }
    }
}

/// The ids in the pages of all streams, as far as this process knows them.
pub(super) struct Ids {
    pub(super) time: Time,
    window: Back,
    most: usize,
    hasher: RandomState,
    streams: Mutex<Cache<StreamId, StreamIds, Weight>>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<StreamId, StreamIds> for Weight {
    fn weight(&self, _: &StreamId, ids: &StreamIds) -> u64 {
        ids.len as u64 + 8
    }
}

/// The ids in some pages of one stream that follow one another.
#[derive(Debug, Default)]
struct StreamIds {
    pages: VecDeque<PageIds>,
    /// How often each hash is in `pages`.
    counts: HashMap<u64, u32>,
    len: usize,
}

/// The ids in one page.
#[derive(Debug)]
struct PageIds {
    /// Its `until` as far as it was known when it was read.
    page: PageRef,
    /// In their order.
    hashes: Box<[u64]>,
}

impl Ids {
    /// None yet. `most` are kept, and what this process moves to pages is kept for `window`.
    pub(super) fn new(window: Duration, most: usize) -> Self {
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        let streams = Cache::with_weighter(1_024, (most as u64).saturating_mul(2), Weight);
        Self {
            time: Time::default(),
            window: Back::For(window),
            most,
            hasher: RandomState::new(),
            streams: Mutex::new(streams),
        }
    }

    /// The versions of the newest commit with this id in the pages of a head.
    pub(super) async fn find(
        &self,
        reader: &Reader,
        base: &Known,
        id: &CommitId,
        back: Back,
    ) -> Result<Option<(Version, Version)>, StoreError> {
        if let Some(modified) = base.modified {
            self.time.learn(modified);
        }
        let (head, bound) = (&*base.head, self.bound(back));
        if !head.pages.last().is_some_and(|newest| bound.includes(newest.last, newest.until)) {
            return Ok(None);
        }
        let mut ids = self.take(&head.stream);
        let found = self.look(&mut ids, reader, head, id, back).await;
        self.lock().insert(head.stream.clone(), ids);
        found
    }

    async fn look(
        &self,
        ids: &mut StreamIds,
        reader: &Reader,
        head: &Head,
        id: &CommitId,
        back: Back,
    ) -> Result<Option<(Version, Version)>, StoreError> {
        if matches!(back, Back::For(_)) && ids.lacks(head, self.bound(back)) {
            // It may be later than is known, and less be read then.
            self.time.ask(reader).await;
        }
        self.reach(ids, reader, head, self.bound(back)).await?;
        for page in ids.holding(self.hasher.hash_one(id.as_str())) {
            let page = reader.page(&head.stream, page).await?;
            if let Some(commit) = page.commits.iter().rev().find(|commit| commit.id == *id) {
                return Ok(Some((commit.first, commit.last)));
            }
        }
        Ok(None)
    }

    /// Notes the ids of commits that this process has moved to the newest page of a head that exists.
    pub(super) fn paged(&self, head: &Head, commits: &[Arc<Commit>]) {
        let Some(page) = head.pages.last().filter(|_| !commits.is_empty()) else { return };
        let mut ids = self.take(&head.stream);
        if ids.last().next() != page.first {
            ids = StreamIds::default();
        }
        let hashes = self.hashes(commits.iter().map(|commit| commit.id.as_str()));
        ids.push(PageIds { page: *page, hashes });
        ids.trim(head, self.bound(self.window));
        while ids.len > self.most {
            ids.pop();
        }
        self.lock().insert(head.stream.clone(), ids);
    }

    /// Reads the ids of all pages within the bound that are not known.
    async fn reach(
        &self,
        ids: &mut StreamIds,
        reader: &Reader,
        head: &Head,
        bound: Bound,
    ) -> Result<(), StoreError> {
        if ids.len > self.most / 2 {
            ids.trim(head, bound);
        }
        let known = head.pages.partition_point(|page| page.last <= ids.last());
        let (newer, whole) = self.back(reader, head, known..head.pages.len(), bound, ids.len).await?;
        if !whole {
            *ids = StreamIds::default();
        }
        newer.into_iter().rev().for_each(|page| ids.push(page));
        let Some(oldest) = ids
            .pages
            .front()
            .filter(|oldest| whole && bound.includes(oldest.page.last, until(head, &oldest.page)))
        else {
            return Ok(());
        };
        let known = head.pages.partition_point(|page| page.first < oldest.page.first);
        let (older, _) = self.back(reader, head, 0..known, bound, ids.len).await?;
        for page in older {
            ids.push_older(page);
        }
        Ok(())
    }

    /// The ids of these pages, from the newest back to the first that is beyond the bound; and whether none was. `beside`
    /// others are kept already.
    async fn back(
        &self,
        reader: &Reader,
        head: &Head,
        pages: std::ops::Range<usize>,
        bound: Bound,
        beside: usize,
    ) -> Result<(Vec<PageIds>, bool), StoreError> {
        let (mut read, mut end, mut len) = (Vec::new(), pages.end, beside);
        while end > pages.start {
            let dated = |page: &PageRef| PageRef { until: until(head, page), ..*page };
            // One that does not say how old it is may be all that is needed.
            let together = if dated(&head.pages[end - 1]).until.is_none() && read.is_empty() {
                1
            } else {
                PAGES_AT_A_TIME
            };
            let batch =
                head.pages[pages.start.max(end.saturating_sub(together))..end].iter().rev().map(dated);
            let batch: Vec<PageRef> =
                batch.take_while(|page| bound.includes(page.last, page.until)).collect();
            let (asked, reads) =
                (batch.len(), batch.into_iter().map(|page| self.read(reader, &head.stream, page)));
            let batch: Vec<PageIds> = stream::iter(reads).buffered(PAGES_AT_A_TIME).try_collect().await?;
            let within = batch.into_iter().take_while(|ids| bound.includes(ids.page.last, ids.page.until));
            let before = read.len();
            read.extend(within);
            len += read[before..].iter().map(|ids| ids.hashes.len()).sum::<usize>();
            if len > self.most {
                let (stream, most) = (&head.stream, self.most);
                return Err(StoreError::Unavailable(format!(
                    "{stream} has more than {most} commits among which a repeat may be: no more of their ids are kept"
                ).into()));
            }
            if asked == 0 || read.len() < before + asked {
                return Ok((read, false));
            }
            end -= asked;
        }
        Ok((read, true))
    }

    async fn read(&self, reader: &Reader, stream: &StreamId, page: PageRef) -> Result<PageIds, StoreError> {
        let (ids, modified) = reader.page_ids(stream, page).await?;
        self.time.learn(modified);
        let hashes = self.hashes(ids.iter().map(String::as_str));
        let until = page.until.map_or(modified, |until| until.min(modified));
        Ok(PageIds { page: PageRef { until: Some(until), ..page }, hashes })
    }

    fn hashes<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Box<[u64]> {
        let mut hashes: Box<[u64]> = ids.map(|id| self.hasher.hash_one(id)).collect();
        hashes.sort_unstable();
        hashes
    }

    fn bound(&self, back: Back) -> Bound {
        match back {
            Back::After(version) => Bound::After(version),
            Back::For(time) => {
                let since = |now: Timestamp| now.saturating_sub(time.saturating_add(MARGIN)).ok();
                Bound::Since(self.time.at_least().and_then(since))
            }
        }
    }

    fn take(&self, stream: &StreamId) -> StreamIds {
        self.lock().remove(stream).map(|(_, ids)| ids).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Cache<StreamId, StreamIds, Weight>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamIds {
    /// The version through which pages are known.
    fn last(&self) -> Version {
        self.pages.back().map_or(Version::ZERO, |ids| ids.page.last)
    }

    /// Whether a page within the bound is not known, where the newest one is.
    fn lacks(&self, head: &Head, bound: Bound) -> bool {
        let newest = head.pages.last().is_some_and(|page| page.last > self.last());
        let older = self.pages.front().and_then(|oldest| {
            let place = head.pages.partition_point(|page| page.first < oldest.page.first);
            head.pages[..place].last()
        });
        newest || older.is_some_and(|page| bound.includes(page.last, until(head, page)))
    }

    /// The pages that hold an id of this hash, the newest first.
    fn holding(&self, hash: u64) -> Vec<PageRef> {
        if !self.counts.contains_key(&hash) {
            return Vec::new();
        }
        let holds = |ids: &&PageIds| ids.hashes.binary_search(&hash).is_ok();
        self.pages.iter().rev().filter(holds).map(|ids| ids.page).collect()
    }

    fn push(&mut self, page: PageIds) {
        self.count(&page);
        self.pages.push_back(page);
    }

    fn push_older(&mut self, page: PageIds) {
        self.count(&page);
        self.pages.push_front(page);
    }

    fn count(&mut self, page: &PageIds) {
        self.len += page.hashes.len();
        for hash in &page.hashes {
            *self.counts.entry(*hash).or_default() += 1;
        }
    }

    /// Forgets the oldest page.
    fn pop(&mut self) {
        let Some(page) = self.pages.pop_front() else { return };
        self.len -= page.hashes.len();
        for hash in page.hashes {
            if let Entry::Occupied(mut count) = self.counts.entry(hash) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// Forgets the oldest pages that are beyond the bound.
    fn trim(&mut self, head: &Head, bound: Bound) {
        while self.pages.front().is_some_and(|ids| !bound.includes(ids.page.last, until(head, &ids.page))) {
            self.pop();
        }
    }
}

/// When the commits of a page were written, at the latest: as it says, or else the next one that does.
fn until(head: &Head, page: &PageRef) -> Option<Timestamp> {
    let place = head.pages.partition_point(|other| other.first < page.first);
    page.until.or_else(|| head.pages[place..].iter().find_map(|page| page.until))
}
