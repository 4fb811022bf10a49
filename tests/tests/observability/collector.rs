//! A collector of spans, as one stands beside a function: it takes OTLP as protobuf over HTTP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::net::TcpListener;

/// What came, in its order.
type Sent = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// Takes spans until the test ends.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    address: SocketAddr,
    sent: Sent,
}

/// A span, as far as these tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Who told it.
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) parent: String,
    /// The traces that it is linked to.
    pub(crate) links: Vec<String>,
    stream: String,
}

impl Collector {
    pub(crate) async fn begin() -> Self {
        let sent = Sent::default();
        let take = |State(sent): State<Sent>, body: Bytes| async move {
            let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&sent));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, sent }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = sent.iter().flat_map(|request| &request.resource_spans);
        let told = resources.flat_map(|resource| {
            let service = text(&resource.resource.as_ref().expect("a resource").attributes, "service.name");
            let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.map(move |span| Told::new(&service, span))
        });
        told.collect()
    }
}

impl Told {
    fn new(service: &str, span: &Span) -> Self {
        Self {
            service: service.to_owned(),
            name: span.name.clone(),
            trace: hexadecimal(&span.trace_id),
            span: hexadecimal(&span.span_id),
            parent: hexadecimal(&span.parent_span_id),
            links: span.links.iter().map(|link| hexadecimal(&link.trace_id)).collect(),
            stream: text(&span.attributes, "stream"),
        }
    }

    /// Whether it is of that stream; empty for one of none.
    pub(crate) fn is_of(&self, stream: &str) -> bool {
        self.stream == stream
    }
}

/// An attribute's text; empty where there is none.
fn text(attributes: &[KeyValue], key: &str) -> String {
    let found =
        attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_ref()?.value.as_ref());
    match found {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
