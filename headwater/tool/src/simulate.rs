//! `headwater simulate`: the whole in a world of its own, one run for each seed, every promise checked.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use clap::Args as Arguments;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;
use simulation::{Finding, Report};

use crate::{
    failure::Failure,
    output::{Line, Output, Paint, plain},
};

/// Broken seeds after which it is enough.
const ENOUGH: usize = 10;

/// Run the whole in a simulated world, one run for each seed, and check every promise
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    /// The first of them
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub from: u64,
    /// Show what happened in each run that broke a promise; with one seed, in any case
    #[arg(long)]
    pub trace: bool,
    /// JSON lines: each broken promise, then the summary
    #[arg(long)]
    pub json: bool,
}

/// Some promises were broken.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the seeds broke a promise: run one of them again with --from SEED --seeds 1 --trace")]
pub struct Broken(usize);

/// Runs the seeds and shows what they broke. An error if they broke anything.
pub async fn run(args: Args) -> Result<(), Failure> {
    let simulated = tokio::task::spawn_blocking(move || simulate(&args));
    simulated.await.map_err(|error| Failure::Other(error.into()))?
}

fn simulate(args: &Args) -> Result<(), Failure> {
    let mut output = Output::stdout(args.json);
    let bar = ProgressBar::new(args.seeds.into());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} seeds {elapsed}, {eta} to go {msg}")
    {
        bar.set_style(style);
    }
    let mut summary = Summary::default();
    let mut shown = Ok(());
    let end = args.from.saturating_add(args.seeds.into());
    simulation::many(args.from..end, |report| {
        summary.add(&report);
        bar.inc(1);
        shown = bar.suspend(|| show(args, &report, &mut output));
        if shown.is_err() || summary.broken >= ENOUGH {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .map_err(|error| Failure::Other(error.into()))?;
    bar.finish_and_clear();
    shown?;
    output.line(&summary)?;
    output.flush()?;
    if summary.broken > 0 { Err(Failure::Other(Broken(summary.broken).into())) } else { Ok(()) }
}

fn show(args: &Args, report: &Report, output: &mut Output) -> Result<(), Failure> {
    let broken = !report.findings.is_empty();
    if (args.trace && (broken || args.seeds == 1)) && !args.json {
        for line in report.trace.lines() {
            output.heading(line)?;
        }
    }
    for finding in &report.findings {
        output.line(&BrokenPromise { seed: report.seed, finding })?;
    }
    output.flush()
}

/// A broken promise as a line.
#[derive(Debug, Serialize)]
struct BrokenPromise<'a> {
    seed: u64,
    #[serde(flatten)]
    finding: &'a Finding,
}

impl Line for BrokenPromise<'_> {
    fn human(&self, paint: Paint) -> String {
        format!("seed {}: {}", paint.key(self.seed), paint.bad(plain(&self.finding.to_string())))
    }
}

/// What all runs came to.
#[derive(Debug, Default, Serialize)]
struct Summary {
    seeds: u64,
    /// Of them, those that broke a promise.
    broken: usize,
    /// Simulated time of all runs together.
    simulated_seconds: u64,
    /// How often what happened.
    counts: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.broken += usize::from(!report.findings.is_empty());
        self.simulated_seconds += report.elapsed.as_secs();
        for (what, times) in &report.counts {
            *self.counts.entry(what).or_default() += times;
        }
    }
}

impl Line for Summary {
    fn human(&self, paint: Paint) -> String {
        let time = HumanDuration(Duration::from_secs(self.simulated_seconds));
        let mut lines = vec![format!("{} seeds, {time} of simulated time", HumanCount(self.seeds))];
        let count = |(what, times): (&&str, &u64)| format!("{:>14}  {what}", HumanCount(*times).to_string());
        lines.extend(self.counts.iter().map(count));
        lines.push(match self.broken {
            0 => "every promise was kept".to_owned(),
            broken => paint.bad(format!("{broken} seeds broke a promise")),
        });
        lines.join("\n")
    }
}
