//! Folding: steps become a view, in memory. [`Rules`] are the one fold of a projection: projector, rebuild, query and audit go by
//! them, so that none can say something else of the same commits.
//!
//! 1. Every event of a commit that the projection reads is decoded and applied; every event counts as a version.
//! 2. A commit is applied whole or not at all. When an event cannot be applied, because its data do not fit, the projection
//!    refuses or panics, the state may be half changed: it is made again from the base, by what was applied since. So
//!    the usual way copies nothing, and a batch full of trouble costs each commit once more, not once per trouble.
//! 3. The stream of that commit is parked, with the error and the time; its later commits are passed over.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use tracing::warn;

use super::{
    decode::view_key,
    forward::{self, Derive, Forward},
    projection::{ApplyError, Envelope, Projection},
    reads::read,
    rule::{Step, StreamCommit},
};
use crate::{
    error::StoreError,
    format::{
        commit::Commit,
        view::{Parked, View},
    },
    id::{StreamId, Version},
    redact::panic_words,
};

/// Longest error text that a view keeps, in bytes.
const ERROR_BYTES: usize = 1_000;

/// What a projection's fold goes by, wherever it is folded.
///
/// ```
/// # use headwater::{StreamId, consume::{ApplyError, Envelope, Kind, Projection, Reads, Rules}};
/// # struct Doors;
/// # #[derive(serde::Deserialize)]
/// # enum DoorEvent { Opened }
/// # impl Reads for DoorEvent {
/// #     type Event = Self;
/// #     const KINDS: &'static [Kind<Self>] = &[Kind::new("door", &[])];
/// # }
/// # impl Projection for Doors {
/// #     const NAME: &'static str = "doors";
/// #     type View = u64;
/// #     type Reads = DoorEvent;
/// #     fn key(&self, stream: &StreamId) -> Option<String> { Some(stream.id().to_owned()) }
/// #     fn apply(&self, opened: &mut u64, _: &Envelope<'_, DoorEvent>) -> Result<(), ApplyError> { *opened += 1; Ok(()) }
/// # }
/// let rules = Rules::of(Doors);
/// assert_eq!(rules.view_key(&"door/front".parse()?).as_deref(), Some("front"));
/// assert_eq!(rules.view_key(&"window/front".parse()?), None);
/// # Ok::<(), headwater::InvalidName>(())
/// ```
#[derive(Debug)]
pub struct Rules<P: Projection> {
    pub(super) projection: P,
    /// How events are derived, where the projection forwards some.
    pub(super) derive: Option<Derive<P>>,
}

impl<P: Projection> Rules<P> {
    /// Those of a projection that forwards nothing.
    pub fn of(projection: P) -> Self {
        Self { projection, derive: None }
    }

    /// Those of a projection that derives events for another stream: its views count them.
    pub fn forwarding(projection: P) -> Self
    where
        P: Forward,
    {
        Self { derive: Some(P::derive), ..Self::of(projection) }
    }

    /// The view that a stream feeds; `None` where the projection does not read the stream, or gives it no valid key.
    pub fn view_key(&self, stream: &StreamId) -> Option<String> {
        view_key(&self.projection, stream)
    }

    /// Takes one commit into the state of a view: every event that the projection names, and what it derives.
    ///
    /// # Errors
    ///
    /// Why and at which version the commit cannot be applied, as where its stream is parked. The state may be half changed.
    pub fn apply(
        &self,
        state: &mut P::View,
        stream: &StreamId,
        commit: &Arc<Commit>,
    ) -> Result<(), ApplyError> {
        let entry = StreamCommit { stream: stream.clone(), commit: Arc::clone(commit) };
        let applied = apply(self, state, &entry).map(drop);
        applied.map_err(|Refusal { version, error }| ApplyError::at(version, &error))
    }
}

/// The state that a fold can begin again from.
pub(super) enum Base<S> {
    /// The view as it was read.
    Stored(Bytes),
    /// A copy.
    Kept(S),
}

/// What a fold did beside the view.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// The view is not what it was.
    pub(super) changed: bool,
    /// The commits to forward, in order.
    pub(super) derived: Vec<StreamCommit>,
}

/// Why and where a commit could not be applied.
#[derive(Debug)]
struct Refusal {
    version: Version,
    error: String,
}

/// Takes the steps into `view`, which stands at `base`.
pub(super) fn fold<P: Projection>(
    rules: &Rules<P>,
    view: &mut View<P::View>,
    mut base: Base<P::View>,
    steps: &[Step],
    now: Timestamp,
) -> Result<Folded, StoreError> {
    let mut folded = Folded::default();
    let mut since_base: Vec<&StreamCommit> = Vec::new();
    for step in steps {
        match step {
            Step::Park { stream, version, error } => {
                folded.changed |= park::<P>(view, stream, *version, error, now);
            }
            Step::Apply(entry) if view.parked.contains_key(&entry.stream) => {}
            Step::Apply(entry) => {
                folded.changed = true;
                match apply(rules, &mut view.state, entry) {
                    Ok(derived) => {
                        folded.derived.extend(derived);
                        view.applied.insert(entry.stream.clone(), entry.commit.last);
                        since_base.push(entry);
                    }
                    Err(Refusal { version, error }) => {
                        view.state = again(rules, base, &since_base)?;
                        base = Base::Kept(view.state.clone());
                        since_base.clear();
                        park::<P>(view, &entry.stream, version, &error, now);
                    }
                }
            }
        }
    }
    Ok(folded)
}

/// Marks a stream as parked, if it is not yet.
pub(super) fn park<P: Projection>(
    view: &mut View<P::View>,
    stream: &StreamId,
    version: Version,
    error: &str,
    now: Timestamp,
) -> bool {
    if view.parked.contains_key(stream) {
        return false;
    }
    warn!(projection = P::NAME, %stream, %version, error, "parked a stream");
    let error = error[..error.floor_char_boundary(ERROR_BYTES)].to_owned();
    view.parked.insert(stream.clone(), Parked { version, error, at: now });
    true
}

/// The state of `base` with the `entries` that were applied to it once already.
fn again<P: Projection>(
    rules: &Rules<P>,
    base: Base<P::View>,
    entries: &[&StreamCommit],
) -> Result<P::View, StoreError> {
    let broken = |reason: String| StoreError::Corrupt { key: format!("projection {}", P::NAME), reason };
    let mut state = match base {
        Base::Stored(body) => View::decode(&body).map_err(|error| broken(error.to_string()))?.state,
        Base::Kept(state) => state,
    };
    for entry in entries {
        apply(rules, &mut state, entry).map_err(|Refusal { version, error }| {
            broken(format!("{}@{version} was applied once and is refused now: {error}", entry.stream))
        })?;
    }
    Ok(state)
}

/// Applies one commit, and derives what follows from it. On a refusal the state may be half changed.
fn apply<P: Projection>(
    rules: &Rules<P>,
    state: &mut P::View,
    entry: &StreamCommit,
) -> Result<Option<StreamCommit>, Refusal> {
    let StreamCommit { stream, commit } = entry;
    let mut at = commit.first;
    // The state that a panic leaves behind is thrown away by the caller.
    let applied = catch_unwind(AssertUnwindSafe(|| {
        for (version, stored) in commit.versioned() {
            at = version;
            let event = read::<P::Reads>(stream, stored).map_err(|error| error.to_string())?;
            let Some(event) = event else { continue };
            let (commit, at, meta) = (&commit.id, commit.at, &commit.meta);
            let envelope = Envelope { stream, version, commit, at, meta, event };
            rules.projection.apply(state, &envelope).map_err(|error| error.to_string())?;
        }
        match rules.derive {
            Some(derive) => {
                let derived = derive(&rules.projection, state, stream).map_err(|error| error.to_string())?;
                derived.map(|derived| forward::commit(derived, entry)).transpose()
            }
            None => Ok(None),
        }
    }));
    match applied {
        Ok(answer) => answer.map_err(|error| Refusal { version: at, error }),
        Err(panic) => {
            Err(Refusal { version: at, error: format!("the projection panicked: {}", panic_words(&*panic)) })
        }
    }
}
