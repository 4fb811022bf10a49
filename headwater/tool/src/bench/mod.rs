//! `headwater bench`: how fast, beside the floor: the same work done bare, in the same run.
//!
//! 1. [`Row`] names what can be measured; each is a module of this folder and answers with [`Figure`]s;
//! 2. a row does its work and its floor in turn ([`rounds`]), so that what the machine does meanwhile meets both, and the
//!    ratio is taken pair by pair;
//! 3. a figure is shown when it is known, with its goal, if it has one.
//!
//! A goal that is missed is no failure: machines differ. Exit code 1 says that something could not be measured.

#![allow(clippy::cast_precision_loss, reason = "what is counted here is far below 2^53")]

mod append;
mod archive;
mod bare;
mod batches;
mod columns;
pub mod cost;
mod end_to_end;
pub mod figure;
mod growth;
pub mod history;
mod hot;
mod import;
mod memory;
mod one_core;
mod project;
mod records;
mod replay;
pub mod rounds;
mod start;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

pub use self::figure::{Figure, Goal, Ratio};
use crate::{Failure, Output, up::stopped};

/// Measure how fast it is, each figure beside its floor: the same work done bare, in the same run
///
/// A ratio is taken round by round, and its median shown. On a machine that does other work meanwhile, ratios are worth more
/// than rates.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to measure; all of it without a name
    #[arg(value_name = "NAME", value_enum)]
    names: Vec<Row>,
    /// A hundredth of the work: it shows that all can be measured, and its figures say nothing
    #[arg(long)]
    brief: bool,
    /// The history that `import` imports, as JSON lines; one of the same shape is made without it
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// A JSON object a figure
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// Commands on streams of their own, all of them known to the process
    Append,
    /// Commands on one stream
    Hot,
    /// Records to segments
    Archive,
    /// Segments to typed events
    Replay,
    /// Records to views
    Project,
    /// A history to streams
    Import,
    /// Loads, where streams are many or long
    Growth,
    /// The most memory that a Lambda has, at its largest batch
    Memory,
    /// From a Lambda's start to its first question for work
    Start,
    /// From a command's answer to the view that shows it
    EndToEnd,
    /// Requests and bytes, and what AWS takes for them
    Cost,
}

/// How much is to be done, and where progress goes.
#[derive(Debug)]
pub struct Bench {
    /// Do a hundredth.
    pub brief: bool,
    /// The history to be imported, if not one that is made.
    pub history: Option<PathBuf>,
    /// Shows what is being done.
    pub bar: ProgressBar,
}

impl Bench {
    /// So many of something; in brief a hundredth of it, but at least one.
    pub fn many(&self, whole: usize) -> usize {
        if self.brief { (whole / 100).max(1) } else { whole }
    }

    /// So many rounds; in brief one.
    pub fn rounds(&self, whole: usize) -> usize {
        if self.brief { 1 } else { whole }
    }

    /// Says what is being done.
    pub fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }
}

/// Why something could not be measured.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures, and shows each row when it is known.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut rows = args.names;
    rows.sort();
    rows.dedup();
    if rows.is_empty() {
        rows = <Row as clap::ValueEnum>::value_variants().to_vec();
    }
    let bench = Bench { brief: args.brief, history: args.history, bar: bar(rows.len() as u64) };
    let mut output = Output::stdout(args.json);
    for row in rows {
        let name = name(row);
        bench.bar.set_prefix(name.clone());
        bench.say("");
        let figures = tokio::select! {
            figures = row.measure(&bench) => figures.map_err(Failure::Other)?,
            told = stopped() => return Err(told.map_or_else(|error| Failure::Other(error.into()), |()| Failure::Stopped)),
        };
        bench.bar.suspend(|| {
            output.heading(&name)?;
            for figure in &figures {
                output.line(figure)?;
            }
            output.flush()
        })?;
        bench.bar.inc(1);
    }
    bench.bar.finish_and_clear();
    Ok(())
}

impl Row {
    /// Measures this.
    pub async fn measure(self, bench: &Bench) -> Result<Vec<Figure>, Error> {
        match self {
            Self::Append => append::measure(bench).await,
            Self::Hot => hot::measure(bench).await,
            Self::Archive => archive::measure(bench).await,
            Self::Replay => replay::measure(bench).await,
            Self::Project => project::measure(bench).await,
            Self::Import => import::measure(bench).await,
            Self::Growth => growth::measure(bench).await,
            Self::Memory => memory::measure(bench).await,
            Self::Start => start::measure(bench).await,
            Self::EndToEnd => end_to_end::measure(bench).await,
            Self::Cost => cost::measure(bench).await,
        }
    }
}

fn name(row: Row) -> String {
    clap::ValueEnum::to_possible_value(&row).map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn bar(rows: u64) -> ProgressBar {
    let bar = ProgressBar::new(rows);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {prefix}: {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
