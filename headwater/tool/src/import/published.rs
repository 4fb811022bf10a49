//! The newest writes that an import finds and did not make: whether the run that made them came so far as to publish them is
//! not known here.
//!
//! What the relay's watermark covers is published. The rest is looked for where it would have arrived, in the archive and in
//! Kinesis behind it, and only what is missing is published, as the [relay](archiver::relay) does it. Where that can't be done
//! it is left to the relay.

use std::collections::BTreeMap;

use archiver::relay::{Relay, Settings};
use headwater::{
    StreamId, Version,
    format::{key, watermark::Watermark},
    port::Got,
    read::Reader,
};
use jiff::{SignedDuration, Timestamp};

use crate::target::Connection;

/// A head whose newest write may be unpublished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsure {
    /// Its version.
    pub(super) version: Version,
    /// When S3 stored it, in whole seconds rounded down.
    pub(super) stored: Timestamp,
}

/// Sees to these heads; tells of how many nobody knows whether they are published.
pub(super) async fn see_to(connection: &Connection, mut heads: BTreeMap<StreamId, Unsure>) -> u64 {
    if heads.is_empty() {
        return 0;
    }
    match Reader::new(&connection.ports).object(key::WATERMARK, None).await {
        Ok(Got::Missing | Got::Unchanged) => {}
        Ok(Got::Found { body, .. }) => match Watermark::decode(&body) {
            Ok(mark) => heads.retain(|_, head| !covers(mark.through, head.stored)),
            Err(_) => return heads.len() as u64,
        },
        // A watermark that can't be read may cover any of them, and archivers may have forgotten them.
        Err(_) => return heads.len() as u64,
    }
    let Some(since) = heads.values().map(|head| head.stored).min() else { return 0 };
    let relay = Relay::new(
        connection.ports.clone(),
        connection.archive.clone(),
        &connection.names.stream,
        Settings::default(),
    );
    let versions = heads.into_iter().map(|(stream, head)| (stream, head.version)).collect();
    let report = relay.look_after(versions, since).await;
    if let Some(reason) = &report.stayed {
        tracing::warn!(reason, "what an earlier import published is not known: it is left to the relay");
    }
    report.candidates.saturating_sub(report.present + report.published)
}

fn covers(through: Timestamp, stored: Timestamp) -> bool {
    stored.checked_add(SignedDuration::from_secs(1)).is_ok_and(|after| after <= through)
}
