//! The memory of every process, sampled: what it has resident, for each role a series.
//!
//! A *role* is a service, a Lambda, or this process, which holds the local AWS. This one keeps all objects and records in
//! memory, and what the clients were told besides: it grows with the data, and is shown and not judged.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::flat::{Sample, Verdict, judge};
use crate::cluster::Process;

/// The role of this process.
pub const LOCAL_AWS: &str = "local AWS";

/// What a Lambda's role ends in.
pub(super) const LAMBDA: &str = " (Lambda)";

/// Every series.
pub(super) struct Memory {
    system: System,
    own: u32,
    series: BTreeMap<(String, u32), Vec<Sample>>,
}

/// What the processes of a role had, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleMemory {
    /// The role.
    pub role: String,
    /// Processes that it had in all, one after the other.
    pub processes: usize,
    /// The most that one had after a third of the time.
    pub third: u64,
    /// After two thirds.
    pub two_thirds: u64,
    /// At the end.
    pub end: u64,
    /// At any time.
    pub most: u64,
    /// Whether it is bounded, by the rule of [`judge`]; of several processes, the worst counts.
    pub verdict: Verdict,
}

impl Memory {
    pub(super) fn new() -> Result<Self, sysinfo::Error> {
        Ok(Self { system: System::new()?, own: std::process::id(), series: BTreeMap::new() })
    }

    /// Takes a sample of every process, `at` since the beginning.
    pub(super) fn sample(&mut self, at: Duration, processes: &[Process]) {
        let own = (LOCAL_AWS.to_owned(), self.own);
        let others = processes.iter().map(|process| (role(process), process.id));
        let keys: Vec<(String, u32)> = others.chain([own]).collect();
        let ids: Vec<Pid> = keys.iter().map(|(_, id)| Pid::from_u32(*id)).collect();
        let memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&ids), true, memory);
        for (key, id) in keys.into_iter().zip(ids) {
            // One that is dying has nothing any more.
            if let Some(bytes) =
                self.system.process(id).map(sysinfo::Process::memory).filter(|bytes| *bytes > 0)
            {
                self.series.entry(key).or_default().push(Sample { at, bytes });
            }
        }
    }

    /// The most that a process of these roles has now, in bytes.
    pub(super) fn now(&self, roles: impl Fn(&str) -> bool) -> u64 {
        let newest = self.series.values().filter_map(|samples| samples.last()).map(|sample| sample.at).max();
        let roles = self.series.iter().filter(|((role, _), _)| roles(role));
        let last = roles.filter_map(|(_, samples)| samples.last().filter(|last| Some(last.at) == newest));
        last.map(|sample| sample.bytes).max().unwrap_or_default()
    }

    /// Every role, after `time` in all.
    pub(super) fn roles(&self, time: Duration) -> Vec<RoleMemory> {
        let mut roles: BTreeMap<&str, Vec<&[Sample]>> = BTreeMap::new();
        for ((role, _), samples) in &self.series {
            roles.entry(role).or_default().push(samples);
        }
        let roles = roles.into_iter().map(|(role, series)| {
            let near = |at: Duration| {
                let within = Duration::from_secs(10).min(time / 6);
                let near = |sample: &&Sample| sample.at.abs_diff(at) <= within;
                let most = |samples: &&[Sample]| samples.iter().filter(near).map(|sample| sample.bytes).max();
                series.iter().filter_map(most).max().unwrap_or_default()
            };
            let verdict = if role == LOCAL_AWS {
                Verdict::NotJudged
            } else {
                series.iter().map(|samples| judge(samples)).fold(Verdict::NotJudged, Verdict::and)
            };
            RoleMemory {
                role: role.to_owned(),
                processes: series.len(),
                third: near(time / 3),
                two_thirds: near(time * 2 / 3),
                end: near(time),
                most: series
                    .iter()
                    .flat_map(|samples| samples.iter())
                    .map(|sample| sample.bytes)
                    .max()
                    .unwrap_or_default(),
                verdict,
            }
        });
        roles.collect()
    }
}

fn role(process: &Process) -> String {
    let suffix = if process.lambda { LAMBDA } else { "" };
    format!("{}{suffix}", process.name)
}
