//! Headwater beside what a team would use or write instead: the same bank, the same commands, in the same run.
//!
//! 1. [`bank`] says what is done, [`store`] where: [`ours`], or [`cqrs`] on [`dynamo`] or [`postgres`];
//! 2. [`speed`], [`cost`], [`writers`] and [`crash`] do it and look, through [`proxy`] and [`wire`] where it is counted;
//! 3. [`archiver`] compares archivers;
//! 4. [`compare`] does all that, and shows a [`table`] each when it is known.
//!
//! `tests/peers/run` starts what it needs: `MiniStack`, `PostgreSQL` if it is installed, Python with pyarrow. `docs/peers.md` says
//! what came out.

mod archiver;
mod bank;
mod compare;
mod cost;
mod cqrs;
mod crash;
mod dynamo;
mod effort;
mod embedded;
mod ours;
mod postgres;
mod proxy;
mod speed;
mod store;
mod table;
mod wire;
mod writers;

use std::process::ExitCode;

use clap::Parser;

/// Headwater beside its peers.
#[derive(Debug, Parser)]
enum Arguments {
    /// Compare them.
    Compare(compare::Compare),
    /// Be an AWS for those who compare.
    Serve(embedded::Serve),
    /// Commit, hang, and be killed.
    Victim(crash::Victim),
}

#[tokio::main]
async fn main() -> ExitCode {
    let ran = match Arguments::parse() {
        Arguments::Compare(compare) => compare.run().await,
        Arguments::Serve(serve) => serve.run().await,
        Arguments::Victim(victim) => victim.run().await,
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
