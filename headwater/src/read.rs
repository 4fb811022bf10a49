//! Reading a stream: its head, and from its pages what the head no longer holds.
//!
//! A read is repeated, with growing pauses, while S3 does not answer; it gives up as [`StoreError::Unavailable`] after
//! the reader's patience. What S3 refuses is [`StoreError::Denied`] at once.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::{
    error::StoreError,
    format::{
        attempt::Attempt,
        commit::Commit,
        head::{Head, PageRef},
        key,
        page::Page,
    },
    id::{StreamId, Version},
    port::{
        ETag, Entropy, Got, Keys, Listed, Listing, ObjectError, Objects, Ports, Token, any, backoff, folders,
        pages,
    },
    reason::Reason,
};

/// Pages that one load reads at a time.
pub(crate) const PAGES_AT_A_TIME: usize = 16;
/// Pages that a stream of commits reads ahead.
const PAGES_AHEAD: usize = 2;

/// Reads streams.
#[derive(Clone)]
pub struct Reader {
    objects: Arc<dyn Objects>,
    entropy: Arc<dyn Entropy>,
    patience: Duration,
}

/// A stream's head as S3 has it.
#[derive(Debug, Clone)]
pub enum HeadRead {
    /// The stream has no events.
    Missing,
    /// The head is the one that the reader has already.
    Unchanged,
    /// The head.
    Found {
        /// What it says.
        head: Box<Head>,
        /// Its version for compare-and-swap.
        etag: ETag,
        /// When S3 stored it, in whole seconds rounded down.
        modified: Timestamp,
    },
}

impl Reader {
    /// A reader that repeats an unanswered read for 10 s.
    pub fn new(ports: &Ports) -> Self {
        Self::of(Arc::clone(&ports.objects), Arc::clone(&ports.entropy))
    }

    /// As [`Self::new`], of this bucket.
    pub fn of(objects: Arc<dyn Objects>, entropy: Arc<dyn Entropy>) -> Self {
        Self { objects, entropy, patience: Duration::from_secs(10) }
    }

    /// The same reader with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Reads an object, and again while S3 does not answer.
    pub async fn object(&self, key: &str, known: Option<&ETag>) -> Result<Got, StoreError> {
        self.patiently(key, || self.objects.get(key, known)).await
    }

    /// Every page of a listing, to its end: in no order, and empty ones too.
    pub fn pages(&self, keys: Keys) -> impl Stream<Item = Result<Vec<Listed>, StoreError>> + Send + use<> {
        let reader = self.clone();
        pages(move |from| {
            let (reader, keys) = (reader.clone(), keys.clone());
            async move { reader.page_of(&keys, from.as_ref()).await }
        })
    }

    /// Every key under `prefix`, in order: a listing for each 1,000, and all of them in memory.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let listed: Vec<Listed> = self.pages(Keys::under(prefix)).try_concat().await?;
        let mut keys: Vec<String> = listed.into_iter().map(|listed| listed.key).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// The names directly under `prefix` that have keys below them, in order: two listings each, however many the keys are.
    pub async fn folders(&self, prefix: &str) -> Result<BTreeSet<String>, StoreError> {
        folders(prefix, |keys| any(self.pages(keys))).await
    }

    async fn page_of(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, StoreError> {
        self.patiently(&keys.prefix, || self.objects.list(keys, from)).await
    }

    async fn patiently<T, F>(&self, key: &str, ask: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, ObjectError>>,
    {
        let deadline = Instant::now() + self.patience;
        let mut pauses = backoff(&*self.entropy, Duration::from_millis(20), Duration::from_secs(1));
        loop {
            let reason: Reason = match timeout_at(deadline, ask()).await {
                Ok(Err(error @ ObjectError::Unknown(_))) => error.into(),
                Ok(Err(error @ ObjectError::Refused(_))) => {
                    return Err(StoreError::Denied(Reason::new(format_args!("reading {key}"), error)));
                }
                Ok(answer) => return answer.map_err(Into::into),
                Err(_) => "no answer in time".into(),
            };
            let pause = pauses.next().unwrap_or_default();
            if Instant::now() + pause >= deadline {
                let doing = format!("reading {}", key::shown(key));
                return Err(StoreError::Unavailable(Reason::new(doing, reason)));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads a stream's head, unless it is the `known` one.
    pub async fn head(&self, stream: &StreamId, known: Option<&ETag>) -> Result<HeadRead, StoreError> {
        let key = key::head(stream);
        Ok(match self.object(&key, known).await? {
            Got::Missing => HeadRead::Missing,
            Got::Unchanged => HeadRead::Unchanged,
            Got::Found { body, etag, modified } => {
                let head = Head::decode(&body).map_err(|error| StoreError::corrupt(&key, &error))?;
                if head.stream != *stream {
                    let reason = format!("it is the head of {}", head.stream);
                    return Err(StoreError::Corrupt { key, reason });
                }
                HeadRead::Found { head: Box::new(head), etag, modified }
            }
        })
    }

    /// The commits of the stream with a version after `after`, in version order: the pages that hold them are read in
    /// parallel.
    pub async fn commits(&self, head: &Head, after: Version) -> Result<Vec<Arc<Commit>>, StoreError> {
        let older: Vec<_> = head.pages.iter().filter(|page| page.last > after).copied().collect();
        let read = |page: PageRef| self.page(&head.stream, page);
        let pages: Vec<Page> = stream::iter(older).map(read).buffered(PAGES_AT_A_TIME).try_collect().await?;
        let paged = pages.into_iter().flat_map(|page| page.commits);
        let newest = head.commits.iter().cloned();
        Ok(paged.chain(newest).skip_while(|commit| commit.last <= after).collect())
    }

    /// The commits of a stream that hold versions from `from` on, in version order, as they stand when the head is read.
    /// A few pages are read ahead.
    pub fn stream(
        &self,
        stream: StreamId,
        from: Version,
    ) -> impl Stream<Item = Result<Arc<Commit>, StoreError>> + Send + use<> {
        let reader = self.clone();
        let head = async move {
            let head = match reader.head(&stream, None).await? {
                HeadRead::Found { head, .. } => *head,
                HeadRead::Missing | HeadRead::Unchanged => Head::new(stream),
            };
            Ok::<_, StoreError>(reader.from(head, from))
        };
        stream::once(head).try_flatten()
    }

    fn from(self, head: Head, from: Version) -> impl Stream<Item = Result<Arc<Commit>, StoreError>> + Send {
        let older: Vec<PageRef> = head.pages.iter().filter(|page| page.last >= from).copied().collect();
        let (name, newest) = (head.stream, head.commits);
        let pages = stream::iter(older).map(move |page| {
            let (reader, name) = (self.clone(), name.clone());
            async move { reader.page(&name, page).await }
        });
        let paged =
            pages.buffered(PAGES_AHEAD).map_ok(|page| stream::iter(page.commits).map(Ok)).try_flatten();
        let all = paged.chain(stream::iter(newest).map(Ok));
        all.try_skip_while(move |commit| std::future::ready(Ok(commit.last < from)))
    }

    /// The commit that holds `version`; `None` where the stream is shorter.
    pub async fn commit_at(&self, head: &Head, version: Version) -> Result<Option<Arc<Commit>>, StoreError> {
        let holds = |commit: &&Arc<Commit>| commit.first <= version && version <= commit.last;
        if let Some(commit) = head.commits.iter().find(holds) {
            return Ok(Some(Arc::clone(commit)));
        }
        match head.pages.iter().find(|page| page.first <= version && version <= page.last) {
            Some(page) => Ok(self.page(&head.stream, *page).await?.commits.iter().find(holds).cloned()),
            None => Ok(None),
        }
    }

    /// The commit that begins at `first`, and the attempt that made it, where that is known.
    pub(crate) async fn written_at(
        &self,
        head: &Head,
        first: Version,
    ) -> Result<Option<(Arc<Commit>, Option<Attempt>)>, StoreError> {
        let begins = |commits: &[Arc<Commit>], attempts: &[Attempt]| {
            let commit = commits.iter().find(|commit| commit.first == first)?;
            Some((Arc::clone(commit), attempts.iter().find(|attempt| attempt.first() == first).copied()))
        };
        if first >= head.first_in_head() {
            return Ok(begins(&head.commits, &head.attempts));
        }
        let Some(page) = head.pages.iter().find(|page| first <= page.last) else { return Ok(None) };
        let page = self.page(&head.stream, *page).await?;
        Ok(begins(&page.commits, &page.attempts))
    }

    /// The ids of the commits in a page, and when S3 stored it.
    pub(crate) async fn page_ids(
        &self,
        stream: &StreamId,
        PageRef { first, last, .. }: PageRef,
    ) -> Result<(Vec<String>, Timestamp), StoreError> {
        let (key, body, modified) = self.page_body(stream, first).await?;
        let ids =
            Page::ids(&body, stream, (first, last)).map_err(|error| StoreError::corrupt(&key, &error))?;
        Ok((ids.into_iter().map(Cow::into_owned).collect(), modified))
    }

    async fn page_body(
        &self,
        stream: &StreamId,
        first: Version,
    ) -> Result<(String, Bytes, Timestamp), StoreError> {
        let key = key::page(stream, first);
        match self.object(&key, None).await? {
            Got::Found { body, modified, .. } => Ok((key, body, modified)),
            Got::Missing | Got::Unchanged => {
                let reason = "the head names this page, and it does not stand".to_owned();
                Err(StoreError::Corrupt { key, reason })
            }
        }
    }

    /// Reads one page, which must hold just what the head says: another end would lose commits, or repeat some.
    pub(crate) async fn page(
        &self,
        stream: &StreamId,
        PageRef { first, last, .. }: PageRef,
    ) -> Result<Page, StoreError> {
        let (key, body, _) = self.page_body(stream, first).await?;
        let page = Page::decode(&body).map_err(|error| StoreError::corrupt(&key, &error))?;
        if page.stream != *stream || (page.first, page.last) != (first, last) {
            let reason = format!(
                "it is the page {}..={} of {}, not {first}..={last}",
                page.first, page.last, page.stream
            );
            return Err(StoreError::Corrupt { key, reason });
        }
        Ok(page)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("patience", &self.patience).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{format::golden, memory::World};

    #[tokio::test(start_paused = true)]
    async fn a_page_that_ends_elsewhere_than_the_head_says_is_corrupt() {
        let world = World::new(1);
        let reader = Reader::new(&world.ports());
        let text = |name| String::from_utf8(golden::read(name)).expect("UTF-8");
        let page = text("page.json").replace(r#""first":16,"last":17"#, r#""first":1,"last":2"#);
        let page = Page::decode(page.as_bytes()).expect("a page");
        world.objects.insert(&key::page(&page.stream, page.first), page.encode().expect("encodes"));
        for (last, right) in [(2, true), (15, false)] {
            let head = text("head.json")
                .replace(r#""first":1,"last":15"#, &format!(r#""first":1,"last":{last}"#))
                .replace(r#""first":16,"last":17"#, &format!(r#""first":{},"last":{}"#, last + 1, last + 2))
                .replace(r#""version":17"#, &format!(r#""version":{}"#, last + 2))
                .replace(r#""newest_write":16"#, &format!(r#""newest_write":{}"#, last + 1))
                .replace(
                    r#""snapshot":{"schema":1,"version":15,"state":{"balance":3}}"#,
                    r#""snapshot":null"#,
                );
            let head = Head::decode(head.as_bytes()).expect("a head");
            let read = reader.commits(&head, Version::ZERO).await;
            assert_eq!(read.is_ok(), right, "{read:?}");
            assert!(right || matches!(read, Err(StoreError::Corrupt { .. })));
        }
    }
}
