//! Delivery: step 6 of [`relay`](super). The audit's repair is the same.

use std::{collections::BTreeMap, time::Duration};

use futures::{Stream, StreamExt, stream};
use headwater::{
    StoreError, StreamId, Version,
    format::{head::Head, key, record::Record},
    identity::IdentitySource,
    port::Ports,
    publish::{Publisher, Unpublished},
    read::{HeadRead, Reader},
    trace,
};
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::Instrument;

use super::unreadable;

/// Records that are published at a time.
const RECORDS_AT_A_TIME: usize = 64;
/// How long a record waits for company.
const LINGER: Duration = Duration::from_millis(5);

/// A newest write that was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    /// Its head can't be read.
    #[error(transparent)]
    Head(#[from] StoreError),
    /// Kinesis did not take it in time.
    #[error(transparent)]
    Unpublished(#[from] Unpublished),
}

/// Publishes the writes that made these versions, each to its end or until `last`. True where that was to be done: nothing is
/// where another write stands on top.
pub(crate) fn deliver<'a>(
    ports: &Ports,
    reader: &'a Reader,
    missing: BTreeMap<StreamId, Version>,
    last: Instant,
) -> impl Stream<Item = (StreamId, Result<bool, Undelivered>)> + use<'a> {
    let publisher = (!missing.is_empty()).then(|| Publisher::new(ports, LINGER));
    let identity = ports.identity.clone();
    let deliveries = missing.into_iter().map(move |(stream, version)| {
        let (publisher, identity) = (publisher.clone(), identity.clone());
        async move {
            let delivered = one(publisher, &identity, reader, &stream, version, last).await;
            (stream, delivered)
        }
    });
    stream::iter(deliveries).buffer_unordered(RECORDS_AT_A_TIME)
}

async fn one(
    publisher: Option<Publisher>,
    identity: &IdentitySource,
    reader: &Reader,
    stream: &StreamId,
    version: Version,
    last: Instant,
) -> Result<bool, Undelivered> {
    let (head, _) = standing(reader, stream).await?;
    let unknown = head.version == version && !head.is_settled();
    let Some((record, publisher)) = Record::newest(&head).filter(|_| unknown).zip(publisher) else {
        return Ok(false);
    };
    let record = record.of(identity.now(reader).await?);
    let data = record.encode().map_err(unreadable(&key::head(stream)))?;
    tracing::info!(%stream, %version, "nobody has published this: the relay does");
    let span = trace::publication(stream, &record.commits, "relay");
    publisher.publish(stream, data, last).instrument(span).await?;
    Ok(true)
}

/// A head that was listed, and when S3 stored it.
pub(crate) async fn standing(reader: &Reader, stream: &StreamId) -> Result<(Head, Timestamp), StoreError> {
    match reader.head(stream, None).await? {
        HeadRead::Found { head, modified, .. } => Ok((*head, modified)),
        HeadRead::Missing | HeadRead::Unchanged => {
            let reason = "it was listed, and does not stand".to_owned();
            Err(StoreError::Corrupt { key: key::head(stream), reason })
        }
    }
}
