//! What reaches a collector, and what one costs that does not answer.

use std::{net::SocketAddr, sync::PoisonError};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span as Exported,
};
use prost::Message;
use tokio::net::TcpListener;
use tracing::{debug_span, info_span, subscriber::with_default, trace_span};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::*;

/// What a collector was sent, and how it answers.
#[derive(Debug, Clone)]
struct Collector {
    sent: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    answer: StatusCode,
}

impl Collector {
    async fn begin(answer: StatusCode) -> (Self, SocketAddr) {
        let collector = Self { sent: Arc::default(), answer };
        let take = |State(collector): State<Self>, body: Bytes| async move {
            let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
            collector.sent.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            collector.answer
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        (collector, address)
    }

    /// Each span with the service that told it.
    fn spans(&self) -> Vec<(String, Exported)> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = sent.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|spans| {
            let attributes = &spans.resource.as_ref().expect("a resource").attributes;
            let service = attributes.iter().find(|pair| pair.key == "service.name").expect("a name");
            let service = format!("{:?}", service.value.as_ref().expect("a value"));
            spans
                .scope_spans
                .iter()
                .flat_map(|scope| &scope.spans)
                .map(move |span| (service.clone(), span.clone()))
        });
        spans.collect()
    }
}

fn tell(traces: &Traces, act: impl FnOnce()) {
    with_default(Registry::default().with(traces.layer()), act);
}

#[tokio::test]
async fn spans_that_ended_reach_the_collector() {
    let (collector, address) = Collector::begin(StatusCode::OK).await;
    let traces = Traces::begin("credit", &format!("http://{address}/")).expect("an endpoint");
    tell(&traces, || {
        let request = info_span!("request");
        debug_span!(target: "headwater::commit", parent: &request, "commit", stream = "account/42")
            .in_scope(|| {});
        drop(debug_span!(target: "hyper", "too much"));
        drop(trace_span!(target: "headwater", "too much"));
        drop(info_span!(target: "lambda_runtime::layers", "too late"));
    });
    traces.flush().await;
    let spans = collector.spans();
    let names: Vec<&str> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    assert_eq!(names, ["commit", "request"]);
    assert!(spans.iter().all(|(service, _)| service.contains("\"credit\"")), "{spans:?}");
    assert_eq!(spans[0].1.parent_span_id, spans[1].1.span_id);
    traces.flush().await;
    assert_eq!(collector.spans().len(), 2, "each once");
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_not_told() {
    let (collector, address) = Collector::begin(StatusCode::OK).await;
    let traces = Traces::begin("credit", &format!("http://{address}")).expect("an endpoint");
    tell(&traces, || {
        let request = info_span!("request");
        headwater::trace::follow(&request, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    });
    traces.flush().await;
    assert_eq!(collector.spans(), []);
}

#[tokio::test]
async fn a_collector_that_refuses_is_left_alone() {
    let (collector, address) = Collector::begin(StatusCode::FORBIDDEN).await;
    let traces = Traces::begin("credit", &format!("http://{address}")).expect("an endpoint");
    for _ in 0..3 {
        tell(&traces, || drop(info_span!("request")));
        traces.flush().await;
    }
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test]
async fn a_collector_that_does_not_answer_costs_one_patience() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let traces = Traces::begin("credit", &format!("http://{address}")).expect("an endpoint");
    let begin = Instant::now();
    for _ in 0..10 {
        tell(&traces, || drop(info_span!("request")));
        traces.flush().await;
    }
    assert!(begin.elapsed() < 2 * PATIENCE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn no_more_spans_wait_than_there_is_room_for() {
    let traces = Traces::begin("credit", "http://127.0.0.1:4318").expect("an endpoint");
    tell(&traces, || (0..WAITING + 7).for_each(|_| drop(info_span!("request"))));
    assert_eq!(traces.ended.dropped(), 7);
    assert_eq!(traces.ended.lock().spans.len(), WAITING);
}

#[test]
fn an_endpoint_that_is_none_is_refused_by_the_variables_name() {
    for wrong in ["https://collector:4318", "127.0.0.1:4318", "http://"] {
        let refused = Traces::begin("credit", wrong).map(drop).expect_err(wrong).to_string();
        assert!(refused.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT"), "{wrong}: {refused}");
    }
}
