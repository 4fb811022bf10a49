//! Loads and commands, where streams are many, and where they are long.
//!
//! 1. `streams`: 1,000 streams in one store, 10,000 and 100,000 in others: the same is done in each, and compared with the first;
//! 2. `events`: streams of 1 event to 100,000, with a snapshot and without. What it has in its head should be all that a load
//!    with a snapshot reads; what has no snapshot reads pages, many at a time.
//!
//! Requests and bytes are counted at the other end of the wire.

mod events;
mod place;
mod streams;

use super::{Bench, Error, Figure};

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let mut figures = streams::measure(bench).await?;
    figures.extend(events::measure(bench).await?);
    Ok(figures)
}
