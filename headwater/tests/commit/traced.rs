//! Traces: a commit's span, its context in `meta`, and its publication by whomever.

use std::{collections::HashMap, sync::LazyLock};

use headwater::{
    Options,
    memory::{Fault, World},
    port::LogError,
    trace::{self, TRACEPARENT},
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::{Dispatch, Instrument, info_span, subscriber::DefaultGuard};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::{
    counter::Command,
    process::{Process, head, named},
};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A second subscriber, for as long as the tests run. Where there is only one, a span that another thread comes to first is asked
/// of that thread's, which has none, and is off for all.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));

/// Traces this thread.
struct Traced {
    spans: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _guard: DefaultGuard,
}

impl Traced {
    fn begin() -> Self {
        LazyLock::force(&SECOND);
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let guard = tracing::subscriber::set_default(Registry::default().with(layer));
        Self { spans, _provider: provider, _guard: guard }
    }

    /// The spans of that name that have ended.
    fn named(&self, name: &str) -> Vec<SpanData> {
        let spans = self.spans.get_finished_spans().expect("spans").into_iter();
        spans.filter(|span| span.name == name).collect()
    }
}

/// A span's context, as it travels.
fn context(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

fn attributes(span: &SpanData) -> HashMap<&str, String> {
    span.attributes.iter().map(|pair| (pair.key.as_str(), pair.value.to_string())).collect()
}

/// What the newest commits of a stream carry.
fn carried(world: &World, id: &str) -> Vec<String> {
    let commits = head(world, id).commits;
    commits.iter().map(|commit| commit.meta[TRACEPARENT].as_str().expect("text").to_owned()).collect()
}

fn caller() -> Options {
    let meta = [(TRACEPARENT.to_owned(), CALLER.into())].into_iter().collect();
    Options { meta, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_a_part_of_its_request_and_its_record_a_part_of_it() {
    let traced = Traced::begin();
    let world = World::new(60);
    let process = Process::new(&world);
    let request = info_span!("request");
    trace::follow(&request, CALLER);
    let options = Options { commit_id: named("k").commit_id, ..caller() };
    process.try_run("a", Command::Burst(2), options).instrument(request).await.expect("executed");
    process.store.drain(std::time::Duration::from_secs(1)).await;

    let [request, commit, publish] =
        ["request", "commit", "publish"].map(|name| traced.named(name).pop().expect(name));
    assert_eq!(request.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(commit.parent_span_id, request.span_context.span_id());
    assert_eq!(publish.parent_span_id, commit.span_context.span_id());
    for span in [&request, &commit, &publish] {
        assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
    assert_eq!(carried(&world, "a"), [context(&commit)]);
    let told = attributes(&commit);
    assert_eq!(["stream", "commit", "version"].map(|name| told[name].as_str()), ["counter/a", "k", "2"]);
    assert_eq!(attributes(&publish)["by"], "writer");
}

#[tokio::test(start_paused = true)]
async fn without_a_span_around_it_a_commit_goes_on_from_what_meta_says() {
    let traced = Traced::begin();
    let world = World::new(61);
    Process::new(&world).try_run("a", Command::Add(1), caller()).await.expect("executed");
    let commit = traced.named("commit").pop().expect("a span");
    assert_eq!(commit.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(carried(&world, "a"), [context(&commit)]);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_traces_meta_says_what_the_caller_said() {
    let world = World::new(62);
    Process::new(&world).try_run("a", Command::Add(1), caller()).await.expect("executed");
    assert_eq!(carried(&world, "a"), [CALLER]);
}

#[tokio::test(start_paused = true)]
async fn commits_of_one_record_are_linked_to_its_publication() {
    let traced = Traced::begin();
    let world = World::new(63);
    let process = Process::new(&world);
    futures::future::join_all((0..5).map(|_| process.run("a", Command::Add(1)))).await;
    process.store.drain(std::time::Duration::from_secs(1)).await;
    let contexts = carried(&world, "a");
    assert_eq!(contexts.len(), 5, "each its own");
    let publish = traced.named("publish").pop().expect("a span");
    let linked = publish.links.iter().map(|link| link.span_context.span_id().to_string());
    let parts = [publish.parent_span_id.to_string()].into_iter().chain(linked);
    let parts: Vec<String> = parts.collect();
    assert!(
        contexts.iter().zip(&parts).all(|(context, part)| context.contains(part)),
        "{contexts:?} {parts:?}"
    );
    assert_eq!(parts.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_writer_left_is_published_within_its_own_trace() {
    let traced = Traced::begin();
    let world = World::new(64);
    let dead = Process::new(&world);
    dead.log.faults().hook(|_| Fault::Before(LogError::Unknown("down".into())));
    dead.try_run("a", Command::Add(1), caller()).await.expect("committed, and pending");
    Process::new(&world).run("a", Command::Add(1)).await;
    let helped = traced.named("publish").into_iter().find(|span| attributes(span)["by"] == "helper");
    let helped = helped.expect("a span");
    assert_eq!(helped.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
}
