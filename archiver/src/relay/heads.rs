//! A pass over some heads only: for an import that finds the commits of an earlier one, and does not know whether that came so
//! far as to publish them. Nothing is published that has arrived, and the watermark stays where it is.

use std::collections::BTreeMap;

use headwater::{StreamId, Version};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::{Published, Relay, Report, SLACK, Stays, Wanted, earlier};

impl Relay {
    /// Publishes the newest writes of these heads, each of the version beside it, as far as they have not arrived. All were
    /// stored at `since` or later, by S3's clock, and the watermark covers none of them.
    ///
    /// What it could not do is in its report, for a pass of its own.
    pub async fn look_after(&self, heads: BTreeMap<StreamId, Version>, since: Timestamp) -> Report {
        let last = Instant::now() + self.settings.publish_for;
        let mut report = Report { candidates: heads.len() as u64, ..Report::default() };
        if let Err(stays) = self.look(heads, since, last, &mut report).await {
            report.stayed = Some(stays.to_string());
        }
        report
    }

    async fn look(
        &self,
        heads: BTreeMap<StreamId, Version>,
        since: Timestamp,
        last: Instant,
        report: &mut Report,
    ) -> Result<(), Stays> {
        let begin = self.patiently(|| self.ports.objects.now()).await?;
        report.began = Some(begin);
        let wanted = Wanted::new(heads);
        let published = Published::new(self, Some(earlier(since, SLACK)), begin);
        timeout_at(last, published.strike(&wanted)).await.map_err(|_| Stays::Late)??;
        let missing = wanted.left();
        report.present = report.candidates - missing.len() as u64;
        self.deliver(missing, last, report).await
    }
}
