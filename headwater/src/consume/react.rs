//! Reacting: from a batch of records to commands, in version order per stream, each event until it is done.
//!
//! For every stream that the process reads, several at a time:
//!
//! 1. read how far it was reacted to: a view of that stream alone, at `views/{process}/{kind/id}`;
//! 2. plan by the version rule, heal the gaps from the head;
//! 3. react to each event of a type that the process reads, and await what its commands came to;
//! 4. write how far that went, by compare-and-swap.
//!
//! What comes of a crash, at any of these awaits: the events since the last write are reacted to again, and every command
//! of theirs has the commit id that it had before. It stands already, so the repeat gets its first outcome and commits
//! nothing (H8); or it does not, and is executed now. So a reaction is done at least once, and its commands take effect
//! once. Two handlers that react to one event at the same time are the same case.
//!
//! A failure of the world ends the stream's turn: what was done is written, and the batch comes again from the stream's
//! first record. An event that cannot be reacted to parks its stream, as in a projection; after a fix, [`Reactor::unpark`]
//! goes on. A stream with much to catch up on is written in between, so that a handler that is out of time has come
//! further than the one before.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};
use futures::{FutureExt, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;
use tracing::{Instrument, error};

use super::{
    decode::{Feed, all, decode, view_key},
    fold::park,
    heal::Heads,
    park::Unparked,
    process::{Cause, Due, Process, ReactError},
    project::{Projector, Put, ROUNDS, VIEWS_AT_A_TIME, lowest},
    projection::{ApplyError, Envelope, Projection},
    reads::{Reads, read},
    rule::{Step, StreamCommit},
    tell::{Told, again},
    timer::{Ticked, Timers},
    trace,
    work::Work,
};
use crate::{
    aws::{InvalidRecord, arrival},
    error::StoreError,
    format::{key, timer::Timer, view::View},
    id::{StreamId, Version},
    metric,
    port::{Arrival, Got, Ports, Sequence, backoff},
    read::Reader,
    redact::panic_words,
    store::Store,
};

/// Reactions after which the progress of one stream is written.
const REACTIONS: usize = 32;

/// Runs one process.
pub struct Reactor<P: Process> {
    views: Projector<Reading<P>>,
    timers: Timers,
    store: Store,
}

/// A process as the projection that says nothing but how far it has come: one view for each stream.
struct Reading<P>(P);

/// What is kept beside a stream's progress: a process's state is streams.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// [`Process::settings`] when this was written; null in what an older version wrote.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    settings: Value,
}

/// The [`Process::settings`] that the process had when it parked a stream; `None` where the stream is not parked, and null
/// where a version parked it that kept none.
pub async fn parked_settings(
    ports: &Ports,
    process: &str,
    stream: &StreamId,
) -> Result<Option<Value>, StoreError> {
    let object = key::view(process, stream.as_str());
    let Got::Found { body, .. } = Reader::new(ports).object(&object, None).await? else { return Ok(None) };
    let view = View::<Progress>::decode(&body).map_err(|error| StoreError::corrupt(&object, &error))?;
    Ok(view.parked.contains_key(stream).then_some(view.state.settings))
}

impl<P: Process> Projection for Reading<P> {
    const NAME: &'static str = P::NAME;
    type View = Progress;
    type Reads = P::Reads;

    fn key(&self, stream: &StreamId) -> Option<String> {
        self.0.reads(stream).then(|| stream.as_str().to_owned())
    }

    fn apply(
        &self,
        _view: &mut Progress,
        _envelope: &Envelope<'_, <P::Reads as Reads>::Event>,
    ) -> Result<(), ApplyError> {
        Ok(())
    }
}

/// How a stream's turn ended.
enum Turn {
    /// Everything that is known of was reacted to, or the stream is parked.
    Done,
    /// There is more, after a write.
    More,
    /// The world failed.
    Failed(StoreError),
}

impl<P: Process> Reactor<P> {
    /// Runs `process` over the store on these ports.
    pub fn new(process: P, store: Store, ports: &Ports) -> Self {
        let views = Projector::new(Reading(process), ports);
        Self { views, timers: Timers::new(P::NAME, ports), store }
    }

    /// The process.
    pub fn process(&self) -> &P {
        &self.views.projection().0
    }

    /// The store that its commands go to. A handler that may be frozen after its answer drains it before.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes in what an event source mapping hands over; the mapping must report batch item failures. A record that did
    /// not come from a mapping fails the call.
    pub async fn handle(&self, event: KinesisEvent) -> Result<KinesisEventResponse, InvalidRecord> {
        let arrivals: Vec<Arrival> = event.records.into_iter().map(arrival).collect::<Result<_, _>>()?;
        let failed = self.react(&arrivals).await;
        let mut response = KinesisEventResponse::default();
        response.set_failures(failed.into_values().map(String::from));
        Ok(response)
    }

    /// Reacts to a batch. Answers with what must come again because the world failed: per shard, the lowest sequence
    /// number of the records of a stream that was not reacted to; all later records of that shard should come again too.
    pub async fn react(&self, arrivals: &[Arrival]) -> BTreeMap<String, Sequence> {
        let ours = match self.views.identity.now(&self.views.reader).await {
            Ok(ours) => ours,
            Err(cause) => {
                again(P::NAME, "the whole batch", &cause);
                return all(arrivals);
            }
        };
        let feeds = decode(self.views.projection(), ours, arrivals);
        let batch = trace::batch(P::NAME, &feeds, arrivals.len());
        let turns = feeds.into_iter().map(|(key, feed)| self.feed(key, feed));
        let turns = stream::iter(turns).buffer_unordered(VIEWS_AT_A_TIME).collect();
        let failed = turns.instrument(batch).await;
        metric::lag(&*self.views.clock, arrivals);
        lowest(failed)
    }

    /// Hands the process every timer that is due by now, or as many as [`TICK_FOR`](crate::limits::TICK_FOR) lets begin; the
    /// next tick goes on behind those. A timer that it cannot react to stays, and comes again; others go on.
    pub async fn tick(&self) -> Result<Ticked, StoreError> {
        self.timers.tick(self.views.clock.now(), |timer| self.fire(timer)).await
    }

    /// Takes the mark off a stream, if there is one, and reacts to all that its head has and that was not reacted to yet.
    pub async fn unpark(&self, stream: &StreamId) -> Result<Unparked, StoreError> {
        if view_key(self.views.projection(), stream).is_none() {
            return Ok(Unparked::NotParked);
        }
        let view = self.advance(stream.as_str(), &mut Work::Unpark { stream, marked: true }).await?;
        Ok(match view.parked.get(stream) {
            Some(parked) => Unparked::ParkedAgain(parked.clone()),
            None => Unparked::Healed(view.applied(stream)),
        })
    }

    /// Reacts to what a batch has of one stream; answers with what must come again.
    async fn feed(&self, key: String, feed: Feed) -> BTreeMap<String, Sequence> {
        match self.advance(&key, &mut Work::Take(&feed.commits)).await {
            Ok(_) => BTreeMap::new(),
            Err(cause @ StoreError::Corrupt { .. }) => {
                error!(process = P::NAME, key, %cause, "passed over a stream");
                BTreeMap::new()
            }
            Err(cause) => {
                again(P::NAME, &key, &cause);
                feed.lowest
            }
        }
    }

    /// Reacts until nothing is left, and writes how far that went. Answers with the view as it is then.
    async fn advance(&self, key: &str, work: &mut Work<'_>) -> Result<View<Progress>, StoreError> {
        let object = key::view(P::NAME, key);
        let mut heads = Heads::default();
        let mut pauses = backoff(&*self.views.entropy, Duration::from_millis(5), Duration::from_millis(500));
        let mut losses = 0;
        loop {
            let (mut view, _, only) = self.views.read(&object).await?;
            let before = view.clone();
            let Some(planned) = work.plan(&mut view) else { return Ok(view) };
            let told = Told::before(P::NAME, &view, &planned, work);
            let steps = heads.heal(&self.views.reader, planned).await?;
            let turn = self.turn(&mut view, &steps).await;
            if let (Turn::Failed(error), Work::Unpark { .. }) = (&turn, &*work) {
                // The mark stays for whoever asks again.
                return Err(error.clone());
            }
            if view != before {
                view.state.settings = self.process().settings();
                match self.views.put(&object, &view, only).await? {
                    Put::Stands => told.written(&view, &steps),
                    Put::Lost(reason) => {
                        losses += 1;
                        if losses == ROUNDS {
                            let reason = format!("{object} was not written in {ROUNDS} rounds: {reason}");
                            return Err(StoreError::Unavailable(reason.into()));
                        }
                        sleep(pauses.next().unwrap_or_default()).await;
                        continue;
                    }
                }
            }
            match turn {
                Turn::Done => return Ok(view),
                Turn::More => {}
                Turn::Failed(error) => return Err(error),
            }
        }
    }

    /// Reacts to the steps, and notes in `view` what was done.
    async fn turn(&self, view: &mut View<Progress>, steps: &[Step]) -> Turn {
        let now = self.views.clock.now();
        let mut reactions = 0;
        for step in steps {
            match step {
                Step::Park { stream, version, error } => {
                    park::<Reading<P>>(view, stream, *version, error, now);
                }
                Step::Apply(entry) if view.parked.contains_key(&entry.stream) => {}
                Step::Apply(_) if reactions >= REACTIONS => return Turn::More,
                Step::Apply(entry) => match self.commit(entry, &mut reactions).await {
                    Ok(()) => {
                        view.applied.insert(entry.stream.clone(), entry.commit.last);
                    }
                    Err((_, ReactError::World(error))) => return Turn::Failed(error),
                    Err((version, ReactError::Stuck(reason))) => {
                        park::<Reading<P>>(view, &entry.stream, version, &reason, now);
                    }
                },
            }
        }
        Turn::Done
    }

    /// Reacts to each event of a commit that the process reads; an error tells at which version.
    async fn commit(&self, entry: &StreamCommit, reactions: &mut usize) -> Result<(), (Version, ReactError)> {
        let StreamCommit { stream, commit } = entry;
        for (version, stored) in commit.versioned() {
            let event = read::<P::Reads>(stream, stored);
            let Some(event) = event.map_err(|error| (version, error.into()))? else { continue };
            *reactions += 1;
            let span = trace::reaction(P::NAME, stream, version, commit);
            let (commit, at, meta, timers) = (&commit.id, commit.at, &commit.meta, &self.timers);
            let cause = Cause { stream, version, commit, at, meta, event, timers };
            let reaction = self.process().react(&self.store, &cause);
            unwound(reaction).instrument(span).await.map_err(|error| (version, error))?;
        }
        Ok(())
    }

    /// Tells the process of one timer.
    async fn fire(&self, timer: Timer) -> Result<(), ReactError> {
        let due = Due { process: P::NAME, timer: &timer };
        let span = trace::due(P::NAME, &timer);
        unwound(self.process().due(&self.store, &due)).instrument(span).await
    }
}

/// Awaits a reaction; one that panics is stuck, and what it left behind is the store's, which is whole.
async fn unwound(reaction: impl Future<Output = Result<(), ReactError>>) -> Result<(), ReactError> {
    match AssertUnwindSafe(reaction).catch_unwind().await {
        Ok(answer) => answer,
        Err(panic) => Err(ReactError::Stuck(format!("the process panicked: {}", panic_words(&*panic)))),
    }
}

impl<P: Process> std::fmt::Debug for Reactor<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("process", &P::NAME).finish_non_exhaustive()
    }
}
