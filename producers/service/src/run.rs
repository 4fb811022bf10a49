//! Serving a router: on a port, or as a Lambda, unchanged.
//!
//! A server prints one line, `listening on http://ADDR`, when it takes requests. On SIGTERM and Ctrl-C it takes no more,
//! lets those under way finish, and drains. A Lambda is frozen between invocations and told nothing of its end, so there
//! is nothing to drain: what it leaves behind, the next writer or the relay mends.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use lambda_http::Adapter;
use lambda_runtime::{LambdaEvent, Service, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use telemetry::invocation;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

use crate::{
    config::{Config, Listen},
    events,
    layers::PATIENCE,
    start::BoxError,
};

/// How long requests may take to finish once a server is told to stop: a little longer than any may take.
const GRACE: Duration = PATIENCE.saturating_add(Duration::from_secs(2));

/// Why a service did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another process listens there: stop it, or set `HEADWATER_LISTEN` to another port (0 is any).
    #[error("{0} is taken: another process listens there; HEADWATER_LISTEN chooses another, and port 0 any")]
    Taken(SocketAddr),
    /// The system refused to listen there, or to tell of signals.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The Lambda runtime ended.
    #[error("the Lambda runtime ended")]
    Lambda(#[source] BoxError),
}

/// Serves `router` until the process is told to stop, then waits for `drain`, as in
/// `service::run(&config, router, async { store.drain(patience).await; })`.
pub async fn run(config: &Config, router: Router, drain: impl Future<Output = ()>) -> Result<(), RunError> {
    match config.listen {
        Listen::Lambda => {
            let answer = |event| invocation(Adapter::from(router.clone()).call(event));
            lambda_runtime::run(service_fn(answer)).await.map_err(RunError::Lambda)
        }
        Listen::Address(address) => serve(address, router, drain).await,
    }
}

/// As [`run`], for a Lambda that takes Kinesis events beside HTTP requests: a payload whose records come from
/// `aws:kinesis` goes to `handler`, which answers what Lambda is to be told (its batch item failures); every other
/// payload is a request. On a port there are only requests.
pub async fn run_with_events<E, A, F>(
    config: &Config,
    router: Router,
    handler: impl Fn(E) -> F + Send + Sync,
    drain: impl Future<Output = ()>,
) -> Result<(), RunError>
where
    E: DeserializeOwned + Send,
    A: Serialize,
    F: Future<Output = Result<A, BoxError>> + Send,
{
    match config.listen {
        Listen::Lambda => {
            let dispatch =
                |event: LambdaEvent<_>| invocation(events::dispatch(event, router.clone(), &handler));
            lambda_runtime::run(service_fn(dispatch)).await.map_err(RunError::Lambda)
        }
        Listen::Address(address) => serve(address, router, drain).await,
    }
}

/// As [`run_with_events`], for a Lambda that a schedule invokes too: whatever is neither Kinesis events nor a request is a
/// tick. On a port there are only requests.
pub async fn run_with_ticks<E, A, F, T, G>(
    config: &Config,
    router: Router,
    handler: impl Fn(E) -> F + Send + Sync,
    tick: impl Fn() -> G + Send + Sync,
    drain: impl Future<Output = ()>,
) -> Result<(), RunError>
where
    E: DeserializeOwned + Send,
    A: Serialize,
    F: Future<Output = Result<A, BoxError>> + Send,
    T: Serialize,
    G: Future<Output = Result<T, BoxError>> + Send,
{
    match config.listen {
        Listen::Lambda => {
            let dispatch = async |event: LambdaEvent<Box<RawValue>>| {
                if events::is_tick(&event.payload) {
                    Ok(to_raw_value(&tick().await?)?)
                } else {
                    events::dispatch(event, router.clone(), &handler).await
                }
            };
            let told = |event| invocation(dispatch(event));
            lambda_runtime::run(service_fn(told)).await.map_err(RunError::Lambda)
        }
        Listen::Address(address) => serve(address, router, drain).await,
    }
}

async fn serve(address: SocketAddr, router: Router, drain: impl Future<Output = ()>) -> Result<(), RunError> {
    let failed = |cause| RunError::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => RunError::Taken(address),
        _ => failed(cause),
    })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    println!("listening on http://{}", listener.local_addr().map_err(failed)?);
    serve_until(listener, router, stop).await.map_err(failed)?;
    drain.await;
    Ok(())
}

/// Serves until `stop`, then lets what is under way finish, for [`GRACE`] at most.
async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (tell, told) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = told.await;
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => return ended.map_err(io::Error::other)?,
        () = stop => {}
    }
    let _ = tell.send(());
    if let Ok(ended) = timeout(GRACE, &mut server).await {
        return ended.map_err(io::Error::other)?;
    }
    tracing::warn!("connections were still open after {} s", GRACE.as_secs());
    server.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::Notify,
    };

    use super::*;

    #[tokio::test]
    async fn a_request_under_way_finishes_after_the_signal() {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
            move || async move {
                entered.notify_one();
                leave.notified().await;
                "done"
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let server =
            tokio::spawn(serve_until(listener, Router::new().route("/", get(handler)), async move {
                let _ = stopped.await;
            }));
        let mut caller = TcpStream::connect(address).await.expect("connects");
        caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sends");
        entered.notified().await;
        stop.send(()).expect("the server listens");
        tokio::task::yield_now().await;
        leave.notify_one();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.expect("the server closes the connection");
        assert!(answer.ends_with("done"), "{answer}");
        server.await.expect("no panic").expect("served");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let error = serve(address, Router::new(), async {}).await.expect_err("the port is taken");
        assert!(error.to_string().starts_with(&format!("{address} is taken")), "{error}");
    }
}
