//! `headwater read`: the events of one stream, in version order.

use clap::Args as Arguments;
use futures::TryStreamExt;
use headwater::{
    StreamId, Version,
    read::{HeadRead, Reader},
};

use crate::{
    event,
    failure::Failure,
    output::Output,
    target::{Connection, Need, Target},
};

/// Show the events of a stream
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The stream, as account/42
    #[arg(id = "name", value_name = "STREAM")]
    pub stream: StreamId,
    /// Begin at this version
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    pub from: u64,
    /// JSON lines: stream, version, type, schema, data, commit, at, meta
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// Shows the stream on stdout.
pub async fn run(args: Args) -> Result<(), Failure> {
    let connection = args.target.connect(&[Need::Store]).await?;
    show(&connection, &args.stream, Version::new(args.from), &mut Output::stdout(args.json)).await
}

/// Shows the events of `stream` from version `from` on.
pub async fn show(
    connection: &Connection,
    stream: &StreamId,
    from: Version,
    output: &mut Output,
) -> Result<(), Failure> {
    let reader = Reader::new(&connection.ports);
    let mut commits = std::pin::pin!(reader.stream(stream.clone(), from));
    let mut found = false;
    while let Some(commit) = commits.try_next().await? {
        if !found {
            output.heading("version  at                        type                      data")?;
        }
        found = true;
        for line in event::lines(stream, &commit, from, false) {
            output.line(&line)?;
        }
    }
    output.flush()?;
    if !found && matches!(reader.head(stream, None).await?, HeadRead::Missing) {
        return Err(Failure::NoStream { stream: stream.clone(), bucket: connection.names.store.clone() });
    }
    Ok(())
}
