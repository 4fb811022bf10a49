//! The one port: what happens to a request from outside.
//!
//! 1. `browser` refuses what a web page sends; `classify` says what it asks for.
//! 2. The hook, if there is one, says what to do with it (`fault`); how the answer's bytes go out is up to `connection`.
//! 3. `signature` checks who asks, if a key pair is demanded. What is not known is refused.
//! 4. A header `x-amz-target` with `Kinesis_` means Kinesis, the path `/2015-03-31/functions/` means Lambda, all
//!    else is S3. What has begun is done to its end, even if the caller leaves.
//! 5. A body that is not what its request says of it is refused (`s3::checksum`).
//! 6. `count` adds it up.

use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::browser;
use crate::classify::{UNKNOWN, classify, kinesis_operation};
use crate::connection::{Connection, Line};
use crate::count::Counter;
use crate::fault::{Fault, Hook, Request};
use crate::kinesis::{Kinesis, partly};
use crate::lambda::functions::Functions;
use crate::lambda::invoke::invoke;
use crate::s3::checksum;
use crate::signature::{self, Credentials};

/// The largest body that is taken.
pub(crate) const BODY_LIMIT: usize = 128 * 1024 * 1024;

/// Everything that a request can reach.
pub(crate) struct Port {
    pub(crate) s3: S3Service,
    pub(crate) kinesis: Arc<Kinesis>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) counter: Counter,
    pub(crate) hook: RwLock<Option<Arc<dyn Hook>>>,
    pub(crate) credentials: Option<Credentials>,
    /// S3 and Kinesis are those of another program.
    pub(crate) elsewhere: bool,
}

/// The entries of a `PutRecords` that are refused, and with which code: see [`Fault::RefuseEntries`].
type Refused = (u64, &'static str);

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
pub(crate) struct Dropped;

/// Accepts connections until `stop` changes or its sender is gone; then closes every one.
pub(crate) async fn serve(port: Arc<Port>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection can't be set to send at once");
        }
        let port = Arc::clone(&port);
        connections.spawn(async move {
            let line = Arc::new(Line::default());
            let connection = TokioIo::new(Connection::new(stream, Arc::clone(&line)));
            let service = service_fn(|request| Arc::clone(&port).handle(request, Arc::clone(&line)));
            if let Err(error) = http1::Builder::new().serve_connection(connection, service).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

impl Port {
    async fn handle(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        line: Arc<Line>,
    ) -> Result<Response, Dropped> {
        line.pass();
        let (parts, body) = request.into_parts();
        if let Err(foreign) = browser::check(&parts) {
            tracing::warn!(reason = %foreign, method = %parts.method, "a request was refused");
            return Ok(refusal(&parts, StatusCode::FORBIDDEN, "AccessDenied", &foreign.to_string()));
        }
        let hook = self.hook.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = &hook {
            let head = classify(&parts, &Bytes::new());
            if let Some(bytes) = hook.cut_in_body(&head) {
                let read = read_some(body, bytes).await;
                self.counter.add(&head.operation, 0, read, 0);
                line.reset();
                return Err(Dropped);
            }
        }
        let body = match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                tracing::debug!(%error, "a body was not read");
                return Ok(refusal(&parts, StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge", REFUSED));
            }
        };
        let request = classify(&parts, &body);
        let fault = hook.map(|hook| hook.on_request(&request)).unwrap_or_default();
        match fault {
            Fault::Pass => {}
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::HoldBefore(gate) => gate.pass().await,
            Fault::CutAnswer => line.cut(),
            Fault::SlowAnswer(over) => line.drip(over),
            Fault::Respond(status, code) => {
                return Ok(self.counted(&request, refusal(&parts, status, code, REFUSED)).await);
            }
            Fault::RefuseEntries(mask, code) => {
                return self.dispatch(parts, request, Some((mask, code))).await;
            }
            Fault::DropBefore | Fault::ResetBefore => {
                self.counter.add(&request.operation, 0, request.body.len(), 0);
                if matches!(fault, Fault::ResetBefore) {
                    line.reset();
                }
                return Err(Dropped);
            }
            Fault::DropAfter | Fault::ResetAfter => {
                self.dispatch(parts, request, None).await?;
                if matches!(fault, Fault::ResetAfter) {
                    line.reset();
                }
                return Err(Dropped);
            }
            Fault::HoldAfter(gate) => {
                let response = self.dispatch(parts, request, None).await;
                gate.pass().await;
                return response;
            }
        }
        self.dispatch(parts, request, None).await
    }

    /// Does the request in a task of its own, so that a caller who leaves doesn't leave it half done.
    async fn dispatch(
        self: &Arc<Self>,
        parts: Parts,
        request: Request,
        refused: Option<Refused>,
    ) -> Result<Response, Dropped> {
        let port = Arc::clone(self);
        let done = tokio::spawn(async move {
            let response = port.answer(parts, &request, refused).await;
            port.counted(&request, response).await
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a request was not done");
            Dropped
        })
    }

    async fn answer(&self, mut parts: Parts, request: &Request, refused: Option<Refused>) -> Response {
        if let Some(credentials) = &self.credentials
            && let Err(code) = signature::verify(credentials, &parts, &request.body)
        {
            return refusal(&parts, StatusCode::FORBIDDEN, code, REFUSED);
        }
        if self.elsewhere && request.function.is_none() {
            let message = "S3 and Kinesis are elsewhere: only functions can be invoked here";
            return refusal(&parts, StatusCode::NOT_IMPLEMENTED, "NotImplemented", message);
        }
        if request.operation == UNKNOWN {
            let message = "this operation, or a parameter of it, is not implemented by the local AWS";
            return refusal(&parts, StatusCode::NOT_IMPLEMENTED, "NotImplemented", message);
        }
        if let Some(operation) = kinesis_operation(&parts.headers) {
            let operation = operation.to_owned();
            if let Some((mask, code)) = refused.filter(|_| operation == "PutRecords") {
                return partly::answer(&self.kinesis, parts, request, mask, code).await;
            }
            let body = http::Request::from_parts(parts, Body::from(request.body.clone()));
            return self.kinesis.answer(&operation, request.stream.as_deref(), body).await;
        }
        if let Some(function) = &request.function {
            return invoke(&self.functions, function, &parts, request.body.clone()).await;
        }
        let bad =
            |parts: &Parts, code: &str, message: &str| refusal(parts, StatusCode::BAD_REQUEST, code, message);
        match signature::expired(&parts) {
            Some(false) => {}
            Some(true) => {
                return refusal(&parts, StatusCode::FORBIDDEN, "AccessDenied", "Request has expired");
            }
            None => {
                return bad(
                    &parts,
                    "AuthorizationQueryParametersError",
                    "the times of the URL are not valid",
                );
            }
        }
        if let Err(damaged) = checksum::verify_signed(&parts.headers, &request.body) {
            return bad(&parts, &damaged.to_string(), "the body is not the one that was signed");
        }
        let Some(body) = signature::strip(&mut parts, &request.body) else {
            return bad(
                &parts,
                "IncompleteBody",
                "the body is not framed, or not as long, as its headers say",
            );
        };
        // With the end of an upload in parts comes the checksum of the object, which is not this body.
        let whole = request.operation != "s3:CompleteMultipartUpload";
        if let Err(damaged) = checksum::verify(&parts.headers, &body, whole) {
            return bad(&parts, &damaged.to_string(), "the checksum that was given is not that of the body");
        }
        if request.operation == "s3:DeleteObjects" && !checksum::is_given(&parts.headers) {
            let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
            return bad(&parts, "InvalidRequest", message);
        }
        let call = http::Request::from_parts(parts, s3s::Body::from(body));
        match self.s3.call(call).await {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(?error, "a request to S3 was not answered");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// Counts an answer, and tells the hook of it; its body is read to its end for that, unless it is an event stream.
    async fn counted(&self, request: &Request, response: Response) -> Response {
        let status = response.status();
        let hook = self.hook.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook.on_answer(request, status.as_u16());
        }
        let (parts, body) = response.into_parts();
        let streams = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/vnd.amazon.eventstream"));
        if streams {
            self.counter.add(&request.operation, status.as_u16(), request.body.len(), 0);
            return Response::from_parts(parts, body);
        }
        let body = if status == StatusCode::NOT_MODIFIED {
            Bytes::new()
        } else {
            match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) => {
                    tracing::error!(%error, "an answer has no end");
                    Bytes::new()
                }
            }
        };
        self.counter.add(&request.operation, status.as_u16(), request.body.len(), body.len());
        Response::from_parts(parts, Body::from(body))
    }
}

/// Reads a body until at least so many bytes have come, or it ends; gives how many came.
async fn read_some(mut body: Incoming, bytes: usize) -> usize {
    let mut read = 0;
    while read < bytes
        && let Some(Ok(frame)) = body.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    read
}

/// What is said of a refusal that a test or a limit decided on.
const REFUSED: &str = "refused by the local AWS";

/// An error in the words of the service that was asked.
fn refusal(parts: &Parts, status: StatusCode, code: &str, message: &str) -> Response {
    let json = kinesis_operation(&parts.headers).is_some();
    let (kind, body) = if json {
        ("application/x-amz-json-1.1", serde_json::json!({ "__type": code, "message": message }).to_string())
    } else {
        let head = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
        ("application/xml", format!("{head}<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
    };
    let empty = status == StatusCode::NOT_MODIFIED || parts.method == http::Method::HEAD;
    let mut response = Response::new(if empty { Body::empty() } else { Body::from(body) });
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
