//! Heads that this process has seen: a bounded cache, never trusted for an answer, only for an attempt.

use std::{any::Any, sync::Arc};

use jiff::Timestamp;
use quick_cache::{Weighter, sync::Cache as Bounded};

use crate::{
    error::StoreError,
    format::{
        head::{Head, Snapshot},
        key,
    },
    id::{StreamId, Version},
    port::ETag,
    read::{HeadRead, Reader},
};

/// A head as this process last saw it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) head: Arc<Head>,
    /// `None` where no head stands yet.
    pub(crate) etag: Option<ETag>,
    /// When S3 stored it, where that was told.
    pub(crate) modified: Option<Timestamp>,
    /// Its newest write is known to be in Kinesis.
    pub(crate) published: bool,
    /// About how many bytes it takes.
    pub(crate) bytes: u64,
    /// The aggregate's state at the head's version, if somebody folded it.
    pub(crate) state: Option<Arc<dyn State>>,
}

/// An aggregate's state whose type is forgotten, and can be asked for again.
pub(crate) trait State: Any + Send + Sync {
    /// The state, to be downcast.
    fn any(&self) -> &dyn Any;
    /// The schema number of its snapshots.
    fn schema(&self) -> u32;
    /// The state as a snapshot; `None` where it is too large to be kept.
    fn snapshot(&self, version: Version) -> Option<Snapshot>;
}

impl Known {
    /// A head that was read. A snapshot that does not fit its events is dropped: loads fold the events, and the next write
    /// leaves it out or makes a new one.
    pub(crate) fn of_read(mut head: Head, etag: ETag, modified: Timestamp) -> Self {
        if let Some(snapshot) = head.snapshot.take() {
            if snapshot.fits(&head) {
                head.snapshot = Some(snapshot);
            } else if snapshot.binding.is_some() {
                let (stream, version) = (&head.stream, snapshot.version);
                tracing::warn!(%stream, %version, "a snapshot was not made from these events: folding them");
            }
        }
        Self::new(head, etag, Some(modified))
    }

    /// A head that was written, of which nothing else is known.
    pub(crate) fn new(head: Head, etag: ETag, modified: Option<Timestamp>) -> Self {
        let (bytes, published) = (head.weight() as u64, head.is_settled());
        Self { head: Arc::new(head), etag: Some(etag), modified, published, bytes, state: None }
    }

    /// The head of a stream that has none.
    pub(crate) fn missing(stream: StreamId) -> Self {
        let head = Arc::new(Head::new(stream));
        Self { head, etag: None, modified: None, published: true, bytes: 0, state: None }
    }

    /// The state, if it is one of type `A`.
    pub(crate) fn state<A: 'static>(&self) -> Option<&A> {
        self.state.as_ref().and_then(|state| state.any().downcast_ref())
    }
}

/// Weighs a head by the bytes that it had in S3.
#[derive(Clone)]
struct Bytes;

impl Weighter<StreamId, Known> for Bytes {
    fn weight(&self, _: &StreamId, known: &Known) -> u64 {
        known.bytes + 512
    }
}

/// A bounded cache of heads.
pub(crate) struct Cache(Bounded<StreamId, Known, Bytes>);

impl Cache {
    /// A cache of about `bytes` of heads.
    pub(crate) fn new(bytes: u64) -> Self {
        let streams = usize::try_from(bytes / 4096).unwrap_or(usize::MAX).max(16);
        Self(Bounded::with_weighter(streams, bytes, Bytes))
    }

    /// The head of `stream`, if it is known.
    pub(crate) fn get(&self, stream: &StreamId) -> Option<Known> {
        self.0.get(stream)
    }

    /// Reads the head of `stream`, which costs no body if it is still the `known` one, and remembers it.
    pub(crate) async fn refresh(
        &self,
        reader: &Reader,
        stream: &StreamId,
        known: Option<Known>,
    ) -> Result<Known, StoreError> {
        let etag = known.as_ref().and_then(|known| known.etag.as_ref());
        match (reader.head(stream, etag).await?, known) {
            (HeadRead::Unchanged, Some(known)) => Ok(known),
            (HeadRead::Found { head, etag, modified }, _) => {
                let known = Known::of_read(*head, etag, modified);
                self.keep(known.clone());
                Ok(known)
            }
            (HeadRead::Missing | HeadRead::Unchanged, None) => Ok(Known::missing(stream.clone())),
            (HeadRead::Missing, Some(known)) if known.etag.is_none() => Ok(known),
            (HeadRead::Missing, Some(_)) => {
                self.forget(stream);
                let reason = "it stood, and was deleted: the bucket lost a head".to_owned();
                Err(StoreError::Corrupt { key: key::head(stream), reason })
            }
        }
    }

    /// Remembers a head, unless a newer one is known.
    pub(crate) fn keep(&self, known: Known) {
        let stream = known.head.stream.clone();
        // The same head that is kept already may be known to be published there.
        let newer = |kept: Known| kept.head.version > known.head.version || kept.etag == known.etag;
        if known.etag.is_some() && !self.0.peek(&stream).is_some_and(newer) {
            self.0.insert(stream, known);
        }
    }

    /// Notes that the newest write of this version of the head is in Kinesis.
    pub(crate) fn published(&self, stream: &StreamId, etag: &ETag) {
        if let Some(known) = self.0.peek(stream).filter(|known| known.etag.as_ref() == Some(etag)) {
            self.0.insert(stream.clone(), Known { published: true, ..known });
        }
    }

    /// Remembers the state of this version of a head.
    pub(crate) fn folded(&self, known: &Known, state: Arc<dyn State>) {
        let stream = &known.head.stream;
        if let Some(kept) = self.0.peek(stream).filter(|kept| kept.etag == known.etag && kept.state.is_none())
        {
            self.0.insert(stream.clone(), Known { state: Some(state), ..kept });
        }
    }

    /// Forgets a head.
    pub(crate) fn forget(&self, stream: &StreamId) {
        self.0.remove(stream);
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("streams", &self.0.len()).field("bytes", &self.0.weight()).finish()
    }
}
