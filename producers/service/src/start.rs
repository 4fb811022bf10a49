//! The outermost step of a binary: logs, runtime, and one line about what went wrong.
//!
//! Logs are JSON lines on stderr, so that stdout stays for what a caller reads. `HEADWATER_LOG` filters them, `info` if not
//! given: failures and what happens once. `info,service=debug` adds a line per request.

use std::{error::Error, io::stderr, process::ExitCode};

use tracing_subscriber::EnvFilter;

/// Any error, on its way to the operator.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Runs a service to its end: `fn main() -> ExitCode { service::start(serve()) }`.
///
/// An error is printed with its causes in one line on stderr, and the exit code is 1.
pub fn start(service: impl Future<Output = Result<(), BoxError>>) -> ExitCode {
    let done = log().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(service)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Begins the logs.
fn log() -> Result<(), BoxError> {
    let directives = std::env::var("HEADWATER_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| format!("HEADWATER_LOG must be levels, as info,service=debug: {error}"))?;
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true);
    subscriber.with_span_list(false).with_env_filter(filter).with_writer(stderr).try_init()
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
