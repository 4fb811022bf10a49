//! `headwater tail`: commits as they arrive in Kinesis, until Ctrl-C.
//!
//! 1. Every open shard is read from its newest record on, or every shard from its oldest (`--from-start`).
//! 2. A shard that ends was split or merged: its children are looked up and read from their oldest record, as soon as all
//!    their parents have been read to the end. So a stream's commits come in their order.
//! 3. Each shard is followed by a task of its own (`shard`); what they find is shown in one place, here.

mod line;
mod shard;

use std::{collections::HashMap, sync::Arc, time::Duration};

use clap::Args as Arguments;
use headwater::port::{LogError, Shard, Start};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use self::{line::Found, shard::Follower};
use crate::{
    failure::Failure,
    output::{Output, complain},
    replay::kind,
    target::{Connection, Need, Target},
};

/// Batches that wait to be shown: readers are no faster than whoever reads the output.
const BATCHES: usize = 16;
/// The least time between two listings of the shards.
const LISTING: Duration = Duration::from_secs(1);

/// Show commits as they arrive in Kinesis, until Ctrl-C
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// Begin with the oldest record that Kinesis keeps, instead of the next that arrives
    #[arg(long)]
    pub from_start: bool,
    /// Only streams of this kind, as account
    #[arg(long, value_parser = kind)]
    pub kind: Option<String>,
    /// JSON lines: where and when it arrived, how far behind it was read, and the commit
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

/// Shows commits on stdout until Ctrl-C.
pub async fn run(args: Args) -> Result<(), Failure> {
    let connection = args.target.connect(&[Need::Stream]).await?;
    let mut output = Output::stdout(args.json);
    tokio::select! {
        ended = follow(&connection, args.from_start, args.kind.as_deref(), &mut output) => ended,
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
    }
}

/// Shows commits until the output is closed or Kinesis refuses.
pub async fn follow(
    connection: &Connection,
    from_start: bool,
    kind: Option<&str>,
    output: &mut Output,
) -> Result<(), Failure> {
    let log = &connection.ports.log;
    let (sender, mut found) = mpsc::channel::<Found>(BATCHES);
    let follower = Follower {
        log: Arc::clone(log),
        clock: Arc::clone(&connection.ports.clock),
        entropy: Arc::clone(&connection.ports.entropy),
        pace: connection.pace,
        found: sender,
    };
    let mut shards = Shards::default();
    if !from_start {
        shards.skip(&log.shards().await?);
    }
    let mut followers: JoinSet<Result<String, LogError>> = JoinSet::new();
    let mut listing = interval(LISTING);
    listing.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut incomplete = true;
    loop {
        tokio::select! {
            Some(batch) = found.recv() => show(batch, kind, output)?,
            Some(ended) = followers.join_next() => {
                let shard = ended.map_err(|error| Failure::Other(error.into()))??;
                shards.ended(&shard);
                incomplete = true;
            }
            _ = listing.tick(), if incomplete => match log.shards().await {
                Ok(listed) => {
                    for (shard, start) in shards.ready(&listed) {
                        followers.spawn(follower.clone().follow(shard, start));
                    }
                    incomplete = followers.is_empty();
                }
                Err(LogError::Unknown(reason)) => complain(&format!("the shards are not known: {reason}")),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

fn show(batch: Found, kind: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    if let Some(trouble) = &batch.trouble {
        complain(trouble);
    }
    for line in batch.lines(kind) {
        match line {
            Ok(line) => output.line(&line)?,
            Err(stray) => complain(&stray),
        }
    }
    output.flush()
}

/// What is known of each shard.
#[derive(Debug, Default)]
struct Shards(HashMap<String, Place>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is to be read from its newest record on.
    Tip,
    /// It is being read.
    Followed,
    /// It was read to its end, or is none of ours.
    Ended,
}

impl Shards {
    /// Leaves out what has arrived: closed shards, and the older part of open ones.
    fn skip(&mut self, listed: &[Shard]) {
        let place = |shard: &Shard| if shard.closed { Place::Ended } else { Place::Tip };
        self.0.extend(listed.iter().map(|shard| (shard.id.clone(), place(shard))));
    }

    fn ended(&mut self, shard: &str) {
        self.0.insert(shard.to_owned(), Place::Ended);
    }

    /// The shards that can be read now and are not yet: those without a parent that is still to be read. A parent that
    /// is not listed any more has no records left.
    fn ready(&mut self, listed: &[Shard]) -> Vec<(String, Start)> {
        let mut ready = Vec::new();
        for shard in listed {
            let ended = |parent: &String| {
                self.0.get(parent) == Some(&Place::Ended) || !listed.iter().any(|other| other.id == *parent)
            };
            let start = match self.0.get(&shard.id) {
                None if shard.parents.iter().all(ended) => Start::Oldest,
                Some(Place::Tip) => Start::Latest,
                _ => continue,
            };
            self.0.insert(shard.id.clone(), Place::Followed);
            ready.push((shard.id.clone(), start));
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str], closed: bool) -> Shard {
        Shard {
            id: id.to_owned(),
            parents: parents.iter().map(|&parent| parent.to_owned()).collect(),
            closed,
        }
    }

    fn ids(ready: &[(String, Start)]) -> Vec<(&str, &Start)> {
        ready.iter().map(|(id, start)| (id.as_str(), start)).collect()
    }

    #[test]
    fn children_wait_for_all_their_parents() {
        let listed = [
            shard("a", &[], true),
            shard("b", &[], true),
            shard("c", &["a", "b"], false),
            shard("d", &["x"], false),
        ];
        let mut shards = Shards::default();
        let oldest = &Start::Oldest;
        assert_eq!(ids(&shards.ready(&listed)), [("a", oldest), ("b", oldest), ("d", oldest)]);
        shards.ended("b");
        assert_eq!(ids(&shards.ready(&listed)), []);
        shards.ended("a");
        assert_eq!(ids(&shards.ready(&listed)), [("c", oldest)]);
        assert_eq!(ids(&shards.ready(&listed)), []);
    }

    #[test]
    fn the_newest_records_come_from_open_shards_and_from_children_that_come_later() {
        let before = [shard("a", &[], true), shard("b", &["a"], false)];
        let mut shards = Shards::default();
        shards.skip(&before);
        assert_eq!(ids(&shards.ready(&before)), [("b", &Start::Latest)]);
        shards.ended("b");
        let after = [shard("b", &["a"], true), shard("c", &["b"], false)];
        assert_eq!(ids(&shards.ready(&after)), [("c", &Start::Oldest)]);
    }
}
