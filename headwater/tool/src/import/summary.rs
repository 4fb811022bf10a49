//! What came of an import.

use std::time::Duration;

use indicatif::HumanCount;
use serde::Serialize;

use crate::output::{Line, Paint};

/// What came of an import.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Lines that were read, empty ones aside.
    pub lines: u64,
    /// Different streams among them.
    pub streams: u64,
    /// Commits that were made.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Lines whose commit stood already.
    pub repeats: u64,
    /// Lines that are no commits.
    pub bad: u64,
    /// Lines whose commit exists under their id or at their version, and is another one.
    pub other: u64,
    /// Streams whose newest commits are not known to be in Kinesis.
    pub unpublished: u64,
    /// How long it took.
    pub seconds: f64,
    /// How fast it was.
    pub events_per_second: u64,
}

impl Summary {
    /// Notes how long it took.
    pub(super) fn took(&mut self, time: Duration) {
        let milliseconds = time.as_millis().max(1);
        self.events_per_second =
            u64::try_from(u128::from(self.events) * 1_000 / milliseconds).unwrap_or(u64::MAX);
        self.seconds = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)).as_secs_f64();
    }

    /// What stands beside the progress bar.
    pub(super) fn progress(&self) -> String {
        let Self { events, repeats, .. } = self;
        let repeats =
            if *repeats > 0 { format!(", {} repeats", HumanCount(*repeats)) } else { String::new() };
        format!("{} events{repeats}", HumanCount(*events))
    }
}

impl Line for Summary {
    fn human(&self, paint: Paint) -> String {
        let count = |number: u64| HumanCount(number).to_string();
        let mut text = format!(
            "{} events in {} commits from {} lines for {} streams, {:.1} s ({} events/s)",
            paint.key(count(self.events)),
            count(self.commits),
            count(self.lines),
            count(self.streams),
            self.seconds,
            count(self.events_per_second)
        );
        for (number, what) in [
            (self.repeats, "lines stood already"),
            (self.bad, "bad lines"),
            (self.other, "lines that contradict what exists"),
        ] {
            if number > 0 {
                text = format!("{text}; {} {what}", count(number));
            }
        }
        if self.unpublished > 0 {
            let number = paint.bad(count(self.unpublished));
            let words = "streams have commits that may not be in Kinesis yet: the relay publishes them, or the same import again";
            text = format!("{text}; {number} {words}");
        }
        text
    }
}
