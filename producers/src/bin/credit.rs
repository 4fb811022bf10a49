//! The service `credit`: takes money in. What it does is in [`producers::credit`].

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start(producers::serve(producers::credit::app))
}
