//! The command line, and which command runs for it.

use clap::{Parser, Subcommand};

use crate::{
    EXIT_CODES, Failure, adopt, audit, bench, demo, import, parked, read, rebuild, replay, simulate, soak,
    tail, unpark, up,
};

/// An event store on S3, Kinesis and Lambda: fill it, look into it, mend it.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Demo(demo::Args),
    Soak(soak::Args),
    Bench(bench::Args),
    Simulate(simulate::Args),
    Adopt(adopt::Args),
    Import(import::Args),
    Read(read::Args),
    Tail(tail::Args),
    Replay(replay::Args),
    Parked(parked::Args),
    Unpark(unpark::Args),
    Rebuild(rebuild::Args),
    Audit(audit::Args),
}

impl Arguments {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// What went wrong, with what to do next.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Up(args) => up::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Soak(args) => soak::run(args).await,
            Command::Bench(args) => bench::run(args).await,
            Command::Simulate(args) => simulate::run(args).await,
            Command::Adopt(args) => adopt::run(args).await,
            Command::Import(args) => import::run(args).await,
            Command::Read(args) => read::run(args).await,
            Command::Tail(args) => tail::run(args).await,
            Command::Replay(args) => replay::run(args).await,
            Command::Parked(args) => parked::run(args).await,
            Command::Unpark(args) => unpark::run(args).await,
            Command::Rebuild(args) => rebuild::run(args).await,
            Command::Audit(args) => audit::run(args).await,
        }
    }
}
