//! Connections: how many, how long each may take for a request's head, and how they end.
//!
//! 1. At most [`CONNECTIONS`] are open; who comes then waits to be accepted.
//! 2. A request's head must be whole within [`HEAD`] of its first byte, so half-sent requests leave room again. A connection on
//!    which nobody asks is closed after [`IDLE`]. What comes after the head is bounded by the layers around the router.
//! 3. Told to stop, a server accepts no more, and closes what is idle. Requests that are under way have [`GRACE`], and one
//!    whose head is half sent [`HALF_SENT`]; then they are cut.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tower::ServiceExt;

/// Most connections at a time.
pub(crate) const CONNECTIONS: usize = 2_048;
/// Longest that a request's head may take.
pub(crate) const HEAD: Duration = Duration::from_secs(10);
/// Longest that a connection may be idle: more than the minute after which load balancers close theirs.
const IDLE: Duration = Duration::from_secs(75);
/// Longest that requests under way may take once the server is told to stop.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Longest that a half-sent head is waited for then.
const HALF_SENT: Duration = Duration::from_secs(1);
/// How long to wait where the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// How much a server takes, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) head: Duration,
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS, head: HEAD, grace: GRACE }
    }
}

/// Serves until `stop`, then lets what is under way finish.
pub(crate) async fn serve_until(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, router.clone(), limits, stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => refused(&error).await,
            },
        }
    }
    drop(listener);
    drop(stopping);
    while connections.join_next().await.is_some() {}
}

/// A connection that was not accepted: the caller's fault, or the system has no room.
async fn refused(error: &io::Error) {
    let gone =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "a connection can't be accepted");
        sleep(NO_ROOM).await;
    }
}

/// Serves one connection to its end.
async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stopped: watch::Receiver<()>) {
    // Small answers are not held back; where that can't be set, they are.
    let _ = stream.set_nodelay(true);
    let progress = Arc::new(Progress::default());
    let asking = Arc::clone(&progress);
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, asked) = (router.clone(), Asked::new(&asking));
        async move {
            let answer = router.oneshot(request.map(Body::new)).await;
            drop(asked);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(Watched { stream, progress: Arc::clone(&progress) }), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A caller that has gone, or sent what is no request, has been answered as far as that goes.
        _ = &mut connection => return,
        () = progress.overdue(limits.head) => return,
        // The sender says nothing, and is dropped.
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let half_sent = HALF_SENT.min(limits.grace);
    if timeout(half_sent, &mut connection).await.is_ok() || !progress.is_asked() {
        return;
    }
    if timeout(limits.grace.saturating_sub(half_sent), &mut connection).await.is_err() {
        tracing::warn!("cut off a request that was still under way after {} s", limits.grace.as_secs());
    }
}

/// How far the requests of a connection are.
#[derive(Debug, Default)]
struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests whose head is whole, and that are not answered.
    asked: usize,
    /// When the first byte of the next head came.
    began: Option<Instant>,
}

impl Progress {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_asked(&self) -> bool {
        self.state().asked > 0
    }

    /// Some bytes came: of a head, unless a request is under way.
    fn read(&self) {
        let mut state = self.state();
        if state.asked == 0 {
            state.began.get_or_insert_with(Instant::now);
        }
    }

    /// Waits until a head has taken longer than `limit`.
    async fn overdue(&self, limit: Duration) {
        loop {
            let began = self.state().began;
            match began {
                Some(began) if began.elapsed() >= limit => return,
                Some(began) => sleep_until(began + limit).await,
                // One that begins meanwhile is not overdue before that.
                None => sleep(limit).await,
            }
        }
    }
}

/// A request that is under way.
struct Asked(Arc<Progress>);

impl Asked {
    fn new(progress: &Arc<Progress>) -> Self {
        let mut state = progress.state();
        state.asked += 1;
        state.began = None;
        Self(Arc::clone(progress))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.state().asked -= 1;
    }
}

/// A stream that notes when something is read.
struct Watched {
    stream: TcpStream,
    progress: Arc<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
