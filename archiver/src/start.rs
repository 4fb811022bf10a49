//! How both functions start: with their logs, and an end that says why.

use std::{io::stderr, process::ExitCode};

use lambda_runtime::Error;
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

/// Logs as `HEADWATER_LOG` says, and runs `serve` to its end on one thread.
pub fn start(serve: impl Future<Output = Result<(), Error>>) -> ExitCode {
    match run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(serve: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let filter = EnvFilter::try_new(std::env::var("HEADWATER_LOG").unwrap_or_else(|_| "info".to_owned()))?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(stderr).try_init()?;
    Builder::new_current_thread().enable_all().build()?.block_on(serve)
}
