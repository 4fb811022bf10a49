//! A commit that arrived, as a line: `shard 3  0.2 s  account/42  17  Credited, Closed  {…}`.

use std::{sync::Arc, time::Duration};

use headwater::{
    CommitId, StoredEvent, StreamId, Version,
    format::{
        commit::{Commit, Meta},
        record::Record,
    },
    port::Arrival,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    event::one_line,
    output::{Line, Paint, plain},
};

/// Records of one shard, in their order.
pub(super) struct Found {
    pub(super) records: Vec<Arrival>,
    /// How far the reader is behind the newest record.
    pub(super) behind: Duration,
    /// When they were read.
    pub(super) now: Timestamp,
    /// What is to be told meanwhile.
    pub(super) trouble: Option<String>,
}

impl Found {
    /// A line per commit of streams of `kind`, or of all; and what to say of a record that is no commit.
    pub(super) fn lines(self, kind: Option<&str>) -> Vec<Result<CommitLine, String>> {
        let mut lines = Vec::new();
        for arrival in self.records {
            let Arrival { shard, sequence, at: arrived, data, .. } = arrival;
            match Record::decode(&data) {
                Ok(record) if kind.is_none_or(|kind| record.kind == kind) => {
                    lines.extend(record.commits.iter().map(|commit| {
                        Ok(CommitLine {
                            shard: shard.clone(),
                            sequence: sequence.to_string(),
                            arrived,
                            lag_ms: self.now.duration_since(arrived).as_millis().max(0),
                            behind_ms: self.behind.as_millis(),
                            stream: record.stream.clone(),
                            first: commit.first,
                            last: commit.last,
                            commit: commit.id.clone(),
                            at: commit.at,
                            events: events(commit),
                            meta: commit.meta.clone(),
                        })
                    }));
                }
                Ok(_) => {}
                Err(error) => lines.push(Err(format!(
                    "{shard} {sequence}: {error} (the archiver puts it into quarantine, consumers pass it over)"
                ))),
            }
        }
        lines
    }
}

/// The events, each with its data on one line.
fn events(commit: &Arc<Commit>) -> Vec<StoredEvent> {
    let flat =
        |event: &StoredEvent| StoredEvent { data: one_line(&event.data).into_owned(), ..event.clone() };
    commit.events.iter().map(flat).collect()
}

/// One commit and where it arrived.
#[derive(Debug, Serialize)]
pub(super) struct CommitLine {
    shard: String,
    sequence: String,
    arrived: Timestamp,
    /// How long ago it had arrived when it was read.
    lag_ms: i128,
    /// How far the reader is behind the newest record.
    behind_ms: u128,
    stream: StreamId,
    first: Version,
    last: Version,
    commit: CommitId,
    at: Timestamp,
    events: Vec<StoredEvent>,
    meta: Meta,
}

impl Line for CommitLine {
    fn human(&self, paint: Paint) -> String {
        let shard = self.shard.trim_start_matches("shardId-").trim_start_matches('0');
        let shard = format!("shard {:<4}", if shard.is_empty() { "0" } else { shard });
        let lag = format!("{:>9}", seconds(self.lag_ms));
        let versions = match (self.first, self.last) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let event =
            |event: &StoredEvent| format!("{} {}", paint.key(plain(&event.name)), plain(event.data.get()));
        let events: Vec<String> = self.events.iter().map(event).collect();
        let (shard, lag, stream) = (paint.dim(plain(&shard)), paint.dim(lag), plain(self.stream.as_str()));
        format!("{shard} {lag}  {stream} @{versions}  {}", events.join(", "))
    }
}

/// A span as people say it: `0.2 s`, `3 min`, `2 h`.
fn seconds(milliseconds: i128) -> String {
    match milliseconds {
        ..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_as_people_do() {
        assert_eq!(
            [0, 240, 59_999, 60_000, 7_300_000].map(seconds),
            ["0.0 s", "0.2 s", "59.9 s", "1 min", "2 h"]
        );
    }
}
