//! `headwater audit`: everything in heads and pages against everything in the archive, both ways, with every promise that can be
//! checked from outside.
//!
//! 1. [`checks`] are what the bank promises besides: its views, and whatever else is added there;
//! 2. [`archiver::audit`] looks at everything, and says what it finds as it finds it;
//! 3. a summary ends it; the exit code is 0 only if nothing is left to be done and everything that exists was checked.

pub mod checks;

use std::collections::BTreeSet;

use archiver::audit::{Audit, AuditError, Finding, Listener, Summary, check::Part};
use clap::Args as Arguments;
use indicatif::{HumanCount, ProgressBar};
use jiff::SignedDuration;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Line, Output, Paint, counter, plain},
    target::{Connection, Need, Target},
};

/// Compare everything that heads and pages hold with everything in the archive, in Kinesis and in the views
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// Publish the commits that nobody has published, as the relay does
    #[arg(long)]
    pub repair: bool,
    /// JSON lines: finding, place, found, and in the end a summary
    #[arg(long)]
    pub json: bool,
    /// How long views, the archive and publication may be behind, as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = grace)]
    pub grace: SignedDuration,
    /// Where the store is.
    #[command(flatten)]
    pub target: Target,
}

fn grace(text: &str) -> Result<SignedDuration, String> {
    let grace: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    if grace.is_negative() { Err("must not be negative".to_owned()) } else { Ok(grace) }
}

/// Something is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} findings: the lines above name them")]
pub struct Found(u64);

/// Judges a summary: done, findings, or no findings and something that was not checked.
fn judge(summary: &Summary) -> Result<(), Failure> {
    match (summary.findings, summary.unchecked.len()) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Unchecked(list(&summary.unchecked))),
        (findings, _) => Err(Failure::Other(Box::new(Found(findings)))),
    }
}

/// The parts of a store, as text.
fn list(parts: &BTreeSet<Part>) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Objects(error) => error.into(),
            AuditError::Store(error) => error.into(),
            AuditError::Archive(error) => error.into(),
            AuditError::Shard(error) => Self::Other(Box::new(error)),
        }
    }
}

/// Audits, and shows findings and a summary on stdout.
pub async fn run(args: Args) -> Result<(), Failure> {
    let store = if args.repair { Need::Writes } else { Need::Store };
    let connection = args.target.connect(&[store, Need::Archive, Need::Stream]).await?;
    let (bar, mut output) = (counter(), Output::stdout(args.json));
    let summary = show(&connection, args.grace, args.repair, &mut output, &bar).await;
    bar.finish_and_clear();
    judge(&summary?)
}

/// Audits, and shows findings and a summary.
pub async fn show(
    connection: &Connection,
    grace: SignedDuration,
    repair: bool,
    output: &mut Output,
    bar: &ProgressBar,
) -> Result<Summary, Failure> {
    let audit = Audit {
        ports: connection.ports.clone(),
        archive: connection.archive.clone(),
        stream: connection.names.stream.clone(),
        grace,
        checks: checks::all(),
        repair,
    };
    let mut shown = Shown { output, bar, failed: None };
    let summary = audit.run(&mut shown).await;
    // What was found counts, also where nobody reads it to its end.
    read_or_not(shown.failed.map_or(Ok(()), Err))?;
    let summary = summary?;
    read_or_not(output.line(&Summed { summary: &summary }).and_then(|()| output.flush()))?;
    Ok(summary)
}

/// A reader that has gone is no failure.
fn read_or_not(shown: Result<(), Failure>) -> Result<(), Failure> {
    match shown {
        Err(Failure::Closed) => Ok(()),
        shown => shown,
    }
}

/// Shows findings as they come, above the progress.
struct Shown<'a> {
    output: &'a mut Output,
    bar: &'a ProgressBar,
    /// Nobody reads them any more.
    failed: Option<Failure>,
}

impl Listener for Shown<'_> {
    fn begins(&mut self, what: &str, total: Option<u64>) {
        let of = total.map_or(String::new(), |total| format!("of {} ", HumanCount(total)));
        self.bar.set_position(0);
        self.bar.set_message(format!("{of}{what}"));
    }

    fn step(&mut self) {
        self.bar.inc(1);
    }

    fn found(&mut self, finding: &Finding) {
        if self.failed.is_none() {
            let line = || self.output.line(&Told(finding)).and_then(|()| self.output.flush());
            self.failed = self.bar.suspend(line).err();
        }
    }
}

/// A finding as a line.
#[derive(Serialize)]
#[serde(transparent)]
struct Told<'a>(&'a Finding);

impl Line for Told<'_> {
    fn human(&self, paint: Paint) -> String {
        let Finding { finding, place, found, repaired } = self.0;
        let what = if *repaired { paint.dim(finding) } else { paint.bad(finding) };
        format!("{what} {}: {}", paint.key(plain(place)), plain(found))
    }
}

/// The summary as a line.
#[derive(Serialize)]
struct Summed<'a> {
    summary: &'a Summary,
}

impl Line for Summed<'_> {
    fn human(&self, paint: Paint) -> String {
        let Summary { streams, commits, segments, archived, waiting, unpublished, .. } = self.summary;
        let Summary { repaired, quarantined, checked, unchecked, findings, .. } = self.summary;
        let count = |number: &u64| HumanCount(*number).to_string();
        let mut rows = vec![
            ("S3".to_owned(), format!("{} streams, {} commits", count(streams), count(commits))),
            ("archive".to_owned(), format!("{} commits in {} segments", count(archived), count(segments))),
            (
                "behind it".to_owned(),
                format!("{} not archived yet, {} in no record", count(waiting), count(unpublished)),
            ),
            ("quarantine".to_owned(), format!("{} records", count(quarantined))),
        ];
        rows.extend(
            checked.iter().map(|(what, number)| (String::new(), format!("{} {what}", count(number)))),
        );
        if !unchecked.is_empty() {
            rows.push(("unchecked".to_owned(), paint.bad(plain(&list(unchecked)))));
        }
        let end = match (findings, repaired) {
            (0, 0) if unchecked.is_empty() => "nothing is amiss".to_owned(),
            (0, repaired) if unchecked.is_empty() => {
                format!("nothing is amiss after {} repairs", count(repaired))
            }
            (0, _) => paint.bad("nothing, in what was checked; this tool has no code for the rest"),
            (findings, 0) => paint.bad(format!("{} findings", count(findings))),
            (findings, repaired) => {
                paint.bad(format!("{} findings, {} repaired", count(findings), count(repaired)))
            }
        };
        rows.push(("found".to_owned(), end));
        let lines =
            rows.into_iter().map(|(name, value)| format!("  {} {value}", paint.dim(format!("{name:<10}"))));
        lines.collect::<Vec<_>>().join("\n")
    }
}
