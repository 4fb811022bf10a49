//! Projecting: a batch of records becomes views, each read once and written once.
//!
//! For every view that the batch feeds, several at a time, and in every generation that takes commits in (see `generation`):
//!
//! 1. read the view, and with it the versions that it reflects;
//! 2. plan by the version rule, heal the gaps from the heads, fold in memory;
//! 3. if nothing changed, there is nothing to write;
//! 4. publish what was derived, where the projection forwards;
//! 5. write the view if it is still the one that was read.
//!
//! A write that lost the race, or whose answer was lost, is decided by what stands then: from 1 again, where the versions in
//! the view tell what is left to do. So every way through ends with each commit in the view exactly once (H11).
//!
//! A failure of the world names the batch's first record that feeds the view, and the batch comes again from there; what
//! other views have is skipped then. A view that cannot be read as one is passed over, and the shard goes on: once the
//! view is mended, or deleted, the next record of each stream heals it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, error};

use super::{
    decode::{Feed, all, decode},
    fold::{Base, Folded, Rules, fold},
    forward::{self, Forward},
    generation::{Generations, Known},
    heal::Heads,
    projection::Projection,
    tell::{Told, again},
    trace,
    work::Work,
};
use crate::{
    error::StoreError,
    format::{key, pointer::Pointer, view::View},
    identity::IdentitySource,
    metric,
    port::{Arrival, Clock, Entropy, Got, Log, ObjectError, Objects, Ports, Precondition, Sequence, backoff},
    read::Reader,
};

/// Views that one batch works on at a time.
pub(super) const VIEWS_AT_A_TIME: usize = 16;

/// How often a view is folded in one batch before somebody else's writes are a failure of the world.
pub(super) const ROUNDS: usize = 10;

/// How long a write may stay unanswered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the views of one projection.
pub struct Projector<P: Projection> {
    pub(super) rules: Rules<P>,
    pub(super) reader: Reader,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) generations: Generations,
    pub(super) objects: Arc<dyn Objects>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) identity: IdentitySource,
    forward: Option<Arc<dyn Log>>,
}

/// What became of a write.
pub(super) enum Put {
    /// The view is written.
    Stands,
    /// Another view stands there, perhaps this one, whose answer was lost; why that is so.
    Lost(String),
}

/// The lowest of the sequence numbers per shard.
pub(super) fn lowest(failed: Vec<BTreeMap<String, Sequence>>) -> BTreeMap<String, Sequence> {
    let mut lowest: BTreeMap<String, Sequence> = BTreeMap::new();
    for (shard, sequence) in failed.into_iter().flatten() {
        let least = lowest.entry(shard).or_insert_with(|| sequence.clone());
        if sequence < *least {
            *least = sequence;
        }
    }
    lowest
}

impl<P: Projection> Projector<P> {
    /// Keeps the views of `projection` in the store's bucket.
    pub fn new(projection: P, ports: &Ports) -> Self {
        Self::by(Rules::of(projection), ports)
    }

    fn by(rules: Rules<P>, ports: &Ports) -> Self {
        Self {
            rules,
            reader: Reader::new(ports),
            clock: Arc::clone(&ports.clock),
            generations: Generations::new(P::NAME, ports),
            objects: Arc::clone(&ports.objects),
            entropy: Arc::clone(&ports.entropy),
            identity: ports.identity.clone(),
            forward: None,
        }
    }

    /// Keeps the views of `projection` and forwards what it derives to another stream, `log`.
    pub fn forwarding(projection: P, ports: &Ports, log: Arc<dyn Log>) -> Self
    where
        P: Forward,
    {
        Self { forward: Some(log), ..Self::by(Rules::forwarding(projection), ports) }
    }

    /// The projection.
    pub fn projection(&self) -> &P {
        &self.rules.projection
    }

    /// Takes a batch in. Answers with what must come again because the world failed: per shard, the lowest sequence number
    /// of the records that feed a view which was not written; all later records of that shard should come again too.
    pub async fn project(&self, arrivals: &[Arrival]) -> BTreeMap<String, Sequence> {
        let ours = match self.identity.now(&self.reader).await {
            Ok(ours) => ours,
            Err(cause) => {
                again(P::NAME, "the whole batch", &cause);
                return all(arrivals);
            }
        };
        let feeds = decode(&self.rules.projection, ours, arrivals);
        if feeds.is_empty() {
            return BTreeMap::new();
        }
        let batch = trace::batch(P::NAME, &feeds, arrivals.len());
        let failed = match self.generations.now().await {
            Ok(Known { pointer, .. }) => {
                let views = feeds.into_iter().map(|(key, feed)| {
                    let span = trace::view(P::NAME, &key, &feed, &batch);
                    self.feed(pointer, key, feed).instrument(span)
                });
                stream::iter(views).buffer_unordered(VIEWS_AT_A_TIME).collect().await
            }
            Err(cause) => {
                again(P::NAME, "every view", &cause);
                feeds.into_values().map(|feed| feed.lowest).collect()
            }
        };
        metric::lag(&*self.clock, arrivals);
        lowest(failed)
    }

    /// Takes in what a batch has for one view, in every generation; answers with what must come again.
    async fn feed(&self, pointer: Pointer, key: String, feed: Feed) -> BTreeMap<String, Sequence> {
        let mut failed = false;
        for generation in pointer.written() {
            match self.write(generation, &key, &mut Work::Take(&feed.commits)).await {
                Ok(_) => {}
                Err(cause @ StoreError::Corrupt { .. }) => {
                    error!(projection = P::NAME, generation, key, %cause, "passed over a view");
                }
                Err(cause) => {
                    again(P::NAME, &key, &cause);
                    failed = true;
                }
            }
        }
        if failed { feed.lowest } else { BTreeMap::new() }
    }

    /// Reads, folds and writes one view of a generation, until it stands. Answers with the view as it is then.
    pub(super) async fn write(
        &self,
        generation: u32,
        key: &str,
        work: &mut Work<'_>,
    ) -> Result<View<P::View>, StoreError> {
        let object = key::view_in(P::NAME, generation, key);
        let mut heads = Heads::default();
        let mut pauses = backoff(&*self.entropy, Duration::from_millis(5), Duration::from_millis(500));
        let mut reason = String::new();
        for _ in 0..ROUNDS {
            let (mut view, base, only) = self.read(&object).await?;
            let Some(planned) = work.plan(&mut view) else { return Ok(view) };
            let told = Told::before(P::NAME, &view, &planned, work);
            let steps = heads.heal(&self.reader, planned).await?;
            let Folded { changed, derived } = fold(&self.rules, &mut view, base, &steps, self.clock.now())?;
            if !changed && !matches!(work, Work::Unpark { .. }) {
                return Ok(view);
            }
            if let Some(log) = &self.forward {
                forward::publish(&**log, &*self.entropy, self.identity.known(), &derived).await?;
            }
            match self.put(&object, &view, only).await? {
                Put::Stands => {
                    told.written(&view, &steps);
                    return Ok(view);
                }
                Put::Lost(why) => reason = why,
            }
            sleep(pauses.next().unwrap_or_default()).await;
        }
        Err(StoreError::Unavailable(format!("{object} was not written in {ROUNDS} rounds: {reason}").into()))
    }

    /// Writes a view, if it is still the one that was read.
    pub(super) async fn put(
        &self,
        object: &str,
        view: &View<P::View>,
        only: Precondition,
    ) -> Result<Put, StoreError> {
        let body = view.encode().map_err(|error| StoreError::corrupt(object, &error))?;
        match timeout(PATIENCE, self.objects.put(object, body, only)).await {
            Ok(Ok(_)) => Ok(Put::Stands),
            Ok(Err(error @ ObjectError::Refused(_))) => Err(error.into()),
            Ok(Err(error)) => Ok(Put::Lost(error.to_string())),
            Err(_) => Ok(Put::Lost("no answer in time".to_owned())),
        }
    }

    /// Reads a view: what it says, the base to fold it from, and when it may be written.
    pub(super) async fn read(
        &self,
        object: &str,
    ) -> Result<(View<P::View>, Base<P::View>, Precondition), StoreError> {
        match self.reader.object(object, None).await? {
            Got::Found { body, etag, .. } => {
                let view = View::decode(&body).map_err(|error| StoreError::corrupt(object, &error))?;
                Ok((view, Base::Stored(body), Precondition::Matches(etag)))
            }
            Got::Missing | Got::Unchanged => {
                let state = P::View::default();
                Ok((View::new(state.clone()), Base::Kept(state), Precondition::Absent))
            }
        }
    }
}

impl<P: Projection> std::fmt::Debug for Projector<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projector").field("projection", &P::NAME).finish_non_exhaustive()
    }
}
