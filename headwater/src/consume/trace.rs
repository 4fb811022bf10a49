//! Spans of consumers: a batch has links to the traces of its commits, what it does for a view is a part of them.

use std::{collections::BTreeMap, sync::Arc};

use tracing::{Span, debug_span};

use super::{decode::Feed, rule::StreamCommit};
use crate::{
    format::{commit::Commit, timer::Timer},
    id::{StreamId, Version},
    trace,
};

/// The span of a batch, for a projection or a process.
pub(super) fn batch(consumer: &'static str, feeds: &BTreeMap<String, Feed>, records: usize) -> Span {
    let span = debug_span!("batch", otel.kind = "consumer", consumer, records);
    trace::linked(span, feeds.values().flat_map(commits))
}

/// The span of what a batch has for one view.
pub(super) fn view(projection: &'static str, key: &str, feed: &Feed, batch: &Span) -> Span {
    let span = debug_span!(parent: batch, "project", projection, key, commits = feed.commits.len());
    below(trace::part_of(span, commits(feed)), batch)
}

/// The span of a reaction to one event.
pub(super) fn reaction(
    process: &'static str,
    stream: &StreamId,
    version: Version,
    commit: &Arc<Commit>,
) -> Span {
    let batch = Span::current();
    let span = debug_span!("react", process, %stream, %version, commit = %commit.id);
    below(trace::part_of(span, [commit]), &batch)
}

/// The span of what a process does when a timer is due: a part of the trace of whatever set it.
pub(super) fn due(process: &'static str, timer: &Timer) -> Span {
    let Timer { stream, version, name, meta, .. } = timer;
    let span = debug_span!("due", process, %stream, %version, timer = name);
    if let Some(told) = meta.get(trace::TRACEPARENT).and_then(|told| told.as_str()) {
        trace::follow(&span, told);
    }
    span
}

/// What is a part of another trace still tells which batch it was.
fn below(span: Span, batch: &Span) -> Span {
    if !span.is_disabled() {
        trace::link(&span, batch);
    }
    span
}

fn commits(feed: &Feed) -> impl Iterator<Item = &Arc<Commit>> {
    feed.commits.iter().map(|StreamCommit { commit, .. }| commit)
}
