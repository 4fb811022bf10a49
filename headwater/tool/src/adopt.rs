//! `headwater adopt`: a bucket becomes a store, which knows its stream and its archive.
//!
//! A store that a version wrote before stores had an identity gets one so, and one that is begun on empty buckets by hand. A
//! second time changes nothing.

use clap::Args as Arguments;
use headwater::format::identity::{Identity, Names};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Line, Output, Paint, plain},
    target::{Need, Target, Unreachable},
};

/// Make a bucket a store: write its store.json, which names its stream and its archive
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The identity as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the store is. A bucket that is no store yet needs --stream and --archive.
    #[command(flatten)]
    pub target: Target,
}

/// Gives the store an identity, unless it has one, and shows it on stdout.
pub async fn run(args: Args) -> Result<(), Failure> {
    let unnamed = [("--stream", &args.target.stream), ("--archive", &args.target.archive)];
    if let Some((flag, _)) = unnamed.into_iter().find(|(_, given)| given.is_none())
        && args.target.connect(&[Need::Store]).await?.identity.is_none()
    {
        return Err(Unreachable::Unnamed { flag }.into());
    }
    let connection = args.target.connect(&[Need::Store, Need::Archive, Need::Stream]).await?;
    let Names { store, archive, .. } = &connection.names;
    if store == archive {
        return Err(Failure::OneBucket { store: store.clone() });
    }
    let identity = connection.adopt().await?;
    let mut output = Output::stdout(args.json);
    output.line(&Adopted { identity: &identity })?;
    output.flush()
}

/// The identity as a line.
#[derive(Serialize)]
#[serde(transparent)]
struct Adopted<'a> {
    identity: &'a Identity,
}

impl Line for Adopted<'_> {
    fn human(&self, paint: Paint) -> String {
        let Identity { id, names, adopted, .. } = self.identity;
        let old = if *adopted { "; records without an id are taken for its own" } else { "" };
        format!(
            "{} is the store {id}: stream {}, archive {}{old}",
            paint.key(plain(&names.store)),
            plain(&names.stream),
            plain(&names.archive)
        )
    }
}
