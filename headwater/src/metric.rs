//! What is counted and measured, through the [`metrics`] facade: whoever installs a recorder gets it, and without one it
//! costs nothing.
//!
//! | metric | unit | emitted by | what it says |
//! |---|---|---|---|
//! | [`COMMITS`] | count | writers | commits that stand in S3, each once |
//! | [`CONFLICTS`] | count | writers | swaps that lost against another writer's, or against a fence |
//! | [`HELPS`] | count | writers | newest writes that were published for whoever left them |
//! | [`PUBLISH_RETRIES`] | count | writers | records that Kinesis did not take, and that were sent again |
//! | [`PENDING`] | count | writers | commits that were answered before Kinesis had them |
//! | [`RECORD_BYTES`] | bytes | writers | the size of each record that Kinesis took |
//! | [`APPLIED`] | count | consumers | commits that a view, or a process, has taken in |
//! | [`HEALED`] | count | consumers | those of them that no record brought, and that were read from the stream's head |
//! | [`PARKED`] | count | consumers | streams that were parked |
//! | [`FOREIGN`] | count | consumers, archiver | records of another store, which change nothing |
//! | [`LAG`] | milliseconds | consumers, archiver | now less the arrival of a batch's oldest record, at the batch's end |
//!
//! None has a label: what a metric is of, its recorder knows.

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::port::{Arrival, Clock};

/// Commits that stand in S3.
pub const COMMITS: &str = "Commits";
/// Swaps that lost.
pub const CONFLICTS: &str = "Conflicts";
/// Newest writes that were published for whoever left them.
pub const HELPS: &str = "Helps";
/// Records that were sent again.
pub const PUBLISH_RETRIES: &str = "PublishRetries";
/// Commits that were answered before Kinesis had them.
pub const PENDING: &str = "Pending";
/// The size of each record that Kinesis took.
pub const RECORD_BYTES: &str = "RecordBytes";
/// Commits that were taken in.
pub const APPLIED: &str = "Applied";
/// Commits that were read from a head.
pub const HEALED: &str = "Healed";
/// Streams that were parked.
pub const PARKED: &str = "Parked";
/// Records of another store.
pub const FOREIGN: &str = "Foreign";
/// How far a batch is behind.
pub const LAG: &str = "Lag";

/// Tells the recorder that is installed what each of them is, and in which unit.
pub fn describe() {
    let counters = [
        (COMMITS, "commits that stand in S3"),
        (CONFLICTS, "swaps that lost"),
        (HELPS, "newest writes that were published for whoever left them"),
        (PUBLISH_RETRIES, "records that were sent again"),
        (PENDING, "commits that were answered before Kinesis had them"),
        (APPLIED, "commits that were taken in"),
        (HEALED, "commits that were read from a head"),
        (PARKED, "streams that were parked"),
        (FOREIGN, "records of another store"),
    ];
    for (name, words) in counters {
        describe_counter!(name, Unit::Count, words);
    }
    describe_histogram!(RECORD_BYTES, Unit::Bytes, "the size of each record that Kinesis took");
    describe_histogram!(LAG, Unit::Milliseconds, "how far a batch is behind");
}

/// Counts.
pub fn count(name: &'static str, by: usize) {
    if by > 0 {
        counter!(name).increment(by as u64);
    }
}

/// Measures a size; one of 4 GiB or more is told as that.
pub fn bytes(name: &'static str, bytes: usize) {
    histogram!(name).record(u32::try_from(bytes).unwrap_or(u32::MAX));
}

/// Measures how far a batch is behind, now that it ends.
pub fn lag(clock: &dyn Clock, batch: &[Arrival]) {
    if let Some(oldest) = batch.iter().map(|arrival| arrival.at).min() {
        // Another machine's clock told the arrival: it may be ahead.
        let lag = clock.now().duration_since(oldest).as_secs_f64().max(0.0);
        histogram!(LAG).record(lag * 1e3);
    }
}
