//! Telling: what became of a view's commits, in the log, once the view stands.

use tracing::{debug, info};

use super::{
    project::Work,
    rule::{Planned, Step, StreamCommit},
};
use crate::{
    format::view::View,
    id::{StreamId, Version},
};

/// What is known of a view before it is written.
pub(super) struct Told {
    projection: &'static str,
    /// The streams of which the batch does not have all, each with the version that the view reflects.
    gaps: Vec<(StreamId, Version)>,
}

impl Told {
    /// Before the steps of a plan are taken.
    pub(super) fn before(projection: &'static str, planned: &[Planned], work: &Work<'_>) -> Self {
        let gap = |planned: &Planned| match planned {
            Planned::Heal { stream, after, .. } => Some((stream.clone(), *after)),
            Planned::Step(_) => None,
        };
        // Whoever rebuilds or unparks asks for nothing else.
        let delivered = matches!(work, Work::Take(_));
        Self {
            projection,
            gaps: if delivered { planned.iter().filter_map(gap).collect() } else { Vec::new() },
        }
    }

    /// The view stands, with these steps in it.
    pub(super) fn written<S>(&self, view: &View<S>, steps: &[Step]) {
        let projection = self.projection;
        for StreamCommit { stream, commit } in taken(view, steps) {
            debug!(projection, %stream, commit = %commit.id, version = %commit.last, "applied");
        }
        for (stream, after) in &self.gaps {
            let commits = taken(view, steps).filter(|taken| taken.stream == *stream).count();
            info!(projection, %stream, %after, version = %view.applied(stream), commits, "healed from the head");
        }
    }
}

/// The commits that are in the view now: those behind an event that parked their stream are not.
fn taken<'a, S>(view: &View<S>, steps: &'a [Step]) -> impl Iterator<Item = &'a StreamCommit> {
    steps.iter().filter_map(|step| match step {
        Step::Apply(entry) if entry.commit.last <= view.applied(&entry.stream) => Some(entry),
        Step::Apply(_) | Step::Park { .. } => None,
    })
}
