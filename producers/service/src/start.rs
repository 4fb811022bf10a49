//! The outermost step of a service: [`telemetry::start`] on many threads.

use std::process::ExitCode;

pub use telemetry::BoxError;
use telemetry::Threads;

/// Runs a service to its end: `fn main() -> ExitCode { service::start(serve()) }`.
///
/// An error is printed with its causes in one line on stderr, and the exit code is 1.
pub fn start(service: impl Future<Output = Result<(), BoxError>>) -> ExitCode {
    telemetry::start(Threads::Many, service)
}
