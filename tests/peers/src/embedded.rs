//! The embedded AWS as a process of its own, as `PostgreSQL` is one, with what it keeps in a directory.

use std::{path::PathBuf, process::Stdio};

use localstack::{LocalAws, Options};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::bank::Error;

/// What the process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where it keeps what it is given.
    #[arg(long)]
    data: PathBuf,
}

impl Serve {
    /// Serves until it is killed; the first line says where.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let aws = LocalAws::start(Options { data: Some(self.data), ..Options::for_test() }).await?;
        println!("{}", aws.endpoint());
        std::future::pending().await
    }
}

/// Starts the process; it ends with the handle. Tells where it listens.
pub(crate) async fn start(data: PathBuf) -> Result<(Child, String), Error> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("serve")
        .arg("--data")
        .arg(data)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = process.stdout.take().ok_or("it has no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    Ok((process, line.ok_or("the embedded AWS does not start")?))
}
