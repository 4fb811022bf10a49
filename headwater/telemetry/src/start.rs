//! The outermost step of a binary: logs, runtime, and one line about what went wrong.

use std::{error::Error, panic::PanicHookInfo, process::ExitCode};

use tokio::runtime::Builder;

use crate::{
    config::{BoxError, Config},
    parent,
    told::Told,
};

/// On how many threads a binary runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// On one: for whatever does one thing after the other.
    One,
    /// On as many as there are cores.
    Many,
}

/// Runs a binary to its end: `fn main() -> ExitCode { telemetry::start(Threads::Many, serve()) }`.
///
/// An error is printed with its causes in one line on stderr, and the exit code is 1.
pub fn start(threads: Threads, serve: impl Future<Output = Result<(), BoxError>>) -> ExitCode {
    match run(threads, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(threads: Threads, serve: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    let config = Config::from_env()?;
    if config.parent {
        parent::watch()?;
    }
    let told = Told::begin(&config)?;
    std::panic::set_hook(Box::new(panicked));
    let mut runtime = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Many => Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(async {
        // A Lambda tells at the end of each invocation.
        let served = if config.lambda { serve.await } else { told.beside(serve).await };
        told.flush().await;
        served
    })
}

/// Logs a panic by its place. Its message is logged where it is a literal of the code: one that was formatted may hold data.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let words = panic.payload().downcast_ref::<&'static str>().copied();
    tracing::error!(place, words, "a thread panicked");
}

/// An error and its causes, each said once: some errors repeat their cause in their own words.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't begin")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("no disk");
        assert_eq!(chain(&Outer(inner)), "can't begin: no disk");
        assert_eq!(chain(&std::io::Error::other(std::io::Error::other("no disk"))), "no disk");
    }
}
