//! Traces: spans over OTLP, as protobuf over plain HTTP, to a collector beside this process.
//!
//! 1. [`Traces::layer`] makes spans of `tracing` into those of `OpenTelemetry`: those of Headwater from `debug` on, all others
//!    from `info` on. Events from `info` on are told within them.
//! 2. Spans that have ended wait in [`Ended`], [`WAITING`] at most: what comes then is dropped, and counted.
//! 3. [`Traces::flush`] exports them, for [`PATIENCE`] at most. After a failure the collector is left alone for [`REST`], so
//!    that one which does not answer costs an invocation now and then that much, and all others nothing.
//!
//! No thread and no task exports: a Lambda is frozen between its invocations, and both would find themselves in the middle
//! of it. How much is sampled, `OTEL_TRACES_SAMPLER` says; without it, what the caller samples, and whatever has none.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{Context, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor},
};
use tokio::time::{Instant, timeout};
use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::config::BoxError;

/// How long an export may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a collector is left alone that did not take an export.
const REST: Duration = Duration::from_secs(30);
/// Most spans that wait to be exported.
const WAITING: usize = 4_096;
/// Most spans of one export.
const BATCH: usize = 512;
/// Whose spans are told from `debug` on.
const OWN: [&str; 3] = ["headwater", "archiver", "service"];

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    ended: Ended,
    exporter: tokio::sync::Mutex<Exporter>,
}

#[derive(Debug)]
struct Exporter {
    spans: SpanExporter,
    /// Until when the collector is left alone.
    rest: Option<Instant>,
}

/// The spans that have ended and wait. Clones share them.
#[derive(Debug, Clone, Default)]
struct Ended(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    spans: Vec<SpanData>,
    dropped: usize,
}

impl Traces {
    /// Spans of the process `name`, to the collector at `endpoint`, as `http://127.0.0.1:4318`.
    pub(crate) fn begin(name: &str, endpoint: &str) -> Result<Self, BoxError> {
        if !endpoint.starts_with("http://") {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_ENDPOINT must be a collector beside this process, as http://127.0.0.1:4318, not {endpoint:?}"
            )
            .into());
        }
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let spans = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let spans = spans.with_endpoint(url).with_timeout(PATIENCE).build();
        let mut spans = spans.map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))?;
        let resource = Resource::builder().with_service_name(name.to_owned()).build();
        spans.set_resource(&resource);
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_resource(resource);
        let provider = provider.with_span_processor(ended.clone()).build();
        Ok(Self { provider, ended, exporter: Exporter { spans, rest: None }.into() })
    }

    /// What makes spans of `tracing` into those of `OpenTelemetry`.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer("headwater"));
        let layer = layer.with_location(false).with_threads(false).with_target(false);
        let layer = layer.with_tracked_inactivity(false).with_context_activation(false);
        layer.with_filter(filter_fn(is_told).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Exports all that have ended.
    pub(crate) async fn flush(&self) {
        let mut exporter = self.exporter.lock().await;
        if exporter.rest.is_some_and(|until| Instant::now() < until) {
            return;
        }
        while let Some(batch) = self.ended.take() {
            let spans = batch.len();
            let failure = match timeout(PATIENCE, exporter.spans.export(batch)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer for {PATIENCE:?}"),
            };
            exporter.rest = Some(Instant::now() + REST);
            let dropped = spans + self.ended.dropped();
            tracing::warn!(failure, dropped, "the collector does not take spans: left alone for {REST:?}");
            return;
        }
        exporter.rest = None;
    }
}

impl Ended {
    /// The next spans to export.
    fn take(&self) -> Option<Vec<SpanData>> {
        let mut waiting = self.lock();
        let batch = waiting.spans.len().min(BATCH);
        (batch > 0).then(|| waiting.spans.drain(..batch).collect())
    }

    /// How many found no room since the last time.
    fn dropped(&self) -> usize {
        std::mem::take(&mut self.lock().dropped)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut waiting = self.lock();
        if waiting.spans.len() < WAITING {
            waiting.spans.push(span);
        } else {
            waiting.dropped += 1;
        }
    }

    /// Nothing: [`Traces::flush`] does it.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Whether a span or an event is told. The runtime's own span around an invocation ends after the invocation is told of.
fn is_told(metadata: &Metadata<'_>) -> bool {
    let (target, level) = (metadata.target(), *metadata.level());
    let of =
        |name: &str| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let own = metadata.is_span() && OWN.iter().any(|name| of(name));
    level <= (if own { Level::DEBUG } else { Level::INFO }) && !of("lambda_runtime")
}

#[cfg(test)]
mod tests;
