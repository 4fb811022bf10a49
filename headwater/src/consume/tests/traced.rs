//! Traces: a view is a part of the traces of the commits that it takes in, a reaction of its cause's.

use std::sync::Arc;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::{Bench, plain, record, stream};
use crate::{format::commit::Commit, trace::TRACEPARENT};

/// The trace and the span of number `number`.
fn ids(number: u64) -> (String, String) {
    (format!("{number:032x}"), format!("{:016x}", number + 100))
}

/// The same commits, each of a trace of its own.
fn traced(commits: &[Arc<Commit>]) -> Vec<Arc<Commit>> {
    let carrying = |(number, commit): (u64, &Arc<Commit>)| {
        let (trace, span) = ids(number);
        let mut commit = (**commit).clone();
        commit.meta.insert(TRACEPARENT.to_owned(), format!("00-{trace}-{span}-01").into());
        Arc::new(commit)
    };
    (1..).zip(commits).map(carrying).collect()
}

fn parts(span: &SpanData) -> Vec<String> {
    span.links.iter().map(|link| link.span_context.trace_id().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_view_is_a_part_of_a_commits_trace_and_linked_to_its_batch() {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    // Beside a second subscriber: with one alone, a span that another thread comes to first is asked of that thread's, which
    // has none, and is off for all.
    let _second = tracing::Dispatch::new(Registry::default());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(Registry::default().with(layer));
    let bench = Bench::new();
    let commits = traced(&plain(3));
    let (one, other) = (stream("account/a-1"), stream("account/b-1"));
    let batch = [record(1, &one, &commits[..2]), record(2, &other, &commits[..1])];
    bench.projector().project(&batch).await;

    let ended = spans.get_finished_spans().expect("spans");
    let named = |name: &str| ended.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let [batch] = &named("batch")[..] else { panic!("one batch: {ended:?}") };
    assert_eq!(parts(batch), [ids(1).0, ids(2).0], "each trace once");
    let views = named("project");
    assert_eq!(views.len(), 2);
    for view in &views {
        let (trace, span) = ids(1);
        assert_eq!(view.span_context.trace_id().to_string(), trace);
        assert_eq!(view.parent_span_id.to_string(), span);
        assert_eq!(parts(view).last(), Some(&batch.span_context.trace_id().to_string()));
    }
    assert!(views.iter().any(|view| parts(view).contains(&ids(2).0)), "{views:?}");
}
