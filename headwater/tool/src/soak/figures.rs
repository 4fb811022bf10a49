//! What a soak found, for people and as JSON; and the one line that is shown while it runs.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use serde::Serialize;

use super::{Rate, faults::Kind, flat::Verdict, killer::Deed, memory::RoleMemory};
use crate::{Line, Paint, check::Summary, drive::SoFar};

/// Kinds of faults that the progress line names.
const NAMED: usize = 4;

/// What a soak found.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// How long clients, faults and kills went on, in seconds.
    pub seconds: f64,
    /// Where chance began.
    pub seed: u64,
    /// How many faults there were to be.
    pub rate: Rate,
    /// Requests that the local AWS was asked.
    pub requests: u64,
    /// The faults that some of them met.
    pub faults: BTreeMap<Kind, u64>,
    /// What happened to processes.
    pub deeds: BTreeMap<Deed, u64>,
    /// Commands that were refused after an attempt without an answer, which may have committed.
    pub doubtful: u64,
    /// Batches that a mapping gave up; their streams heal at the next commit.
    pub given_up: u64,
    /// Bytes of the objects in S3 at the end.
    pub object_bytes: u64,
    /// Bytes of the records that Kinesis took in.
    pub record_bytes: u64,
    /// The memory of each role.
    pub memory: Vec<RoleMemory>,
    /// Services of which a process ended by itself, or did not end when it was told to.
    pub unruly: Vec<String>,
    /// What the clients met and what stands, with every violation.
    #[serde(flatten)]
    pub summary: Summary,
}

impl Figures {
    /// Whether every promise was kept, every process lived until it was killed, and memory is bounded.
    pub fn holds(&self) -> bool {
        let grows = |role: &RoleMemory| matches!(role.verdict, Verdict::Grows { .. });
        self.summary.holds() && self.unruly.is_empty() && !self.memory.iter().any(grows)
    }
}

impl Line for Figures {
    fn human(&self, paint: Paint) -> String {
        let mut text = String::new();
        let listed = |pairs: Vec<(&str, u64)>| {
            let pairs: Vec<String> =
                pairs.into_iter().map(|(words, count)| format!("{count} {words}")).collect();
            if pairs.is_empty() { "none".to_owned() } else { pairs.join(", ") }
        };
        let faults = listed(self.faults.iter().map(|(kind, count)| (kind.words(), *count)).collect());
        let total: u64 = self.faults.values().sum();
        let deeds = listed(self.deeds.iter().map(|(deed, count)| (deed.words(), *count)).collect());
        let rows = [
            ("soak", format!("{:.0} s, seed {}", self.seconds, self.seed)),
            ("faults", format!("{total} of {} requests: {faults}", self.requests)),
            ("kills", deeds),
            ("", format!("{} batches given up by a mapping", self.given_up)),
            ("doubtful", format!("{} refused after an attempt without an answer", self.doubtful)),
            (
                "AWS holds",
                format!("{} of objects, {} of records", mib(self.object_bytes), mib(self.record_bytes)),
            ),
        ];
        // Writing to a string does not fail.
        for (name, value) in rows {
            let _ = writeln!(text, "  {} {value}", paint.dim(format!("{name:<10}")));
        }
        let _ = writeln!(text, "\n  {}", paint.dim("memory, MiB            at 1/3     2/3     end    most"));
        for role in &self.memory {
            let _ = write!(text, "  {:<22}", role.role);
            for bytes in [role.third, role.two_thirds, role.end, role.most] {
                let _ = write!(text, " {:>7}", mib(bytes).trim_end_matches(" MiB"));
            }
            let verdict = match role.verdict {
                Verdict::Flat => "flat".to_owned(),
                Verdict::NotJudged => paint.dim("not judged"),
                Verdict::Grows { from, to } => paint.bad(format!("grows from {} to {}", mib(from), mib(to))),
            };
            let _ = writeln!(text, "  {verdict}");
        }
        for service in &self.unruly {
            let _ = writeln!(
                text,
                "\n{}",
                paint.bad(format!("a process of {service} ended by itself, or not at all"))
            );
        }
        let _ = write!(text, "\n{}", self.summary.human(paint));
        text
    }
}

/// What is shown while a soak runs.
pub(super) struct Progress {
    pub(super) at: Duration,
    pub(super) whole: Duration,
    pub(super) so_far: SoFar,
    /// Commands per second since the line before.
    pub(super) rate: f64,
    pub(super) deeds: BTreeMap<Deed, u64>,
    pub(super) faults: BTreeMap<Kind, u64>,
    /// The most that a service's process has, a Lambda's, and this one.
    pub(super) memory: [u64; 3],
}

impl Progress {
    /// One line.
    pub(super) fn line(&self) -> String {
        let Self { at, whole, so_far, rate, deeds, faults, memory: [services, lambdas, aws] } = self;
        let total: u64 = faults.values().sum();
        let mut most: Vec<(Kind, u64)> = faults.iter().map(|(kind, count)| (*kind, *count)).collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let named: Vec<String> =
            most.iter().take(NAMED).map(|(kind, count)| format!("{count} {}", kind.words())).collect();
        let named = if named.is_empty() { String::new() } else { format!(" ({}, …)", named.join(", ")) };
        let deeds: u64 = deeds.values().sum();
        format!(
            "{} of {}: {} commands, {rate:.0}/s, {} retries, {deeds} kills, {total} faults{named}, at most {} a service, {} a Lambda, {} AWS",
            clock(*at),
            clock(*whole),
            so_far.commands,
            so_far.retries,
            mib(*services),
            mib(*lambdas),
            mib(*aws),
        )
    }
}

fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn mib(bytes: u64) -> String {
    let tenths = (bytes * 10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
