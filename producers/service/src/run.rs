//! Serving a router: on a port, or as a Lambda, unchanged.
//!
//! A server prints one line, `listening on http://ADDR`, when it takes requests. On SIGTERM and Ctrl-C it takes no more,
//! lets those under way finish for ten seconds, and drains: a drain of eight seconds makes it end within twenty. A Lambda
//! is frozen between invocations and told nothing of its end, so there is nothing to drain: what it leaves behind, the next
//! writer or the relay mends.

use std::{io, net::SocketAddr};

use axum::Router;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use telemetry::invocation;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::{Config, Listen},
    events, gateway,
    origin::{self, Origins},
    server::{Limits, serve_until},
    start::BoxError,
};

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
            let answer = |event: LambdaEvent<Box<RawValue>>| {
                let router = router.clone();
                invocation(async move { gateway::answer(router, &event.payload).await })
            };
            lambda_runtime::run(service_fn(answer)).await.map_err(RunError::Lambda)
        }
        Listen::Address(address) => serve(address, &config.origins, router, drain).await,
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
        Listen::Address(address) => serve(address, &config.origins, router, drain).await,
    }
}

/// As [`run_with_events`], for a Lambda that a schedule invokes too: what a schedule of `EventBridge`
/// sends is a tick, and what is none of them is refused. On a port there are only requests.
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
                if events::is_tick(&event.payload)? {
                    Ok(to_raw_value(&tick().await?)?)
                } else {
                    events::dispatch(event, router.clone(), &handler).await
                }
            };
            let told = |event| invocation(dispatch(event));
            lambda_runtime::run(service_fn(told)).await.map_err(RunError::Lambda)
        }
        Listen::Address(address) => serve(address, &config.origins, router, drain).await,
    }
}

async fn serve(
    address: SocketAddr,
    origins: &Origins,
    router: Router,
    drain: impl Future<Output = ()>,
) -> Result<(), RunError> {
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
    let listening = listener.local_addr().map_err(failed)?;
    let router = if listening.ip().is_loopback() {
        origin::guarded(router, listening.port(), origins.clone())
    } else {
        router
    };
    println!("listening on http://{listening}");
    serve_until(listener, router, Limits::default(), stop).await;
    drain.await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let error = serve(address, &Origins::default(), Router::new(), async {})
            .await
            .expect_err("the port is taken");
        assert!(error.to_string().starts_with(&format!("{address} is taken")), "{error}");
    }
}
