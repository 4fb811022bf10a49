//! The service `transfers`: orders and shows transfers. What it does is in [`producers::transfers`].

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start(producers::serve(producers::transfers::app))
}
