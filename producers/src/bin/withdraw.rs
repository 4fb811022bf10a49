//! The service `withdraw`: gives money out. What it does is in [`producers::withdraw`].

use std::process::ExitCode;

fn main() -> ExitCode {
    service::start(producers::serve(producers::withdraw::app))
}
