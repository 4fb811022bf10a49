//! Telling: what became of a view's commits, in log and metrics, once the view stands.

use tracing::{debug, error, info, warn};

use super::{
    rule::{Planned, Step, StreamCommit},
    work::Work,
};
use crate::{
    error::StoreError,
    format::view::View,
    id::{StreamId, Version},
    metric,
};

/// What is known of a view before it is written.
pub(super) struct Told {
    projection: &'static str,
    /// The streams of which the batch does not have all, each with the version that the view reflects.
    gaps: Vec<(StreamId, Version)>,
    /// Streams that are parked already.
    parked: usize,
}

impl Told {
    /// Before the steps of a plan are taken.
    pub(super) fn before<S>(
        projection: &'static str,
        view: &View<S>,
        planned: &[Planned],
        work: &Work<'_>,
    ) -> Self {
        let gap = |planned: &Planned| match planned {
            Planned::Heal { stream, after, .. } => Some((stream.clone(), *after)),
            Planned::Step(_) => None,
        };
        // Whoever rebuilds or unparks asks for nothing else.
        let delivered = matches!(work, Work::Take(_));
        let gaps = if delivered { planned.iter().filter_map(gap).collect() } else { Vec::new() };
        Self { projection, gaps, parked: view.parked.len() }
    }

    /// The view stands, with these steps in it.
    pub(super) fn written<S>(&self, view: &View<S>, steps: &[Step]) {
        let projection = self.projection;
        metric::count(metric::APPLIED, taken(view, steps).count());
        metric::count(metric::PARKED, view.parked.len().saturating_sub(self.parked));
        for StreamCommit { stream, commit } in taken(view, steps) {
            debug!(projection, %stream, commit = %commit.id, version = %commit.last, "applied");
        }
        for (stream, after) in &self.gaps {
            let commits = taken(view, steps).filter(|taken| taken.stream == *stream).count();
            metric::count(metric::HEALED, commits);
            info!(projection, %stream, %after, version = %view.applied(stream), commits, "healed from the head");
        }
    }
}

/// The world failed, so the batch comes again. What is denied stays so until the operator acts: an error, where all else is a
/// warning.
pub(super) fn again(consumer: &'static str, key: &str, cause: &StoreError) {
    if matches!(cause, StoreError::Denied(_)) {
        error!(consumer, key, %cause, "the batch comes again and again until the operator acts");
    } else {
        warn!(consumer, key, %cause, "the batch must come again");
    }
}

/// The commits that are in the view now: those behind an event that parked their stream are not.
fn taken<'a, S>(view: &View<S>, steps: &'a [Step]) -> impl Iterator<Item = &'a StreamCommit> {
    steps.iter().filter_map(|step| match step {
        Step::Apply(entry) if entry.commit.last <= view.applied(&entry.stream) => Some(entry),
        Step::Apply(_) | Step::Park { .. } => None,
    })
}
