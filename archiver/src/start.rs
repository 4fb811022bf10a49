//! How both functions start: by [`telemetry::start`], on one thread.

use std::process::ExitCode;

use lambda_runtime::Error;
use telemetry::Threads;

use crate::metric;

/// Runs `serve` to its end; an error is printed in one line, and the exit code is 1.
pub fn start(serve: impl Future<Output = Result<(), Error>>) -> ExitCode {
    telemetry::start(Threads::One, async {
        metric::describe();
        serve.await
    })
}
