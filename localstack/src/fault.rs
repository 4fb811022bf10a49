//! Faults, for tests: what to do with a request instead of simply doing it.
//!
//! A *hook* sees every request from outside before it is done, and answers with a *fault*. A *gate* holds a request
//! until it is released, so that a test can do something exactly then:
//!
//! 1. the test gives a gate to its hook, which answers `HoldAfter(gate)` for one put;
//! 2. `gate.reached().await`: the put is done, its answer is not given;
//! 3. the test kills the process that waits for it, or looks at what another one sees;
//! 4. `gate.release()`: the answer goes out, if there is anybody left to read it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

/// One request as it came in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Service and operation, as `s3:PutObject` or `kinesis:PutRecords`.
    pub operation: String,
    /// Who asks: the id of the access key that the request is signed with, if it is signed at all.
    pub caller: Option<String>,
    /// The bucket, for S3.
    pub bucket: Option<String>,
    /// The key, decoded, for S3.
    pub key: Option<String>,
    /// What the keys begin with, decoded, for a listing of S3 that says so.
    pub prefix: Option<String>,
    /// The stream's name, for Kinesis, if the request is JSON and names one, or has a shard iterator of one.
    pub stream: Option<String>,
    /// The function's name, for Lambda.
    pub function: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
}

/// What to do with a request.
#[derive(Debug, Clone, Default)]
pub enum Fault {
    /// Do it, answer it.
    #[default]
    Pass,
    /// Wait, then do it and answer it.
    Delay(Duration),
    /// Answer with this status and AWS error code, as `503` and `SlowDown`, without doing it.
    Respond(StatusCode, &'static str),
    /// Close the connection without doing it: the lost request.
    DropBefore,
    /// Do it, then close the connection: the lost answer.
    DropAfter,
    /// Wait at the gate, then do it. Given up if the caller leaves while it waits.
    HoldBefore(Gate),
    /// Do it, wait at the gate, then answer.
    HoldAfter(Gate),
    /// Do it, send half of the answer, head and body together, then close the connection.
    CutAnswer,
    /// Do it, and let the answer, head and body together, drip out over this time.
    SlowAnswer(Duration),
    /// Reset the connection without doing it: the caller sees no end, but an error.
    ResetBefore,
    /// Do it, then reset the connection.
    ResetAfter,
    /// Refuse some entries of a `PutRecords` with an error code, as `ProvisionedThroughputExceededException`, and do the
    /// others: entry `n` is refused if bit `n % 64` of the mask is set. Any other request is done whole.
    RefuseEntries(u64, &'static str),
}

/// Decides over every request.
///
/// # Contract
///
/// [`on_request`](Hook::on_request) is called once per request, before the request is done, from many threads at once, and must not block.
/// Requests that the process makes to itself, as an event source mapping's polls, are not shown to it.
///
/// ```
/// use localstack::{Fault, Request};
///
/// let _hook = |request: &Request| match request.operation.as_str() {
///     "kinesis:PutRecords" => Fault::DropAfter,
///     _ => Fault::Pass,
/// };
/// ```
pub trait Hook: Send + Sync + 'static {
    /// What to do with this request.
    fn on_request(&self, request: &Request) -> Fault;

    /// Cuts a request in the middle: so many bytes of its body are read, at most, then the connection is reset. It is asked
    /// first, when only the head has come: `body` is empty, and `stream` is not known yet. `None`, the default, reads all.
    fn cut_in_body(&self, head: &Request) -> Option<usize> {
        let _ = head;
        None
    }

    /// Is told the HTTP status of an answer, before it goes out, whether or not it arrives. Requests that were dropped have
    /// none.
    fn on_answer(&self, request: &Request, status: u16) {
        let _ = (request, status);
    }
}

impl<F: Fn(&Request) -> Fault + Send + Sync + 'static> Hook for F {
    fn on_request(&self, request: &Request) -> Fault {
        self(request)
    }
}

/// Holds requests until it is released; clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { reached: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)) }
    }

    /// Waits until a request has come to the gate; at once if one has already.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until so many requests have come to the gate.
    pub async fn reached_by(&self, requests: usize) {
        let mut reached = self.reached.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        let _ = reached.wait_for(|count| *count >= requests).await;
    }

    /// Opens the gate for those who wait and for everybody after them.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        self.reached.send_modify(|count| *count += 1);
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}
