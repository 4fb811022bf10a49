//! What stands: taken before and after, it tells whether anything was written.

use headwater::evidence::arrivals;
use headwater::port::{Keys, Listed, Ports};
use localstack::LocalAws;

/// Objects of the store and records of the stream, and how often either was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standing {
    pub(super) objects: Vec<Listed>,
    pub(super) records: usize,
    /// Writes that were done, to the same bytes as well.
    writes: u64,
}

impl Standing {
    pub(super) async fn of(aws: &LocalAws, ports: &Ports) -> Self {
        let mut objects = ports.objects.list_all(&Keys::under("")).await.expect("the store lists");
        // Who connects to write asks once whether S3 keeps conditions, and leaves that object.
        let all = objects.len();
        objects.retain(|listed| listed.key != "probe/conditions");
        let probes = u64::try_from(all - objects.len()).expect("one at most");
        let records = arrivals(&*ports.log).await.expect("the stream reads").len();
        let counts = aws.counts();
        let done = [("s3:PutObject", 200), ("s3:DeleteObject", 204), ("kinesis:PutRecords", 200)];
        let writes: u64 = done.iter().map(|(write, status)| counts.of_status(write, *status).requests).sum();
        Self { objects, records, writes: writes - probes }
    }

    /// The keys of the objects.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.objects.iter().map(|listed| listed.key.as_str()).collect()
    }
}
