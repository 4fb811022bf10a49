//! Reading the archive: every commit once, in version order per stream.
//!
//! 1. Find the shards, and in each the segment to begin at: the first of its chain, or the last before the asked day,
//!    which may hold records of that day.
//! 2. Read each shard's segments in order, a few ahead, decoded on blocking threads; check that each is the next of its
//!    chain. A missing segment is [`ChainError::Corrupt`], which names it.
//! 3. Hand out the commits, shards side by side, but a shard after its parents: a stream's versions may lie in both.
//!
//! What is held in memory is a few decoded segments per shard, of [`SHARDS_AT_A_TIME`] shards. Whether the newest segments
//! of a chain are there can't be told from the chain; that is the audit's to say.

use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream, SelectAll},
};
use headwater::{
    Schemas,
    port::{Entropy, Keys, Listed, Objects, any, folders},
};
use jiff::{Timestamp, civil::Date};
use serde::de::DeserializeOwned;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::spawn_blocking,
};

use crate::{
    archive::check_next,
    chain::{Chain, ChainError, Tail},
    place::{Place, day, stream_prefix},
    segment::{Archived, Event, Footer, Segment, SegmentError, Span},
};

/// Segments of a shard that are read and decoded before they are asked for.
const SEGMENTS_AHEAD: usize = 2;
/// Shards that are read side by side.
pub const SHARDS_AT_A_TIME: usize = 16;

/// What is read of a Kinesis stream's archive.
#[derive(Clone)]
pub struct Replay {
    archive: Arc<dyn Objects>,
    entropy: Arc<dyn Entropy>,
    stream: String,
    wanted: Arc<Wanted>,
    patience: Duration,
}

/// Which commits are wanted.
#[derive(Debug, Clone, Default)]
struct Wanted {
    from: Option<Date>,
    kinds: Vec<String>,
}

/// A commit of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The shard in which it arrived.
    pub shard: Arc<str>,
    /// The commit, and where it arrived.
    pub archived: Archived,
}

/// How much of an archive was read.
#[derive(Debug, Clone, Default)]
pub struct Read(Arc<AtomicU64>);

impl Read {
    /// Segments, also those that were read ahead.
    pub fn segments(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Segments that were read.
    pub segments: u64,
    /// Commits that are wanted.
    pub commits: u64,
    /// Their events.
    pub events: u64,
}

impl Replay {
    /// All of the archive of the Kinesis stream `stream` in that bucket.
    pub fn new(archive: Arc<dyn Objects>, entropy: Arc<dyn Entropy>, stream: &str) -> Self {
        let (stream, wanted) = (stream.to_owned(), Arc::default());
        Self { archive, entropy, stream, wanted, patience: Duration::from_secs(20) }
    }

    /// Only commits that arrived on that day (UTC) or later.
    #[must_use]
    pub fn from(mut self, day: Date) -> Self {
        Arc::make_mut(&mut self.wanted).from = Some(day);
        self
    }

    /// Only commits of this kind of stream, or of the others asked for.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        Arc::make_mut(&mut self.wanted).kinds.push(kind.to_owned());
        self
    }

    /// The shards that have segments.
    pub async fn shards(&self) -> Result<Vec<String>, ChainError> {
        let prefix = stream_prefix(&self.stream);
        let chain = self.chain("");
        let folders = folders(&prefix, |keys| any(chain.pages(keys))).await?;
        Ok(folders.iter().filter_map(|folder| folder.strip_prefix("shard=")).map(str::to_owned).collect())
    }

    /// The chain of one shard.
    pub fn chain(&self, shard: &str) -> Chain {
        let (archive, entropy) = (Arc::clone(&self.archive), Arc::clone(&self.entropy));
        Chain::new(archive, entropy, &self.stream, shard, self.patience)
    }

    /// The number of segments from the asked day on: by their keys, which costs a listing per thousand.
    pub async fn segments(&self) -> Result<u64, ChainError> {
        let place = |Listed { key, .. }: &Listed| Place::parse(key.get(..key.find("dt=")?)?, key);
        let wanted = |place: &Place| self.wanted.from.is_none_or(|from| place.date >= from);
        let (mut segments, keys) = (0, Keys::under(stream_prefix(&self.stream)));
        let mut pages = pin!(self.chain("").pages(keys));
        while let Some(page) = pages.try_next().await? {
            segments += page.iter().filter_map(place).filter(wanted).count() as u64;
        }
        Ok(segments)
    }

    /// Every wanted commit once, in version order per stream. The first error ends it.
    pub fn commits(&self) -> impl Stream<Item = Result<Replayed, ChainError>> + Send + use<> {
        self.followed().0
    }

    /// As [`Self::commits`], and how much of the archive was read for them so far.
    pub fn followed(&self) -> (impl Stream<Item = Result<Replayed, ChainError>> + Send + use<>, Read) {
        let progress = Read::default();
        let (wanted, followed) = (Arc::clone(&self.wanted), progress.clone());
        let read = move |begin: &Begin| {
            let (shard, wanted): (Arc<str>, _) = (begin.chain.shard().into(), Arc::clone(&wanted));
            let progress = progress.clone();
            let decode = move |segment: &Segment| {
                let commits = wanted.commits(segment);
                progress.0.fetch_add(1, Ordering::Relaxed);
                commits
            };
            segments(begin, decode).map_ok(move |commits| (Arc::clone(&shard), commits)).boxed()
        };
        let one_by_one = |(shard, commits): (Arc<str>, Vec<Archived>)| {
            let replayed = move |archived| Ok(Replayed { shard: Arc::clone(&shard), archived });
            stream::iter(commits.into_iter().map(replayed))
        };
        (self.clone().shard_by_shard(read).map_ok(one_by_one).try_flatten(), followed)
    }

    /// Every wanted event once, typed, in version order per stream. The first error of the archive ends it; an event that does
    /// not fit is handed out as that, and ends nothing.
    ///
    /// It costs a fraction of [`Self::commits`], because what an event does not need is not read: commit ids and meta.
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use futures::TryStreamExt;
    /// # use headwater::{Aggregate, Schemas, port::{Entropy, Objects}};
    /// use archiver::{replay::Replay, segment::Event};
    ///
    /// # async fn example<Account: Aggregate>(archive: Arc<dyn Objects>, entropy: Arc<dyn Entropy>)
    /// # -> Result<(), Box<dyn std::error::Error>> where Account::Event: Send + 'static {
    /// let accounts = Replay::new(archive, entropy, "headwater").kind(Account::KIND);
    /// let mut events = std::pin::pin!(accounts.events::<Account::Event>(Schemas::of::<Account>()));
    /// while let Some(Event { stream, version, event, .. }) = events.try_next().await? {
    ///     let event = event?;
    ///     // …
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn events<E: DeserializeOwned + Send + 'static>(
        &self,
        schemas: Schemas,
    ) -> impl Stream<Item = Result<Event<E>, ChainError>> + Send + use<E> {
        let wanted = Arc::clone(&self.wanted);
        let read = move |begin: &Begin| {
            let wanted = Arc::clone(&wanted);
            segments(begin, move |segment: &Segment| {
                segment.events(schemas, |kind, at| wanted.event(kind, at))
            })
        };
        let one_by_one = |events: Vec<Event<E>>| stream::iter(events.into_iter().map(Ok));
        self.clone().shard_by_shard(read).map_ok(one_by_one).try_flatten()
    }

    /// Counts what is wanted: by the footers alone where all of it is.
    pub async fn count(&self) -> Result<Counts, ChainError> {
        let wanted = Arc::clone(&self.wanted);
        let read = move |begin: &Begin| {
            let wanted = Arc::clone(&wanted);
            segments(begin, move |segment: &Segment| wanted.count(segment))
        };
        let add = |sum: Counts, segment: Counts| async move {
            Ok(Counts {
                segments: sum.segments + segment.segments,
                commits: sum.commits + segment.commits,
                events: sum.events + segment.events,
            })
        };
        self.clone().shard_by_shard(read).try_fold(Counts::default(), add).await
    }

    /// What `read` gives for each shard, shards side by side, parents before children.
    fn shard_by_shard<T: Send + 'static>(
        self,
        read: impl Fn(&Begin) -> BoxStream<'static, Result<T, ChainError>> + Send + Sync + 'static,
    ) -> impl Stream<Item = Result<T, ChainError>> + Send {
        let begins = async move {
            let mut begins = Vec::new();
            for shard in self.shards().await? {
                begins.extend(self.begin(&shard).await?);
            }
            Ok(stream::try_unfold(Lineage::new(begins, read), Lineage::next))
        };
        stream::once(begins).try_flatten()
    }

    /// Where to begin in a shard; `None` where it has no segments.
    async fn begin(&self, shard: &str) -> Result<Option<Begin>, ChainError> {
        let chain = self.chain(shard);
        let from = self.wanted.from.map(|date| Place { date, ordinal: 0 });
        let first = chain.first(from).await?;
        let place = match (first, from) {
            (None, Some(from)) => chain.newest(from.date).await?,
            (first, None) => first,
            (Some(first), Some(_)) => {
                let footer = chain.demand(first).await?.footer().clone();
                Some(footer.place_before().unwrap_or(first))
            }
        };
        let Some(place) = place else { return Ok(None) };
        if from.is_none() && place.ordinal != 1 {
            return Err(gap(&chain, place, 1));
        }
        let footer = chain.demand(place).await?.footer().clone();
        Ok(Some(Begin { chain, parents: footer.parents.clone(), footer }))
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut replay = f.debug_struct("Replay");
        replay.field("stream", &self.stream).field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl Wanted {
    fn commits(&self, segment: &Segment) -> Result<Vec<Archived>, SegmentError> {
        let mut commits = segment.select(|kind| self.kind(kind))?;
        commits.retain(|archived| self.from.is_none_or(|from| day(archived.arrived_at) >= from));
        Ok(commits)
    }

    fn count(&self, segment: &Segment) -> Result<Counts, SegmentError> {
        let footer = segment.footer();
        if self.from.is_none() && self.kinds.is_empty() {
            return Ok(Counts { segments: 1, commits: footer.commits, events: footer.rows });
        }
        let wanted = |span: &Span| self.event(span.stream.kind(), span.arrived_at.as_millisecond());
        let mut counts = Counts { segments: 1, ..Counts::default() };
        for span in segment.spans()?.iter().filter(|span| wanted(span)) {
            counts.commits += 1;
            counts.events += (span.last.get() + 1).saturating_sub(span.first.get());
        }
        Ok(counts)
    }

    /// Whether an event of this kind is wanted that arrived so many milliseconds after 1970 began.
    fn event(&self, kind: &str, arrived: i64) -> bool {
        let arrived = || Timestamp::from_millisecond(arrived).map(day);
        self.kind(kind) && self.from.is_none_or(|from| arrived().is_ok_and(|day| day >= from))
    }

    fn kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind)
    }
}

/// Where a shard is begun.
struct Begin {
    chain: Chain,
    parents: Vec<String>,
    footer: Footer,
}

/// The shards that are read, and those that wait for their parents.
struct Lineage<T, R> {
    waiting: Vec<Begin>,
    running: SelectAll<BoxStream<'static, Result<Item<T>, ChainError>>>,
    unfinished: HashSet<String>,
    read: R,
}

enum Item<T> {
    One(T),
    End(String),
}

impl<T, R> Lineage<T, R>
where
    T: Send + 'static,
    R: Fn(&Begin) -> BoxStream<'static, Result<T, ChainError>>,
{
    fn new(begins: Vec<Begin>, read: R) -> Self {
        let unfinished = begins.iter().map(|begin| begin.chain.shard().to_owned()).collect();
        Self { waiting: begins, running: SelectAll::new(), unfinished, read }
    }

    async fn next(mut self) -> Result<Option<(T, Self)>, ChainError> {
        loop {
            self.begin_more();
            match self.running.next().await.transpose()? {
                Some(Item::One(item)) => return Ok(Some((item, self))),
                Some(Item::End(shard)) => {
                    self.unfinished.remove(&shard);
                }
                None => return Ok(None),
            }
        }
    }

    /// Begins the shards whose parents are finished. If none is left to wait for, footers name one another as parents,
    /// which no archiver writes: then order is lost, but no commit.
    fn begin_more(&mut self) {
        while self.running.len() < SHARDS_AT_A_TIME && !self.waiting.is_empty() {
            let free = |begin: &Begin| !begin.parents.iter().any(|parent| self.unfinished.contains(parent));
            let place = self.waiting.iter().position(free);
            let Some(place) = place.or(self.running.is_empty().then_some(0)) else { return };
            let begin = self.waiting.remove(place);
            let end = Ok(Item::End(begin.chain.shard().to_owned()));
            let items = (self.read)(&begin).map_ok(Item::One);
            self.running.push(items.chain(stream::once(async { end })).boxed());
        }
    }
}

/// What `decode` makes of each segment of a shard, in order, the chain checked.
fn segments<T: Send + 'static>(
    begin: &Begin,
    decode: impl Fn(&Segment) -> Result<T, SegmentError> + Clone + Send + 'static,
) -> BoxStream<'static, Result<T, ChainError>> {
    let chain = begin.chain.clone();
    let reads = places(begin).map(move |place| read(chain.clone(), place, decode.clone()));
    let (chain, mut tail) = (begin.chain.clone(), tail_before(&begin.footer));
    reads
        .buffered(SEGMENTS_AHEAD)
        .map(move |read| {
            let (footer, decoded) = read?;
            let corrupt = |reason| ChainError::Corrupt { key: chain.key(footer.place), reason };
            check_next(tail.as_ref(), &footer).map_err(corrupt)?;
            tail = Some(Tail::from(&footer));
            Ok(decoded)
        })
        .boxed()
}

/// Reads and decodes one segment.
async fn read<T: Send + 'static>(
    chain: Chain,
    place: Result<Place, ChainError>,
    decode: impl Fn(&Segment) -> Result<T, SegmentError> + Send + 'static,
) -> Result<(Footer, T), ChainError> {
    let place = place?;
    let segment = chain.demand(place).await?;
    let decode = move || decode(&segment).map(|decoded| (segment.footer().clone(), decoded));
    let failed = |reason| ChainError::Corrupt { key: chain.key(place), reason };
    // A runtime of one thread has asked for one thing at a time, and gets it: a simulation depends on that.
    let decoded = match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => decode(),
        _ => spawn_blocking(decode).await.map_err(|error| failed(error.to_string()))?,
    };
    decoded.map_err(|error| failed(error.reason))
}

/// The places of a chain from its begin on, in order; an error where an ordinal is missing.
fn places(begin: &Begin) -> impl Stream<Item = Result<Place, ChainError>> + Send + use<> {
    let listed = VecDeque::from([begin.footer.place]);
    let begin = (begin.chain.clone(), begin.footer.place.ordinal, listed);
    stream::try_unfold(begin, |(chain, ordinal, mut listed)| async move {
        let Some(place) = listed.pop_front() else { return Ok(None) };
        if place.ordinal != ordinal {
            return Err(gap(&chain, place, ordinal));
        }
        if listed.is_empty() {
            listed.extend(chain.after(Some(place)).await?);
        }
        Ok(Some((place, (chain, ordinal.saturating_add(1), listed))))
    })
}

/// Ordinal `missing` stands nowhere before `place`.
fn gap(chain: &Chain, place: Place, missing: u64) -> ChainError {
    let reason = format!("ordinal {missing:012} is missing before it");
    ChainError::Corrupt { key: chain.key(place), reason }
}

/// The end of the segment before, as `footer` says.
fn tail_before(footer: &Footer) -> Option<Tail> {
    let (place, previous) = footer.place_before().zip(footer.previous.clone())?;
    Some(Tail { place, last: previous.last, parents: Vec::new() })
}

#[cfg(test)]
mod tests;
