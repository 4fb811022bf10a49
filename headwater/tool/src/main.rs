//! The `headwater` command: parses the line, runs one command, ends with its exit code.

use std::process::ExitCode;

use clap::Parser;
use headwater_tool::{Arguments, exit, log, usage};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    log();
    // The commands' futures are many kilobytes large.
    exit(Box::pin(arguments.run()).await)
}
