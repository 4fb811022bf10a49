//! The service `accounts`: opens, shows and closes accounts. What it does is in [`producers::accounts`].

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start(producers::serve(producers::accounts::app))
}
