//! A proxy before an HTTP service: it counts what goes through, and can hold what comes after a commit, for ever.
//!
//! 1. A request is read whole, counted, and sent on, or held;
//! 2. its answer is read whole, counted, and given back.
//!
//! Bytes are those of the bodies: what the clients' headers weigh is the SDK's, and the same for all.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::bank::Error;

/// What went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Requests.
    pub(crate) requests: u64,
    /// Bytes of the requests.
    pub(crate) up: u64,
    /// Bytes of the answers.
    pub(crate) down: u64,
    /// Answers 412: swaps that were lost.
    pub(crate) lost: u64,
}

impl Counted {
    /// What was added since.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            up: self.up - earlier.up,
            down: self.down - earlier.down,
            lost: self.lost - earlier.lost,
        }
    }
}

/// Running counts.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    pub(crate) requests: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    pub(crate) lost: AtomicU64,
}

impl Counter {
    /// As they stand.
    pub(crate) fn read(&self) -> Counted {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counted {
            requests: read(&self.requests),
            up: read(&self.up),
            down: read(&self.down),
            lost: read(&self.lost),
        }
    }
}

/// What does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// All goes on.
    Nothing,
    /// Headwater's `PutRecords`, once a head was replaced: before that, it is help for the commit before.
    Publication,
}

/// A proxy on a port of its own; it ends when it is dropped.
pub(crate) struct Proxy {
    address: String,
    counter: Arc<Counter>,
    held: watch::Receiver<bool>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A proxy before `upstream`, as `http://127.0.0.1:4566`.
    pub(crate) async fn start(upstream: &str, hold: Hold) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let counter = Arc::new(Counter::default());
        let (holding, held) = watch::channel(false);
        let way = Arc::new(Way {
            upstream: upstream.parse::<Uri>()?,
            client: Client::builder(TokioExecutor::new()).build_http(),
            counter: Arc::clone(&counter),
            hold,
            swapped: AtomicBool::new(false),
            holding,
        });
        let accepting = tokio::spawn(async move {
            // Connections end with the one who accepts them.
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(Arc::clone(&way), connection));
            }
        });
        Ok(Self { address, counter, held, accepting: accepting.abort_handle() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What went through so far.
    pub(crate) fn counted(&self) -> Counted {
        self.counter.read()
    }

    /// Waits until a request is held.
    pub(crate) async fn held(&self) -> Result<(), Error> {
        self.held.clone().wait_for(|held| *held).await?;
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// From a client to the service.
struct Way {
    upstream: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    counter: Arc<Counter>,
    hold: Hold,
    /// A head was replaced.
    swapped: AtomicBool,
    holding: watch::Sender<bool>,
}

async fn serve(way: Arc<Way>, connection: TcpStream) {
    // Small answers must not wait for one another's acknowledgement.
    if connection.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| {
        let way = Arc::clone(&way);
        async move { Ok::<_, Infallible>(way.answer(request).await) }
    });
    // A client that leaves is no failure of the proxy.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

impl Way {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.pass(request).await.unwrap_or_else(|error| {
            let mut response = Response::new(Full::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        })
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let swap = head.method == Method::PUT && head.uri.path().contains("/heads/");
        let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let publication = target.is_some_and(|target| target.ends_with(".PutRecords"));
        if self.hold == Hold::Publication && publication && self.swapped.load(Ordering::Relaxed) {
            self.holding.send_replace(true);
            return pending().await;
        }
        self.counter.requests.fetch_add(1, Ordering::Relaxed);
        self.counter.up.fetch_add(body.len() as u64, Ordering::Relaxed);
        let mut parts = self.upstream.clone().into_parts();
        parts.path_and_query = head.uri.path_and_query().cloned();
        head.uri = Uri::from_parts(parts)?;
        let answer = self.client.request(Request::from_parts(head, Full::from(body))).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.counter.down.fetch_add(body.len() as u64, Ordering::Relaxed);
        if head.status == StatusCode::PRECONDITION_FAILED {
            self.counter.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.swapped.fetch_or(swap && head.status.is_success(), Ordering::Relaxed);
        Ok(Response::from_parts(head, Full::from(body)))
    }
}
