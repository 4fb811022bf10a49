//! Lanes: commands for one stream queue behind one another, and are committed together.
//!
//! A stream that somebody writes has one worker, which ends when nobody waits any more. It takes all that wait, up to
//! [`limits::GROUP_COMMITS`], and goes round until each is answered: read, decide, help, page, swap, publish. Processes
//! race, threads do not. A caller that leaves stops nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{
    cache::{Cache, Known},
    claim::Claims,
    draft::Draft,
    help::Help,
    ids::Ids,
    paging,
    swap::{Swap, swap},
    task::{Call, Decision, Task},
};
use crate::{
    error::{DeadlinePassed, StoreError},
    format::{commit::Commit, key},
    id::{StreamId, Version},
    limits, metric,
    port::{Ports, backoff},
    read::Reader,
    reason::Reason,
    store::{Publication, Settings},
    trace,
};

/// All lanes of a store.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<Inner>);

struct Inner {
    ports: Ports,
    reader: Reader,
    cache: Arc<Cache>,
    help: Arc<Help>,
    claims: Claims,
    ids: Arc<Ids>,
    patience: Duration,
    waiting: Mutex<HashMap<StreamId, VecDeque<Box<dyn Task>>>>,
}

/// A task with what it decided in this round.
type Decided = (Box<dyn Task>, Result<Decision, StoreError>);

impl Lanes {
    /// Lanes over these ports.
    pub(crate) fn new(ports: &Ports, reader: Reader, cache: Arc<Cache>, settings: &Settings) -> Self {
        let help = Arc::new(Help::new(ports, reader.clone(), Arc::clone(&cache), settings.linger));
        let claims = Claims::new(
            ports,
            reader.clone(),
            Arc::clone(&cache),
            Arc::clone(&help),
            settings.claim_patience,
        );
        Self(Arc::new(Inner {
            ports: ports.clone(),
            reader,
            cache,
            help,
            claims,
            ids: Arc::new(Ids::new(settings.repeats_for, settings.known_ids)),
            patience: settings.publish_patience,
            waiting: Mutex::default(),
        }))
    }

    /// Queues a task behind the others of its stream.
    pub(crate) fn submit(&self, mut task: Box<dyn Task>) {
        let stream = task.call().stream.clone();
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = waiting.get_mut(&stream) else {
            waiting.insert(stream.clone(), VecDeque::from([task]));
            tokio::spawn(Arc::clone(&self.0).work(stream));
            return;
        };
        if queue.len() < limits::QUEUED_COMMANDS {
            queue.push_back(task);
            return;
        }
        drop(waiting);
        let most = limits::QUEUED_COMMANDS;
        task.answer(Err(StoreError::Unavailable(
            format!("{most} commands wait for {stream} already").into(),
        )));
    }

    /// Claims to unique values.
    pub(crate) fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// How many streams are being written.
    pub(crate) fn busy(&self) -> usize {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Takes the lane away if its worker ends otherwise than by finding it empty: the tasks that are dropped unanswered tell
/// their callers, and the next one starts a new worker.
struct Closing<'a> {
    inner: &'a Inner,
    stream: &'a StreamId,
    abnormal: bool,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if self.abnormal {
            let mut waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let left = waiting.remove(self.stream);
            drop(waiting);
            drop(left);
        }
    }
}

impl Inner {
    async fn work(self: Arc<Self>, stream: StreamId) {
        let mut closing = Closing { inner: &self, stream: &stream, abnormal: true };
        while let Some(tasks) = self.next(&stream) {
            self.rounds(&stream, tasks).await;
        }
        closing.abnormal = false;
    }

    /// The tasks that wait; `None`, and the lane is closed, when there are none.
    fn next(&self, stream: &StreamId) -> Option<Vec<Box<dyn Task>>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = waiting.get_mut(stream)?;
        if queue.is_empty() {
            waiting.remove(stream);
            return None;
        }
        let group = queue.len().min(limits::GROUP_COMMITS);
        Some(queue.drain(..group).collect())
    }

    /// Goes round until every task is answered.
    async fn rounds(&self, stream: &StreamId, mut tasks: Vec<Box<dyn Task>>) {
        let mut newest: Option<Known> = None;
        let mut pauses = backoff(&*self.ports.entropy, Duration::from_millis(5), Duration::from_millis(200));
        loop {
            tasks = expire(tasks);
            let Some(deadline) = tasks.iter_mut().map(|task| task.call().deadline).max() else { return };
            let (base, fresh) = match (newest.take(), self.cache.get(stream)) {
                (Some(known), _) => (known, true),
                (None, Some(known)) => (known, false),
                (None, None) if expects_no_stream(&mut tasks) => (Known::missing(stream.clone()), false),
                (None, None) => match self.read(stream, None).await {
                    Ok(known) => (known, true),
                    Err(error) => return fail(tasks, &error),
                },
            };
            let mut draft = Draft::new(base, fresh, Arc::clone(&self.ids));
            let (mut decided, later) = self.decide(tasks, &mut draft).await;
            if draft.commits.is_empty() && !draft.fresh {
                // Nothing proves yet that these answers stand on the newest state.
                match self.read(stream, Some(&draft.base)).await {
                    Ok(known) => newest = Some(known),
                    Err(error) => return give_up(&draft.base, decided, later, &error),
                }
                tasks = reunite(decided, later);
                continue;
            }
            if let Err(error) = self.help(&draft, &decided, deadline).await {
                return give_up(&draft.base, decided, later, &error);
            }
            tasks = if draft.commits.is_empty() {
                answer(decided, Publication::Published);
                later
            } else {
                let began = Instant::now();
                match self.write(&draft, deadline).await {
                    Swap::Done(..) => {
                        committed(&mut decided, &draft);
                        self.publish(draft, decided, began + limits::PUBLISH_FOR).await;
                        later
                    }
                    // Nobody was faster: the presumption was wrong.
                    Swap::Lost(known) if draft.is_presumed() => {
                        newest = Some(known);
                        reunite(decided, later)
                    }
                    Swap::Lost(known) => {
                        metric::count(metric::CONFLICTS, 1);
                        tracing::debug!(%stream, version = %known.head.version, "conflict");
                        let tasks = reunite(lose(decided), later);
                        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
                        // What was read before the pause may be old; if it cannot be read again, it will do.
                        newest = self.read(stream, Some(&known)).await.ok().or(Some(known));
                        tasks
                    }
                    Swap::Unknown(reason) => {
                        self.cache.forget(stream);
                        unknown(decided, &reason);
                        later
                    }
                    Swap::Refused(error) => {
                        self.cache.forget(stream);
                        return give_up(&draft.base, decided, later, &error);
                    }
                }
            };
        }
    }

    /// Reads the head; the `known` one costs no body.
    async fn read(&self, stream: &StreamId, known: Option<&Known>) -> Result<Known, StoreError> {
        self.cache.refresh(&self.reader, stream, known.cloned()).await
    }

    /// Lets every task decide on top of the ones before it; those that found no room come back second.
    async fn decide(
        &self,
        tasks: Vec<Box<dyn Task>>,
        draft: &mut Draft,
    ) -> (Vec<Decided>, Vec<Box<dyn Task>>) {
        let (mut decided, mut later) = (Vec::with_capacity(tasks.len()), Vec::new());
        for mut task in tasks {
            if !later.is_empty() {
                later.push(task);
                continue;
            }
            match task.decide(draft, &self.reader, &self.claims).await {
                Ok(Decision::Later) => later.push(task),
                decision => decided.push((task, decision)),
            }
        }
        (decided, later)
    }

    /// Looks up whose the records are, and publishes the base's newest write, where that is needed and not known to be done.
    async fn help(&self, draft: &Draft, decided: &[Decided], deadline: Instant) -> Result<(), StoreError> {
        if !draft.commits.is_empty() {
            self.help.identified().await?;
        }
        let base = &draft.base;
        let repeats = |(_, decision): &Decided| matches!(decision, Ok(Decision::Repeat(first)) if *first >= base.head.newest_write);
        if base.published || (draft.commits.is_empty() && !decided.iter().any(repeats)) {
            return Ok(());
        }
        // An answer about what stands waits no longer than that of a commit.
        let soon = Instant::now() + self.patience;
        self.help.publish(base, if draft.commits.is_empty() { deadline.min(soon) } else { deadline }).await
    }

    /// Pages and swaps, and remembers the new head.
    async fn write(&self, draft: &Draft, deadline: Instant) -> Swap {
        let stream = &draft.base.head.stream;
        let bits = self.ports.entropy.bits();
        let attempt = draft.attempt(bits);
        let mut head = draft.head(format!("{bits:032x}"), attempt);
        let paged =
            paging::page(&self.ports, &self.reader, &self.ids, &draft.base, &mut head, deadline).await;
        let paged = paged.unwrap_or_else(|error| {
            tracing::warn!(%stream, %error, "the head keeps what should have moved to a page");
            Vec::new()
        });
        if let Some(state) = draft.state.as_ref().filter(|state| head.wants_snapshot(state.schema())) {
            let snapshot = state.snapshot(head.version).map(|snapshot| snapshot.bound_to(&head));
            head.snapshot = snapshot.or(head.snapshot);
        }
        let body = match head.encode() {
            Ok(body) => body,
            Err(error) => return Swap::Refused(StoreError::corrupt(key::head(stream), &error)),
        };
        let key = key::head(stream);
        let (base, commits) = (&draft.base, &draft.commits);
        let end = swap(&self.ports, &self.reader, base, (&key, &body), commits, attempt, deadline).await;
        if matches!(end, Swap::Done(..)) {
            self.ids.paged(&head, &paged);
        }
        match &end {
            Swap::Done(etag, None) => {
                self.cache.keep(Known { state: draft.state.clone(), ..Known::new(head, etag.clone(), None) });
            }
            Swap::Done(_, Some(known)) | Swap::Lost(known) => self.cache.keep(known.clone()),
            Swap::Unknown(_) | Swap::Refused(_) => {}
        }
        end
    }

    /// Publishes the round's commits and answers: at once when Kinesis has them, or after some patience as pending. Then
    /// it waits on, for no second record of the stream may be under way (H4), nor a second write unpublished (H5).
    async fn publish(&self, mut draft: Draft, decided: Vec<Decided>, last: Instant) {
        let dropped = draft.dropped();
        let stream = draft.base.head.stream.clone();
        let newest = draft.commits.last().map(|commit| commit.last).unwrap_or_default();
        let commits = draft.commits.clone();
        let record = match self.help.record(&stream, draft.commits).await {
            Ok(record) => record,
            Err(error) => {
                self.cache.forget(&stream);
                tracing::error!(%stream, version = %newest, %error, "committed, and no record can be made of it");
                return pending(&stream, newest, decided);
            }
        };
        let publish = async {
            let span = trace::publication(&stream, &commits, "writer");
            let mut publish =
                std::pin::pin!(self.help.publisher.publish(&stream, record, last).instrument(span));
            if let Ok(published) = timeout(self.patience, &mut publish).await {
                match &published {
                    Ok(()) => answer(decided, Publication::Published),
                    Err(_) => pending(&stream, newest, decided),
                }
                published
            } else {
                pending(&stream, newest, decided);
                publish.await
            }
        };
        let (published, ()) = tokio::join!(publish, self.claims.release(dropped));
        match published {
            Ok(()) => {
                for Commit { id, last, .. } in commits.iter().map(AsRef::as_ref) {
                    tracing::debug!(%stream, commit = %id, version = %last, "published");
                }
                self.published(&stream, newest);
            }
            Err(error) => {
                // Read again it tells its age: by then the relay may have published it, and archivers may have forgotten.
                self.cache.forget(&stream);
                tracing::error!(%stream, version = %newest, %error, "committed, left to the next writer or the relay");
            }
        }
    }

    /// Notes that the write that ends at `newest` is in Kinesis, if it is still the newest.
    fn published(&self, stream: &StreamId, newest: Version) {
        if let Some(known) = self.cache.get(stream).filter(|known| known.head.version == newest)
            && let Some(etag) = &known.etag
        {
            self.cache.published(stream, etag);
        }
    }
}

/// Whether the first one expects no stream: it is taken at its word, and the swap proves it, where a GET would come before.
fn expects_no_stream(tasks: &mut [Box<dyn Task>]) -> bool {
    tasks.first_mut().is_some_and(|task| task.call().expects_no_stream())
}

/// Takes out the tasks whose time is over: nothing of theirs was committed.
fn expire(tasks: Vec<Box<dyn Task>>) -> Vec<Box<dyn Task>> {
    let now = Instant::now();
    let mut alive = Vec::with_capacity(tasks.len());
    for mut task in tasks {
        if task.call().deadline > now {
            alive.push(task);
        } else {
            task.answer(Err(StoreError::Unavailable(DeadlinePassed.into())));
        }
    }
    alive
}

/// Tells the tasks whose commits lost; the others have lost nothing.
fn lose(mut decided: Vec<Decided>) -> Vec<Decided> {
    for (task, decision) in &mut decided {
        if matches!(decision, Ok(Decision::Commit)) {
            task.call().lost();
        }
    }
    decided
}

/// The tasks of a round that did not count, in their order.
fn reunite(decided: Vec<Decided>, later: Vec<Box<dyn Task>>) -> Vec<Box<dyn Task>> {
    decided.into_iter().map(|(task, _)| task).chain(later).collect()
}

/// Tells of each commit that stands now.
fn committed(decided: &mut [Decided], draft: &Draft) {
    metric::count(metric::COMMITS, draft.commits.len());
    let tasks = decided.iter_mut().filter(|(_, decision)| matches!(decision, Ok(Decision::Commit)));
    // Each of these pushed one commit, in this order.
    for ((task, _), commit) in tasks.zip(&draft.commits) {
        let Call { stream, commit_id, span, .. } = task.call();
        let version = commit.last;
        span.record("version", version.get());
        span.in_scope(|| tracing::debug!(%stream, commit = %commit_id, %version, "committed"));
    }
}

/// Answers that the commits stand, and Kinesis does not have them yet.
fn pending(stream: &StreamId, newest: Version, decided: Vec<Decided>) {
    let commits = decided.iter().filter(|(_, decision)| matches!(decision, Ok(Decision::Commit))).count();
    metric::count(metric::PENDING, commits);
    tracing::info!(%stream, version = %newest, commits, "committed, and not published yet");
    answer(decided, Publication::Pending);
}

fn answer(decided: Vec<Decided>, publication: Publication) {
    for (mut task, decision) in decided {
        if let Err(StoreError::Conflict { actual, .. }) = &decision {
            let Call { stream, commit_id, span, .. } = task.call();
            span.in_scope(|| {
                tracing::info!(%stream, commit = %commit_id, version = %actual, "told of a conflict");
            });
        }
        task.answer(decision.map(|decision| match decision {
            Decision::Commit | Decision::Repeat(_) => publication,
            Decision::Nothing | Decision::Later => Publication::Published,
        }));
    }
}

fn fail(tasks: Vec<Box<dyn Task>>, error: &StoreError) {
    for task in tasks {
        task.answer(Err(error.clone()));
    }
}

/// Ends a round that could not be: of its tasks only those failed whose commits do not stand already in its base.
fn give_up(base: &Known, decided: Vec<Decided>, later: Vec<Box<dyn Task>>, error: &StoreError) {
    for (task, decision) in decided {
        let end = match decision {
            Ok(Decision::Repeat(first)) if first < base.head.newest_write => Ok(Publication::Published),
            Ok(Decision::Repeat(first)) if first <= base.head.version => Ok(Publication::Pending),
            _ => Err(error.clone()),
        };
        task.answer(end);
    }
    fail(later, error);
}

/// Answers a round whose swap has no known end: what it would have committed may stand, or may yet.
fn unknown(decided: Vec<Decided>, reason: &Reason) {
    for (mut task, decision) in decided {
        let error = match decision {
            Ok(Decision::Commit | Decision::Repeat(_)) => task.call().unknown(reason.clone()),
            _ => StoreError::Unavailable(Reason::new("the newest state is unknown", reason.clone())),
        };
        task.answer(Err(error));
    }
}
