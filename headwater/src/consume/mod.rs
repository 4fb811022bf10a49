//! Consuming: from a batch of records to views that reflect each commit exactly once (H11).
//!
//! What is delivered may be repeated, late or lost. One [`rule`] makes the result exact all the same, because the stream
//! itself stands in S3 and whatever is missing can be read from its head:
//!
//! 1. `batch` takes what Lambda hands over and answers with what must come again;
//! 2. `decode` turns arrivals into commits, grouped by the view that they feed; `reads` says of which kinds, and what their
//!    events mean;
//! 3. `project` reads each view once;
//! 4. `work` says what is to be done to it, and [`rule`] plans: apply, skip, or heal; `heal` reads what is missing from the stream's head;
//! 5. `fold` applies it all in memory; an event that cannot be applied parks its stream (`park`) in that view;
//! 6. `forward` publishes what follows for others, if the projection derives events;
//! 7. `project` writes the view once, by compare-and-swap, with the versions it reflects in the same object, and `tell` says so.
//!
//! `process` turns events into commands instead of a view, by the same rule: `react` keeps how far it went, and `timer`
//! what it wants to be told of later.
//!
//! `query` answers from the view, and folds what is missing in the request for whoever brings the token of their write.
//!
//! `rebuild` makes all views anew beside those that serve: `generation` says which are written, and which are asked.

mod batch;
mod decode;
mod fold;
mod forward;
mod generation;
mod heal;
mod park;
mod process;
mod project;
mod projection;
mod query;
mod react;
mod reads;
mod rebuild;
pub mod rule;
mod tell;
#[cfg(test)]
mod tests;
mod timer;
mod trace;
mod work;

pub(crate) use self::reads::Types;
pub use self::{
    fold::Rules,
    forward::{Derived, Forward},
    generation::generations,
    park::{ParkedStream, Unparked, parked},
    process::{Cause, Due, Process, ReactError},
    project::Projector,
    projection::{ApplyError, Envelope, Projection},
    query::QueryError,
    react::{Reactor, parked_settings},
    reads::{Kind, RawEvent, Reads, kinds},
    rebuild::{Begin, Cleaned, Rebuild, RebuildError},
    timer::Ticked,
};
