//! The chain of one shard: ordinal k + 1 begins at the first record after the last of ordinal k, and stands for ever.
//!
//! A segment is created only where no object stands, so of several archivers one wins each ordinal, provided that all of
//! them name the same key for it. The key has a date, which is the arrival day of the first record after ordinal k
//! ([`Place::next`]). So an archiver must know which record that is, and sequence numbers have gaps: whether a record is
//! missing between two of them can't be seen. What it knows instead:
//!
//! - *A batch has no holes*, because the mapping delivers a shard in order, without filter, from its checkpoint.
//! - *A batch begins at or before the first record that is not archived*, as the chain stood when the batch was handed
//!   out: the checkpoint moves only after an archiver answered success, and an archiver does so only when segments cover
//!   all of the batch, those without rows included.
//!
//! So the first record of the batch after ordinal k is the first record of the shard after ordinal k, if
//!
//! 1. the batch begins at or before the last record of ordinal k, or
//! 2. k was the newest ordinal at some time after the batch was handed out.
//!
//! A tail from memory can fail both: somebody else may have archived what lies between it and the batch. Then, before
//! anything is written, [`Chain::after`] asks what stands behind it (one listing), and 2 holds. Arrival times play no part
//! in this; they only make the name, the same for everybody.
//!
//! An answer that was lost is no special case: what stands at the key is ordinal k + 1, whoever wrote it, and the archiver
//! goes on from what it covers. A PUT that happens late meets its own condition.

use std::{
    collections::{BinaryHeap, VecDeque},
    future::ready,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use headwater::port::{
    Entropy, Got, Keys, Listed, ObjectError, Objects, Precondition, Sequence, backoff, pages,
};
use jiff::{ToSpan, civil::Date};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    place::{Place, shard_prefix},
    segment::{Footer, Segment},
};

/// Segments that are read at a time on the way back.
pub(crate) const SEGMENTS_AT_A_TIME: u8 = 16;

/// Segments whose places are in memory at once: 16 MiB.
const AT_ONCE: usize = 1_000_000;

/// Why a chain could not be read or continued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// S3 does not answer: come again. Or it refuses: ask the operator.
    #[error("{key}: {cause}")]
    Unavailable {
        /// The key, or the prefix of a listing.
        key: String,
        /// The last answer.
        #[source]
        cause: ObjectError,
    },
    /// What stands is not what an archiver wrote, or an ordinal is missing: stop and look.
    #[error("{key} is corrupt: {reason}")]
    Corrupt {
        /// The segment's key.
        key: String,
        /// What does not add up.
        reason: String,
    },
}

/// The newest segment of a chain, as far as one archiver knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Its place.
    pub place: Place,
    /// The last record that it covers.
    pub last: Sequence,
    /// The shard's parents.
    pub parents: Vec<String>,
}

impl From<&Footer> for Tail {
    fn from(footer: &Footer) -> Self {
        Self { place: footer.place, last: footer.last.clone(), parents: footer.parents.clone() }
    }
}

/// What became of a segment.
#[derive(Debug)]
pub enum Added {
    /// It is the next ordinal.
    Ours,
    /// This one is: another archiver's, or our own from an attempt whose answer was lost.
    Stands(Segment),
}

/// The chain of one shard.
#[derive(Clone)]
pub struct Chain {
    objects: Arc<dyn Objects>,
    entropy: Arc<dyn Entropy>,
    prefix: String,
    shard: String,
    patience: Duration,
}

impl Chain {
    /// The chain of `shard` of the Kinesis stream `stream` in the archive's bucket; each operation is repeated for
    /// `patience` while S3 does not answer.
    pub fn new(
        objects: Arc<dyn Objects>,
        entropy: Arc<dyn Entropy>,
        stream: &str,
        shard: &str,
        patience: Duration,
    ) -> Self {
        Self { objects, entropy, prefix: shard_prefix(stream, shard), shard: shard.to_owned(), patience }
    }

    /// The same stream's chain of another shard.
    #[must_use]
    pub fn of(&self, shard: &str) -> Self {
        let before = self.prefix.len().saturating_sub(self.shard.len() + 1);
        let prefix = format!("{}{shard}/", self.prefix.get(..before).unwrap_or_default());
        Self { prefix, shard: shard.to_owned(), ..self.clone() }
    }

    /// The shard.
    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// The key of a segment.
    pub fn key(&self, place: Place) -> String {
        place.key(&self.prefix)
    }

    /// The segments after `place`, oldest first, all of them after `None`: no more than a million at once, the oldest. A
    /// listing for each 1,000 that the chain has there.
    pub async fn after(&self, place: Option<Place>) -> Result<Vec<Place>, ChainError> {
        let listed = self.oldest_after(place).await?;
        let ordinals = || place.into_iter().chain(listed.iter().copied()).map(|place| place.ordinal);
        let is_whole =
            ordinals().zip(ordinals().skip(1)).all(|(before, next)| next == before.saturating_add(1));
        let Some(newest) = listed.last().filter(|_| !is_whole) else { return Ok(listed) };
        // A listing is no snapshot: of segments that are written meanwhile it may have a later one alone. When it ends, all
        // before that one exist, and are listed.
        let mut again = self.oldest_after(place).await?;
        again.retain(|place| place <= newest);
        Ok(again)
    }

    async fn oldest_after(&self, place: Option<Place>) -> Result<Vec<Place>, ChainError> {
        // The newest of them on top.
        let mut oldest = BinaryHeap::new();
        let mut pages = pin!(self.places(self.keys_after(place)));
        while let Some(page) = pages.try_next().await? {
            for place in page {
                oldest.push(place);
                if oldest.len() > AT_ONCE {
                    oldest.pop();
                }
            }
        }
        Ok(oldest.into_sorted_vec())
    }

    /// The oldest segment after `place`, of all after `None`. Two listings, where the bucket has an order.
    pub async fn first(&self, place: Option<Place>) -> Result<Option<Place>, ChainError> {
        let (mut first, mut keys) = (None, self.keys_after(place));
        while let Some(older) = self.some(keys.clone()).await? {
            first = Some(older);
            keys = keys.before(self.key(older));
        }
        Ok(first)
    }

    /// The newest segment after `place`. A listing for each 1,000 that the chain has there.
    pub async fn newest_after(&self, place: Place) -> Result<Option<Place>, ChainError> {
        let newest = |newest, page: Vec<Place>| ready(Ok(page.into_iter().max().max(newest)));
        self.places(self.keys_after(Some(place))).try_fold(None, newest).await
    }

    /// The newest segment. `near` is a day on which it is likely to be: the search begins there, and goes back in growing
    /// strides. Some listings, and one for each 1,000 that the chain has from there on.
    pub async fn newest(&self, near: Date) -> Result<Option<Place>, ChainError> {
        let mut days = 0_i32;
        loop {
            let date = near.checked_sub(days.days()).unwrap_or(Date::MIN);
            let newest = self.newest_after(Place { date, ordinal: 0 }).await?;
            let is_empty = newest.is_none() && days == 0 && self.some(self.keys_after(None)).await?.is_none();
            if newest.is_some() || is_empty || date == Date::MIN {
                return Ok(newest);
            }
            days = days.saturating_mul(2).max(1);
        }
    }

    fn keys_after(&self, place: Option<Place>) -> Keys {
        let keys = Keys::under(&self.prefix);
        match place {
            Some(place) => keys.after(self.key(place)),
            None => keys,
        }
    }

    /// The segments among these keys, page after page.
    fn places(&self, keys: Keys) -> impl Stream<Item = Result<Vec<Place>, ChainError>> + Send + '_ {
        let place = |listed: Listed| Place::parse(&self.prefix, &listed.key);
        self.pages(keys).map_ok(move |page| page.into_iter().filter_map(place).collect())
    }

    /// The oldest segment of the first page that has one.
    async fn some(&self, keys: Keys) -> Result<Option<Place>, ChainError> {
        let mut pages = pin!(self.places(keys));
        while let Some(page) = pages.try_next().await? {
            if let Some(oldest) = page.into_iter().min() {
                return Ok(Some(oldest));
            }
        }
        Ok(None)
    }

    /// Reads the segment at `place`; `None` where none stands.
    pub async fn read(&self, place: Place) -> Result<Option<Segment>, ChainError> {
        let key = self.key(place);
        let body = match self.repeat(&key, || self.objects.get(&key, None)).await? {
            Got::Found { body, .. } => body,
            Got::Missing | Got::Unchanged => return Ok(None),
        };
        let opened = Segment::open(body).and_then(|segment| {
            let footer = segment.footer();
            let reason = format_args!("it says that it is {} of {}", footer.place, footer.shard).to_string();
            let right = footer.place == place && footer.shard == self.shard;
            if right { Ok(segment) } else { Err(crate::segment::SegmentError { reason }) }
        });
        opened.map(Some).map_err(|error| ChainError::Corrupt { key, reason: error.reason })
    }

    /// Reads a segment that must stand.
    pub async fn demand(&self, place: Place) -> Result<Segment, ChainError> {
        self.read(place).await?.ok_or_else(|| self.missing(place))
    }

    fn missing(&self, place: Place) -> ChainError {
        ChainError::Corrupt { key: self.key(place), reason: "the segment is missing".to_owned() }
    }

    /// The segments from `newest` back to the first of the chain, so many of them read at a time.
    pub(crate) fn back(
        &self,
        newest: Place,
        at_a_time: u8,
    ) -> impl Stream<Item = Result<Segment, ChainError>> + Send + use<> {
        let begin = (self.clone(), Some(newest), VecDeque::new());
        stream::try_unfold(begin, move |(chain, mut next, mut read)| async move {
            if read.is_empty()
                && let Some(place) = next.take()
            {
                read = chain.chunk(place, at_a_time).await?;
                next = read.back().and_then(|oldest: &Segment| oldest.footer().place_before());
            }
            Ok(read.pop_front().map(|segment| (segment, (chain, next, read))))
        })
    }

    /// The segment at `place` and those before it of the same date, newest first.
    async fn chunk(&self, place: Place, at_a_time: u8) -> Result<VecDeque<Segment>, ChainError> {
        // Ordinals follow one another within a date; where the date changes, the footer tells.
        let earlier = (0..at_a_time).filter_map(|back| place.ordinal.checked_sub(back.into()));
        let places = earlier.filter(|ordinal| *ordinal > 0).map(|ordinal| Place { ordinal, ..place });
        let reads: Vec<_> = places.map(|place| self.read(place)).collect();
        let segments: Vec<Option<Segment>> =
            stream::iter(reads).buffered(at_a_time.into()).try_collect().await?;
        let segments: VecDeque<Segment> = segments.into_iter().map_while(|segment| segment).collect();
        if segments.is_empty() {
            return Err(self.missing(place));
        }
        Ok(segments)
    }

    /// Makes `body` the segment at `place`, unless one stands there.
    pub async fn add(&self, place: Place, body: Bytes) -> Result<Added, ChainError> {
        let key = self.key(place);
        let mut pauses = pauses(&*self.entropy);
        let deadline = Instant::now() + self.patience;
        loop {
            let put = self.objects.put(&key, body.clone(), Precondition::Absent);
            let cause = match timeout_at(deadline, put).await {
                Ok(Ok(_)) => return Ok(Added::Ours),
                Ok(Err(refused @ ObjectError::Refused(_))) => {
                    return Err(ChainError::Unavailable { key, cause: refused });
                }
                Ok(Err(ObjectError::InFlight)) => ObjectError::InFlight,
                // The key is taken, or may be: what stands there is the next ordinal.
                Ok(Err(cause)) => match self.read(place).await? {
                    Some(segment) => return Ok(Added::Stands(segment)),
                    None => cause,
                },
                Err(_) => ObjectError::Unknown("no answer in time".into()),
            };
            let pause = pauses.next().unwrap_or_default();
            if Instant::now() + pause >= deadline {
                return Err(ChainError::Unavailable { key, cause });
            }
            sleep(pause).await;
        }
    }

    /// The pages of any keys of the bucket, in no order.
    pub(crate) fn pages(
        &self,
        keys: Keys,
    ) -> impl Stream<Item = Result<Vec<Listed>, ChainError>> + Send + use<> {
        let chain = self.clone();
        pages(move |from| {
            let (chain, keys) = (chain.clone(), keys.clone());
            async move { chain.repeat(&keys.prefix, || chain.objects.list(&keys, from.as_ref())).await }
        })
    }

    async fn repeat<T, F>(&self, key: &str, ask: impl Fn() -> F) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ObjectError>>,
    {
        let answer = repeat(self.patience, pauses(&*self.entropy), ask).await;
        answer.map_err(|cause| ChainError::Unavailable { key: key.to_owned(), cause })
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The pauses between attempts.
pub(crate) fn pauses(entropy: &dyn Entropy) -> impl Iterator<Item = Duration> + Send {
    backoff(entropy, Duration::from_millis(50), Duration::from_secs(2))
}

/// Asks again while S3 does not answer or another write is in flight, for `patience` in all.
pub(crate) async fn repeat<T, F>(
    patience: Duration,
    mut pauses: impl Iterator<Item = Duration>,
    ask: impl Fn() -> F,
) -> Result<T, ObjectError>
where
    F: Future<Output = Result<T, ObjectError>>,
{
    let deadline = Instant::now() + patience;
    loop {
        let cause = match timeout_at(deadline, ask()).await {
            Ok(Err(cause @ (ObjectError::Unknown(_) | ObjectError::InFlight))) => cause,
            Ok(answer) => return answer,
            Err(_) => ObjectError::Unknown("no answer in time".into()),
        };
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= deadline {
            return Err(cause);
        }
        sleep(pause).await;
    }
}
