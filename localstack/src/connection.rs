//! A connection whose answers can be spoiled byte by byte: cut in half, dripped out, or reset.
//!
//! A [`Line`] is the other end of a [`Connection`]: whoever handles a request says there what shall happen to the bytes
//! of its answer. Every request begins with [`Line::pass`].

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// In how many pieces an answer drips out.
const PIECES: u32 = 8;

/// What happens to the bytes of an answer.
#[derive(Debug, Clone, Copy, Default)]
enum Course {
    /// They go out.
    #[default]
    Pass,
    /// Half of them go out. How many they are is known when they come.
    Half,
    /// So many go out, and then no more.
    Left(usize),
    /// They drip out over this time.
    Over(Duration),
    /// So many go out, then there is a pause, and so on.
    Drip(usize, Duration),
}

/// Says what happens to the answers on a connection.
#[derive(Debug, Default)]
pub(crate) struct Line {
    course: Mutex<Course>,
    reset: AtomicBool,
}

impl Line {
    /// The next answer goes out as it is.
    pub(crate) fn pass(&self) {
        self.set(Course::Pass);
    }

    /// Half of the next answer goes out, then the connection is closed.
    pub(crate) fn cut(&self) {
        self.set(Course::Half);
    }

    /// The next answer takes this long.
    pub(crate) fn drip(&self, over: Duration) {
        self.set(Course::Over(over));
    }

    /// When the connection is closed, it is reset.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    fn course(&self) -> Course {
        *self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, course: Course) {
        *self.course.lock().unwrap_or_else(PoisonError::into_inner) = course;
    }
}

/// A connection that does what its line says.
pub(crate) struct Connection {
    stream: TcpStream,
    line: Arc<Line>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { stream, line, pause: None }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.line.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection is closed instead of reset");
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = &mut *self;
        loop {
            match this.line.course() {
                Course::Pass => {
                    this.pause = None;
                    return Pin::new(&mut this.stream).poll_write(cx, bytes);
                }
                Course::Half => this.line.set(Course::Left(bytes.len().div_ceil(2))),
                Course::Left(0) => return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe))),
                Course::Left(left) => {
                    let some = &bytes[..left.min(bytes.len())];
                    let written = ready!(Pin::new(&mut this.stream).poll_write(cx, some))?;
                    this.line.set(Course::Left(left - written));
                    return Poll::Ready(Ok(written));
                }
                Course::Over(time) => {
                    this.line.set(Course::Drip(bytes.len().div_ceil(PIECES as usize).max(1), time / PIECES));
                    this.pause = None;
                }
                Course::Drip(piece, pause) => {
                    ready!(this.pause.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(cx));
                    let some = &bytes[..piece.min(bytes.len())];
                    let written = ready!(Pin::new(&mut this.stream).poll_write(cx, some))?;
                    this.pause = None;
                    return Poll::Ready(Ok(written));
                }
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
