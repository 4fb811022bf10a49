//! Waiting: for a condition, with a deadline.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep};

use crate::PATIENCE;

/// How long after a look the next one is taken.
const PAUSE: Duration = Duration::from_millis(150);
/// The same on this machine, where a look costs nobody anything.
const LOCAL_PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until it is as it should be; the error says what is not so yet.
///
/// # Panics
///
/// With the last look's error, if that has not come about after `patience`.
pub async fn eventually<T, E: Display, F: Future<Output = Result<T, E>>>(
    patience: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(not_yet) => assert!(Instant::now() < deadline, "after {patience:?}: {not_yet}"),
        }
        sleep(PAUSE).await;
    }
}

/// Waits until `done` says that `what` has come about, on this machine.
///
/// # Panics
///
/// If it has not after [`PATIENCE`].
pub async fn until<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < deadline, "{what}: it did not happen");
        sleep(LOCAL_PAUSE).await;
    }
}
