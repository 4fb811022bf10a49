//! An audit of a cluster, as `headwater audit` makes it.

use archiver::audit::{Audit, Finding, Listener};
use headwater_tool::{
    audit::checks,
    cluster::{Cluster, STREAM},
};
use jiff::SignedDuration;

use crate::connect;

/// What an audit finds that grants no time at all: promise and place.
///
/// # Panics
///
/// If it cannot be made.
#[expect(clippy::expect_used, reason = "an audit that cannot be made has failed")]
pub async fn audited(cluster: &Cluster) -> Vec<(String, String)> {
    let connection = connect(cluster).await;
    let audit = Audit {
        ports: connection.ports.clone(),
        archive: connection.archive.clone(),
        stream: STREAM.to_owned(),
        grace: SignedDuration::ZERO,
        checks: checks::all(),
        repair: false,
    };
    let mut found = Found(Vec::new());
    audit.run(&mut found).await.expect("audits");
    found.0
}

struct Found(Vec<(String, String)>);

impl Listener for Found {
    fn begins(&mut self, _: &str, _: Option<u64>) {}
    fn step(&mut self) {}
    fn found(&mut self, finding: &Finding) {
        self.0.push((finding.finding.to_string(), finding.place.clone()));
    }
}
