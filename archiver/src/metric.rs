//! What the archiver and the relay count and measure, beside [`headwater::metric`].
//!
//! | metric | unit | emitted by | what it says |
//! |---|---|---|---|
//! | [`ARCHIVED_COMMITS`] | count | archiver | commits in segments that it wrote |
//! | [`SEGMENTS`] | count | archiver | segments that it wrote |
//! | [`SEGMENT_BYTES`] | bytes | archiver | the size of each |
//! | [`QUARANTINED`] | count | archiver | records that are no commits |
//! | [`RELAY_LAG`] | seconds | relay | a pass's beginning less the watermark that stands after it, by S3's clock |
//! | [`RELAY_PUBLISHED`] | count | relay | commits that nobody had published |

use metrics::{Unit, describe_counter, describe_histogram};

/// Commits in segments.
pub const ARCHIVED_COMMITS: &str = "ArchivedCommits";
/// Segments.
pub const SEGMENTS: &str = "Segments";
/// The size of each segment.
pub const SEGMENT_BYTES: &str = "SegmentBytes";
/// Records that are no commits.
pub const QUARANTINED: &str = "Quarantined";
/// How far the watermark is behind.
pub const RELAY_LAG: &str = "RelayLag";
/// Commits that nobody had published.
pub const RELAY_PUBLISHED: &str = "RelayPublished";

/// Tells the recorder that is installed what each of them is, and in which unit.
pub fn describe() {
    let counters = [
        (ARCHIVED_COMMITS, "commits in segments"),
        (SEGMENTS, "segments"),
        (QUARANTINED, "records that are no commits"),
        (RELAY_PUBLISHED, "commits that nobody had published"),
    ];
    for (name, words) in counters {
        describe_counter!(name, Unit::Count, words);
    }
    describe_histogram!(SEGMENT_BYTES, Unit::Bytes, "the size of each segment");
    describe_histogram!(RELAY_LAG, Unit::Seconds, "how far the watermark is behind");
}
