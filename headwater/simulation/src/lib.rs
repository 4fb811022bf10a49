//! Headwater in a world of its own: the real library over simulated services and simulated time. One seed is one run.
//!
//! ```text
//!  weather    how bad the world is in this run
//!  world      S3, Kinesis, time and chance, and what everybody has in common
//!  process    a process: its clock, its ports, and what happens to its calls; it can die at any of them
//!  client     people who command, append, load and query, and remember what they were told
//!  mapping    the event source mapping, which hands batches to projections, to a process and to the archiver
//!  moves      that process, and whether each of its commands took effect once
//!  relay      the relay's schedule
//!  rebuilds   people who make a projection's views anew meanwhile
//!  run        all of them together, from the first call until everything is at rest
//!
//!  observed   every effect becomes a line of the trace, and is shown to
//!  watch      which checks the invariants over what stands at that moment
//!  end        which checks them over everything, at rest
//!  history    whether what was told could have been told by one store, one call after another
//! ```
//!
//! Nothing in here waits for real time or asks for real chance, so a run is a function of its seed: [`run()`] gives the same
//! trace for the same seed, byte for byte.
//!
//! ```
//! let report = simulation::run(7)?;
//! assert_eq!(report.findings, []);
//! assert_eq!(simulation::run(7)?.trace, report.trace);
//! # Ok::<(), std::io::Error>(())
//! ```

mod client;
mod end;
pub mod explore;
pub mod history;
pub mod ledger;
mod many;
mod mapping;
mod moves;
pub mod next;
mod observed;
mod process;
mod rebuilds;
mod relay;
mod report;
mod run;
mod trace;
mod watch;
mod weather;
mod world;

pub use self::{
    many::many,
    report::{Finding, Promise, Report},
    run::run,
    weather::Weather,
};
