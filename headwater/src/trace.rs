//! Traces: how one command is followed from its request to the views, by `OpenTelemetry`.
//!
//! 1. Whoever takes a request lets its span go on from the caller's context: [`follow`].
//! 2. A commit has a span of its own, and its context travels in the commit's `meta`, as `traceparent`.
//! 3. Its publication, by whomever, and each view that takes it in are a part of that trace: [`part_of`]. What is done for
//!    several commits is a part of the first one's trace, and has links to the others'.
//! 4. A reaction is a part of its cause's trace, and so are the commands that it executes.
//!
//! Spans are those of `tracing`, of level `debug`, and get a context from the subscriber. Where that gives none, nobody
//! traces: nothing here does anything then, and `meta` says what the caller said.

use std::{collections::HashSet, sync::Arc};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::{Span, debug_span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{
    format::commit::{Commit, Meta},
    id::{CommitId, StreamId},
};

/// The member of a commit's `meta` that holds the context, in the form of W3C's header of that name.
pub const TRACEPARENT: &str = "traceparent";

/// Most links of one span: what `OpenTelemetry` keeps of them, if nobody asks for more.
const LINKS: usize = 128;

/// The context of a span, as a `traceparent`; `None` where nobody traces.
pub fn traceparent(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    let sampled = u8::from(context.is_sampled());
    context.is_valid().then(|| format!("00-{}-{}-{sampled:02x}", context.trace_id(), context.span_id()))
}

/// Whether this is a trace context of version 00, or of a later one that reads the same: `00-{32}-{16}-{2}` lower-case
/// hexadecimal digits, the ids not all zeros.
pub fn is_traceparent(text: &str) -> bool {
    parse(text).is_some()
}

/// Lets a span that has just been made go on from this context; from what is no context, it does not.
pub fn follow(span: &Span, traceparent: &str) {
    if !span.is_disabled()
        && let Some(context) = parse(traceparent)
    {
        // Without a subscriber that traces there is nothing to go on.
        let _ = span.set_parent(Context::new().with_remote_span_context(context));
    }
}

/// Links a span to another one that is not above it.
pub fn link(span: &Span, to: &Span) {
    if let Some(context) = traceparent(to).as_deref().and_then(parse) {
        span.add_link(context);
    }
}

/// Makes a span that has just been made a part of the first of these commits' traces, with links to the others'.
pub fn part_of<'a>(span: Span, commits: impl IntoIterator<Item = &'a Arc<Commit>>) -> Span {
    if !span.is_disabled() {
        let mut contexts = contexts(commits).into_iter();
        if let Some(first) = contexts.next() {
            // As in `follow`.
            let _ = span.set_parent(Context::new().with_remote_span_context(first));
        }
        for context in contexts {
            span.add_link(context);
        }
    }
    span
}

/// Links a span to the traces of these commits.
pub fn linked<'a>(span: Span, commits: impl IntoIterator<Item = &'a Arc<Commit>>) -> Span {
    if !span.is_disabled() {
        for context in contexts(commits) {
            span.add_link(context);
        }
    }
    span
}

/// The span of a publication `by` somebody: the writer, a helper or the relay.
pub fn publication(stream: &StreamId, commits: &[Arc<Commit>], by: &'static str) -> Span {
    let version = commits.last().map(|commit| commit.last.get());
    part_of(debug_span!("publish", otel.kind = "producer", %stream, version, by), commits)
}

/// The span of a commit that is to be made, below the current one, or else below what `meta` tells. Its context takes the
/// place of that one.
pub(crate) fn commit(stream: &StreamId, commit: &CommitId, meta: &mut Meta) -> Span {
    let caller = Span::current();
    let span = debug_span!("commit", %stream, %commit, version = Empty);
    if span.is_disabled() {
        return caller;
    }
    if traceparent(&caller).is_none()
        && let Some(told) = meta.get(TRACEPARENT).and_then(|told| told.as_str())
    {
        follow(&span, told);
    }
    if let Some(context) = traceparent(&span) {
        meta.insert(TRACEPARENT.to_owned(), context.into());
    }
    span
}

/// The contexts that commits carry, each once, in their order.
fn contexts<'a>(commits: impl IntoIterator<Item = &'a Arc<Commit>>) -> Vec<SpanContext> {
    let told = commits.into_iter().filter_map(|commit| commit.meta.get(TRACEPARENT)?.as_str());
    let mut seen = HashSet::new();
    told.filter(|told| seen.insert(*told)).filter_map(parse).take(LINKS).collect()
}

fn parse(text: &str) -> Option<SpanContext> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        let part = parts.next()?;
        (part.len() == digits && part.bytes().all(hexadecimal)).then_some(part)
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || parts.next().is_some() {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests;
