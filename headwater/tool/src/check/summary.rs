//! The summary of a check, for people and as JSON.

use std::{fmt::Write, time::Duration};

use headwater::invariants::Invariant;
use serde::Serialize;

use super::Found;
use crate::{
    Line, Paint,
    drive::{Counts, Driven},
};

/// The invariants that are checked.
const CHECKED: [Invariant; 11] = [
    Invariant::H1,
    Invariant::H2,
    Invariant::H3,
    Invariant::H4,
    Invariant::H5,
    Invariant::H6,
    Invariant::H7,
    Invariant::H8,
    Invariant::H9,
    Invariant::H10,
    Invariant::H11,
];
/// Violations that are shown to people; JSON has all.
const SHOWN: usize = 20;

/// What a check found, after what the clients met.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// What the clients met.
    pub commands: Counts,
    /// Commands per second, over HTTP, from first to last.
    pub commands_per_second: f64,
    /// The median time from a command's first request to its answer, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile of it.
    pub p99_ms: f64,
    /// Streams that stand in S3.
    pub streams: u64,
    /// Commits that stand in S3.
    pub commits: u64,
    /// Their events.
    pub events: u64,
    /// Records that Kinesis carried.
    pub records: u64,
    /// Commits that arrived in Kinesis more than once.
    pub repeated_commits: u64,
    /// Segments of the archive.
    pub segments: u64,
    /// Views that were compared.
    pub views: u64,
    /// How long views and archive took to catch up after the last answer, in milliseconds.
    pub lag_ms: f64,
    /// Reads after a write that were compared.
    pub observations: u64,
    /// The invariants that were checked.
    pub checked: Vec<Invariant>,
    /// What was broken, and where.
    pub violations: Vec<String>,
}

impl Summary {
    /// Sums up; `lag` is how long views and archive took to catch up.
    pub(crate) fn new(driven: &Driven, found: &Found, lag: Duration) -> Self {
        let Found { evidence, segments, violations } = found;
        let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        Self {
            commands: driven.counts,
            commands_per_second: Duration::from_secs(driven.latency.len()).div_duration_f64(driven.elapsed),
            p50_ms: millis(driven.latency.value_at_quantile(0.5)),
            p99_ms: millis(driven.latency.value_at_quantile(0.99)),
            streams: evidence.histories.len() as u64,
            commits: evidence.commits(),
            events: evidence.events(),
            records: evidence.records,
            repeated_commits: evidence.repeats(),
            segments: *segments,
            views: evidence.views.len() as u64,
            lag_ms: lag.as_secs_f64() * 1e3,
            observations: driven.observations.len() as u64,
            checked: CHECKED.to_vec(),
            violations: violations.clone(),
        }
    }

    /// Whether every promise was kept.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

impl Line for Summary {
    fn human(&self, paint: Paint) -> String {
        let mut text = String::new();
        let counts = &self.commands;
        let rows = [
            ("commands", format!("{} committed, {} refused by the bank", counts.committed, counts.rejected)),
            (
                "",
                format!(
                    "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
                    self.commands_per_second, self.p50_ms, self.p99_ms
                ),
            ),
            ("repeats", format!("{} of a key, each with its first answer", counts.repeats)),
            (
                "conflicts",
                format!(
                    "{} told to a client, {} requests without an answer, {} answers before the record",
                    counts.conflicts, counts.retries, counts.pending
                ),
            ),
            ("S3", format!("{} streams, {} commits, {} events", self.streams, self.commits, self.events)),
            (
                "Kinesis",
                format!("{} records, {} commits in more than one", self.records, self.repeated_commits),
            ),
            ("views", format!("{}, and {} reads after a write", self.views, self.observations)),
            (
                "archive",
                format!("{} segments, caught up {:.0} ms after the last answer", self.segments, self.lag_ms),
            ),
        ];
        for (name, value) in rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {} {value}", paint.dim(format!("{name:<10}")));
        }
        text.push('\n');
        for invariant in &self.checked {
            let broken =
                self.violations.iter().filter(|found| found.starts_with(&format!("{invariant:?} "))).count();
            let held =
                if broken == 0 { "holds".to_owned() } else { paint.bad(format!("{broken} violations")) };
            let _ = writeln!(
                text,
                "  {} {:<15} {held}",
                paint.key(format!("{:<3}", format!("{invariant:?}"))),
                invariant.promise()
            );
        }
        for violation in self.violations.iter().take(SHOWN) {
            let _ = writeln!(text, "\n{}", paint.bad(violation));
        }
        text.trim_end().to_owned()
    }
}
