//! What a pass has to say: one line of the log, its metrics, and the function's answer.

use jiff::Timestamp;
use metrics::{counter, histogram};
use serde::{Deserialize, Serialize};

use crate::metric;

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Heads that were listed.
    pub heads: u64,
    /// Heads that were stored since the watermark, and longer ago than a minute.
    pub candidates: u64,
    /// Candidates whose newest write was published already.
    pub present: u64,
    /// Candidates whose newest write this pass published.
    pub published: u64,
    /// When the pass began, by S3's clock; `None` where S3 did not say.
    pub began: Option<Timestamp>,
    /// The watermark before the pass.
    pub before: Option<Timestamp>,
    /// The watermark after it.
    pub after: Option<Timestamp>,
    /// Why the watermark stayed, where it should have moved.
    pub stayed: Option<String>,
}

impl Report {
    pub(super) fn measure(&self) {
        counter!(metric::RELAY_PUBLISHED).increment(self.published);
        if let (Some(began), Some(after)) = (self.began, self.after) {
            histogram!(metric::RELAY_LAG).record(began.duration_since(after).as_secs_f64());
        }
    }

    pub(super) fn log(&self) {
        let Self { heads, candidates, present, published, .. } = self;
        let time = |at: Option<Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let (before, after) = (time(self.before), time(self.after));
        if let Some(stayed) = &self.stayed {
            tracing::warn!(
                heads,
                candidates,
                present,
                published,
                before,
                after,
                stayed,
                "the watermark stays"
            );
        } else {
            tracing::info!(heads, candidates, present, published, before, after, "a pass of the relay");
        }
    }
}
