//! The service `users`: registers users under unique names. What it does is in [`producers::users`].

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start(producers::serve(producers::users::app))
}
