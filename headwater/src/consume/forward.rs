//! Forwarding: events that follow from a view go to another Kinesis stream, for whoever needs no more than those.
//!
//! 1. After each commit that a view took in, the projection says what follows from it: [`Forward::derive`]. The derived
//!    commit has the id and the time of its cause, and a version from a counter in the view's own state.
//! 2. What a batch derived is published, one record after the other, each acknowledged before the next is sent.
//! 3. Only then is the view written.
//!
//! Why view and derived stream cannot come apart:
//!
//! - *Nothing is lost.* A view that holds a counter was written after the records up to it were acknowledged. A crash, a
//!   lost answer or a refusal before the write leaves the old view: the batch comes again and derives the same again.
//! - *Nothing contradicts.* A view that forwards is fed by one stream, so it is a pure function of that stream's commits,
//!   which are facts. Whoever folds them, again after a crash, behind a lost race or out of a head, derives the same commits
//!   with the same ids and versions. The record of a handler that then loses the race is the winner's, or will be.
//! - *Order.* Each handler begins after the counter of a view that was written, all acknowledged, and goes on one by one. So
//!   the first arrival of the derived versions is in order, with any number of handlers; all else is a repeat.
//!
//! A derived stream has no head in S3 to heal from. Let its events carry the whole of what they tell, so that a consumer
//! needs the newest only. A projection that is changed to derive something else begins a new kind: two rules under one name
//! could give a version two meanings.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    projection::{ApplyError, Projection},
    rule::StreamCommit,
};
use crate::{
    error::StoreError,
    event::StoredEvent,
    format::{commit::Commit, identity::Identity, record::Record},
    id::{StreamId, Version},
    limits, metric,
    port::{Entropy, Entry, Log, LogError, backoff},
    reason::Reason,
    schema::Schemas,
};

/// How long a batch waits for the other stream.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of derived commits that go into one record; one commit may be larger.
const RECORD_BYTES: usize = limits::RECORD_BYTES / 4;

/// A projection that derives events for another Kinesis stream.
///
/// # Contract
///
/// - [`Projection::key`] gives every stream a view of its own, and `derive` gives every view a derived stream of its own.
/// - `derive` is pure. It is called once after each commit that the view took in, also where nothing follows from it.
/// - The view's state counts the derived events, so that [`Derived::after`] is the number of those before.
pub trait Forward: Projection {
    /// What follows from the commit of `stream` that `view` has just taken in.
    fn derive(&self, view: &mut Self::View, stream: &StreamId) -> Result<Option<Derived>, ApplyError>;
}

/// [`Forward::derive`], where a projection has it.
pub(super) type Derive<P> =
    fn(&P, &mut <P as Projection>::View, &StreamId) -> Result<Option<Derived>, ApplyError>;

/// Events that follow from one commit.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The stream that they belong to.
    pub stream: StreamId,
    /// The number of events that were derived before.
    pub after: Version,
    /// The events, at least one.
    pub events: Vec<StoredEvent>,
}

impl Derived {
    /// One event, after `after` others of the derived stream.
    pub fn one<E: Serialize>(
        stream: StreamId,
        after: Version,
        event: &E,
        schemas: Schemas,
    ) -> Result<Self, ApplyError> {
        let event = schemas.encode(event)?;
        Ok(Self { stream, after, events: vec![event] })
    }
}

/// The commit of derived events: a function of its cause alone. One that Kinesis would refuse is refused here, where it
/// parks one stream and does not stop the shard.
pub(super) fn commit(derived: Derived, cause: &StreamCommit) -> Result<StreamCommit, String> {
    let Derived { stream, after, events } = derived;
    if events.is_empty() {
        return Err("a derived commit needs an event".to_owned());
    }
    let last = after.plus(events.len() as u64);
    let mut meta = cause.commit.meta.clone();
    meta.insert("causation".to_owned(), format!("{}@{}", cause.stream, cause.commit.last).into());
    let commit =
        Commit { id: cause.commit.id.clone(), first: after.next(), last, at: cause.commit.at, events, meta };
    let next = StreamCommit { stream, commit: Arc::new(commit) };
    let bytes = encode(std::slice::from_ref(&next), None)?;
    // Beside them there is the store's id.
    let bytes = bytes.map_or(0, |entry| entry.data.len() + entry.key.len() + 80);
    if bytes > limits::RECORD_BYTES {
        let most = limits::RECORD_BYTES;
        return Err(format!("the derived commit takes {bytes} bytes, and a record {most}"));
    }
    Ok(next)
}

/// Publishes derived commits in order: a record is acknowledged before the next is sent.
pub(super) async fn publish(
    log: &dyn Log,
    entropy: &dyn Entropy,
    ours: Option<&Identity>,
    derived: &[StreamCommit],
) -> Result<(), StoreError> {
    let deadline = Instant::now() + PATIENCE;
    for record in pack(derived) {
        let Some(entry) = encode(record, ours).map_err(|reason| StoreError::Unavailable(reason.into()))?
        else {
            continue;
        };
        put(log, entropy, entry, deadline).await?;
    }
    Ok(())
}

/// Puts one record until Kinesis has it.
async fn put(
    log: &dyn Log,
    entropy: &dyn Entropy,
    entry: Entry,
    deadline: Instant,
) -> Result<(), StoreError> {
    let mut pauses = backoff(entropy, Duration::from_millis(20), Duration::from_secs(1));
    let entries = [entry];
    loop {
        let reason: Reason = match timeout_at(deadline, log.put(&entries)).await {
            Ok(Ok(answers)) => match answers.into_iter().next() {
                Some(Ok(_)) => {
                    metric::bytes(metric::RECORD_BYTES, entries[0].data.len());
                    return Ok(());
                }
                Some(Err(error)) => error.into(),
                None => "no answer for the entry".into(),
            },
            Ok(Err(error @ LogError::Refused(_))) => return Err(error.into()),
            Ok(Err(error)) => error.into(),
            Err(_) => "no answer in time".into(),
        };
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= deadline {
            return Err(StoreError::Unavailable(Reason::new(
                format_args!("forwarding {}", entries[0].key),
                reason,
            )));
        }
        metric::count(metric::PUBLISH_RETRIES, 1);
        sleep(pause).await;
    }
}

/// Cuts commits into records: consecutive commits of one stream, of a sensible size.
fn pack(derived: &[StreamCommit]) -> impl Iterator<Item = &[StreamCommit]> {
    let weight = |one: &StreamCommit| serde_json::to_vec(&one.commit).map_or(RECORD_BYTES, |json| json.len());
    let mut bytes = 0;
    derived.chunk_by(move |one, next| {
        bytes += weight(one);
        let fits = one.stream == next.stream && bytes + weight(next) <= RECORD_BYTES;
        if !fits {
            bytes = 0;
        }
        fits
    })
}

/// The record of some commits of one stream.
fn encode(derived: &[StreamCommit], ours: Option<&Identity>) -> Result<Option<Entry>, String> {
    let Some(StreamCommit { stream, .. }) = derived.first() else { return Ok(None) };
    let commits = derived.iter().map(|next| Arc::clone(&next.commit)).collect();
    let data = Record::new(stream.clone(), commits).of(ours).encode().map_err(|error| error.to_string())?;
    Ok(Some(Entry { key: stream.as_str().to_owned(), data }))
}
