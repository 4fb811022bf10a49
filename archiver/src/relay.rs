//! The relay: it delivers what a dead writer left behind, and tells writers and archivers through when all is published.
//!
//! A pass, about once a minute:
//!
//! ```text
//!  1. S3's time, before anything else is asked                    begin
//!  2. the watermark w that stands, with its ETag
//!  3. LIST the heads: stored since w, and longer ago than a minute by S3's clock            candidates
//!  4. GET the candidates: whose newest write may be unpublished                             wanted
//!  5. strike out what is published ([`published`]): the archive back to w, each shard behind its archive to its end
//!  6. publish what is left, and wait for Kinesis ([`deliver`])
//!  7. only if nothing is left: the watermark becomes begin less that minute, by compare-and-swap, forward only
//! ```
//!
//! What makes it right:
//!
//! - *The newest write is enough*: whoever wrote on top of another write had published it first (H5). So a head that is
//!   replaced while the relay looks needs nothing: its old newest write is published, its new one is for the next pass. And
//!   a newest write that is published a second time breaks no order (H4).
//! - *The minute* covers what S3 does not promise: that its clocks agree, and that a write is seen as soon as its time says.
//! - *Nothing is published for long*: archivers forget what is older than the watermark less ten minutes. A pass that was
//!   stopped in the middle, while another one moved the watermark, would bring back what they no longer know. So it publishes
//!   only for [`Settings::publish_for`] from its own beginning.
//! - *Nothing is published on a guess*: where it can't be read what is published, nothing is, and the watermark stays. Writers
//!   go on helping then, which is safe, and costs repeats.
//! - *Two relays at once* publish the same twice at worst; of two watermarks one wins, and both are true.

pub(crate) mod deliver;
mod heads;
mod published;
mod report;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    StoreError, StreamId, Version,
    format::{FormatError, identity::Names, key, watermark::Watermark},
    identity::{self, CreateError},
    port::{ETag, Got, Keys, Listed, ObjectError, Objects, Ports, Precondition},
    read::Reader,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

pub use self::report::Report;
use self::{
    deliver::{Undelivered, deliver, standing},
    published::{Published, Wanted},
};
use crate::{
    chain::{ChainError, pauses, repeat},
    place::Place,
    shard::Unread,
};

/// Heads that are read at a time.
const HEADS_AT_A_TIME: usize = 32;
/// Listings may tell times in whole seconds, rounded down.
pub(crate) const SLACK: SignedDuration = SignedDuration::from_secs(1);

/// What a relay allows itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How old a head must be, by S3's clock: one minute. Less is for tests on one machine, which has one clock.
    pub age: Duration,
    /// How long after its beginning a pass publishes: 5 minutes, half of [`limits::PUBLISH_FOR`](headwater::limits).
    pub publish_for: Duration,
    /// How long an operation is repeated while a service does not answer.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            age: Duration::from_mins(1),
            publish_for: headwater::limits::PUBLISH_FOR / 2,
            patience: Duration::from_secs(20),
        }
    }
}

/// Why a watermark stays where it is.
#[derive(Debug, thiserror::Error)]
enum Stays {
    /// S3 does not say what time it is, or does not take the watermark.
    #[error("S3 does not answer: {0}")]
    Objects(#[from] ObjectError),
    /// A head, a listing or the watermark can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known what is published.
    #[error("what is published is not known: {0}")]
    Archive(#[from] ChainError),
    /// The same.
    #[error("what is published is not known: {0}")]
    Tail(#[from] Unread),
    /// The pass took too long to find out what is published.
    #[error("what is published was not known in time")]
    Late,
    /// A newest write was not published.
    #[error("{stream}: {cause}")]
    Undelivered {
        /// Its stream.
        stream: StreamId,
        /// Why not.
        cause: Undelivered,
    },
    /// The watermark is of a time that has not come.
    #[error(
        "the watermark {0} is ahead of S3's clock: delete relay/watermark, and the next pass looks at everything"
    )]
    Ahead(Timestamp),
}

/// Delivers the commits of one store. Several at once do no harm.
pub struct Relay {
    ports: Ports,
    reader: Reader,
    archive: Arc<dyn Objects>,
    stream: String,
    settings: Settings,
    /// The newest segments that were seen, so that the next pass need not look for them.
    newest: Mutex<HashMap<String, Place>>,
}

/// The watermark that stands, as compare-and-swap needs it.
struct Standing {
    mark: Watermark,
    etag: ETag,
    modified: Timestamp,
}

impl Relay {
    /// A relay from the store's bucket to the Kinesis stream `stream` (the one behind `ports.log`), whose archive is in the
    /// bucket `archive`.
    pub fn new(ports: Ports, archive: Arc<dyn Objects>, stream: &str, settings: Settings) -> Self {
        let reader = Reader::new(&ports).with_patience(settings.patience);
        Self { ports, reader, archive, stream: stream.to_owned(), settings, newest: Mutex::default() }
    }

    /// Gives the store of this bucket, whose archive is in that one, an identity where it has none.
    ///
    /// # Errors
    ///
    /// The stream's archive is another store's, or this store has another one. Where a bucket does not answer, or refuses, the
    /// next call tries again.
    pub async fn identify(&self, store: &str, archive: &str) -> Result<(), CreateError> {
        if self.ports.identity.known().is_some() {
            return Ok(());
        }
        let (stream, store, archive) = (self.stream.clone(), store.to_owned(), archive.to_owned());
        let names = Names { store, stream, archive };
        let Ports { objects, entropy, clock, .. } = &self.ports;
        match identity::create(objects, &self.archive, entropy, &names, clock.now()).await {
            Ok(identity) => tracing::info!(id = %identity.id, "this is the store"),
            Err(CreateError::Store(error)) => tracing::warn!(%error, "the store has no identity yet"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One pass. What it could not do is in its report; the next pass begins where it should.
    pub async fn pass(&self) -> Report {
        let last = Instant::now() + self.settings.publish_for;
        let mut report = Report::default();
        if let Err(stays) = self.relay(last, &mut report).await {
            report.stayed = Some(stays.to_string());
        }
        report.measure();
        report.log();
        report
    }

    async fn relay(&self, last: Instant, report: &mut Report) -> Result<(), Stays> {
        let begin = self.patiently(|| self.ports.objects.now()).await?;
        report.began = Some(begin);
        let standing = self.standing().await?;
        let stands = standing.as_ref().map(|standing| standing.mark.through);
        (report.before, report.after) = (stands, stands);
        if let Some(ahead) = stands.filter(|through| *through > begin) {
            return Err(Stays::Ahead(ahead));
        }
        let age = SignedDuration::try_from(self.settings.age).unwrap_or(SignedDuration::MAX);
        let through = earlier(begin, age);
        if stands.is_some_and(|before| before >= through) {
            return Ok(());
        }
        let since = stands.map(|before| earlier(before, SLACK));
        let missing = timeout_at(last, self.missing(since, begin, through, report)).await;
        let (missing, unreadable) = missing.map_err(|_| Stays::Late)??;
        self.deliver(missing, last, report).await?;
        unreadable.map_or(Ok(()), Err)?;
        self.set(through, begin, standing, report).await
    }

    /// The streams whose newest write is not published, with its version; and the first head that can't be read.
    async fn missing(
        &self,
        since: Option<Timestamp>,
        begin: Timestamp,
        through: Timestamp,
        report: &mut Report,
    ) -> Result<(BTreeMap<StreamId, Version>, Option<Stays>), Stays> {
        let candidates = self.candidates(since, through, report).await?;
        let heads = candidates.into_iter().map(|stream| async {
            let wanted = self.wanted(&stream, through).await;
            (stream, wanted)
        });
        let mut heads = stream::iter(heads).buffer_unordered(HEADS_AT_A_TIME);
        let (mut wanted, mut unreadable) = (BTreeMap::new(), None);
        while let Some((stream, newest)) = heads.next().await {
            match newest {
                Ok(Some(version)) => {
                    wanted.insert(stream, version);
                }
                Ok(None) => report.present += 1,
                Err(error) => {
                    tracing::warn!(%stream, %error, "a head can't be read: what it holds may be unpublished");
                    unreadable.get_or_insert(Stays::from(error));
                }
            }
        }
        let looked_for = wanted.len() as u64;
        let wanted = Wanted::new(wanted);
        Published::new(self, since, begin).strike(&wanted).await?;
        let missing = wanted.left();
        report.present += looked_for - missing.len() as u64;
        Ok((missing, unreadable))
    }

    /// The streams whose heads were stored from `since` on and before `through`.
    async fn candidates(
        &self,
        since: Option<Timestamp>,
        through: Timestamp,
        report: &mut Report,
    ) -> Result<Vec<StreamId>, Stays> {
        let recent =
            |head: &&Listed| since.is_none_or(|since| head.modified >= since) && head.modified < through;
        let mut candidates = Vec::new();
        let mut pages = pin!(self.reader.pages(Keys::under(key::HEADS)));
        while let Some(listed) = pages.try_next().await? {
            report.heads += listed.len() as u64;
            candidates.extend(listed.iter().filter(recent).filter_map(|head| key::stream_of_head(&head.key)));
        }
        report.candidates = candidates.len() as u64;
        Ok(candidates)
    }

    /// The version whose commit must be published; `None` where that is known already.
    async fn wanted(&self, stream: &StreamId, through: Timestamp) -> Result<Option<Version>, StoreError> {
        let (head, modified) = standing(&self.reader, stream).await?;
        // Replaced since it was listed: what it held was published before (H5), and what it holds is for the next pass.
        let unknown = modified < through && !head.is_settled();
        Ok(unknown.then_some(head.version))
    }

    /// Publishes the newest writes of these streams, each to its end; tells the first that was not to be.
    async fn deliver(
        &self,
        missing: BTreeMap<StreamId, Version>,
        last: Instant,
        report: &mut Report,
    ) -> Result<(), Stays> {
        let mut deliveries = pin!(deliver(&self.ports, &self.reader, missing, last));
        let mut failed = None;
        while let Some((stream, delivered)) = deliveries.next().await {
            match delivered {
                Ok(true) => report.published += 1,
                Ok(false) => report.present += 1,
                Err(cause) => {
                    failed.get_or_insert(Stays::Undelivered { stream, cause });
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn standing(&self) -> Result<Option<Standing>, StoreError> {
        Ok(match self.reader.object(key::WATERMARK, None).await? {
            Got::Found { body, etag, modified } => {
                let mark = Watermark::decode(&body).map_err(unreadable(key::WATERMARK))?;
                Some(Standing { mark, etag, modified })
            }
            Got::Missing | Got::Unchanged => None,
        })
    }

    /// Moves the watermark. Where another one stands meanwhile, that one is as true as ours.
    async fn set(
        &self,
        through: Timestamp,
        begin: Timestamp,
        standing: Option<Standing>,
        report: &mut Report,
    ) -> Result<(), Stays> {
        let (mark, only) = match standing {
            // It was stored within the second.
            Some(Standing { mark, etag, modified }) => {
                let stored = modified.checked_add(SLACK).unwrap_or(Timestamp::MAX);
                (mark.moved(through, stored, begin), Precondition::Matches(etag))
            }
            None => (Watermark::new(through), Precondition::Absent),
        };
        let body = mark.encode().map_err(unreadable(key::WATERMARK))?;
        match self.patiently(|| self.ports.objects.put(key::WATERMARK, body.clone(), only.clone())).await {
            Ok(_) => report.after = Some(through),
            Err(ObjectError::Precondition) => {
                report.after = self.standing().await?.map(|standing| standing.mark.through);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, ObjectError>
    where
        F: Future<Output = Result<T, ObjectError>>,
    {
        repeat(self.settings.patience, pauses(&*self.ports.entropy), ask).await
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What is stored at `key`, or should be, is not what it must be.
fn unreadable(key: &str) -> impl Fn(FormatError) -> StoreError {
    move |error| StoreError::Corrupt { key: key.to_owned(), reason: error.to_string() }
}

/// `at` less `by`, as far as there is time.
fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}
