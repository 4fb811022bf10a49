//! `headwater parked`: the streams that stand still in a view, because an event of theirs could not be applied.

use std::collections::BTreeSet;

use clap::Args as Arguments;
use headwater::{
    StreamId, Version,
    consume::{self, ParkedStream},
    format::key,
    read::Reader,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    event::time,
    failure::Failure,
    output::{Line, Output, Paint, plain},
    target::{Connection, Need, Target},
};

/// List the streams that are parked: an event of theirs could not be applied to a view
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// Of this projection only
    pub projection: Option<String>,
    /// JSON lines: projection, key, stream, version, at, error
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// Lists the parked streams on stdout.
pub async fn run(args: Args) -> Result<(), Failure> {
    let connection = args.target.connect(&[Need::Store]).await?;
    show(&connection, args.projection, &mut Output::stdout(args.json)).await
}

/// Lists the parked streams of one projection, or of all that have a view.
pub async fn show(
    connection: &Connection,
    projection: Option<String>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut projections = projections(&Reader::new(&connection.ports)).await?;
    if let Some(only) = projection {
        if !projections.contains(&only) {
            output.heading(&format!("there are no views of {only}: nothing of it can be parked"))?;
            return output.flush();
        }
        projections = BTreeSet::from([only]);
    }
    let mut found = false;
    for projection in &projections {
        for ParkedStream { key, stream, parked } in consume::parked(&connection.ports, projection).await? {
            found = true;
            let (version, at, error) = (parked.version, parked.at, &parked.error);
            output.line(&Parked { projection, key: &key, stream: &stream, version, at, error })?;
        }
    }
    if !found {
        output.heading("nothing is parked")?;
    }
    output.flush()
}

/// The projections that have a view, whichever generations it has.
async fn projections(reader: &Reader) -> Result<BTreeSet<String>, Failure> {
    let folders = reader.folders(key::VIEWS).await?;
    Ok(folders.iter().filter_map(|folder| key::projection_of(folder)).collect())
}

/// A parked stream as a line.
#[derive(Debug, Serialize)]
struct Parked<'a> {
    projection: &'a str,
    key: &'a str,
    stream: &'a StreamId,
    version: Version,
    at: Timestamp,
    error: &'a str,
}

impl Line for Parked<'_> {
    fn human(&self, paint: Paint) -> String {
        let place = format!("{} {} {}", self.projection, self.key, self.stream);
        let (place, at) = (paint.key(plain(&place)), paint.dim(time(self.at)));
        format!("{place}  at version {} since {at}: {}", self.version, paint.bad(plain(self.error)))
    }
}
