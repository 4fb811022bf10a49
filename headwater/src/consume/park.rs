//! Parking: a stream with an event that a projection cannot apply stands still in that view, and everything else goes on.
//!
//! 1. The mark stands in the view itself: the version, the error and the time (see `fold`).
//! 2. [`parked`] lists the marks of a projection.
//! 3. After the projection is mended, [`Projector::unpark`] takes the mark off and heals the stream from its head. If it
//!    fails again, it is parked again, with the new error.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tracing::warn;

use super::{generation::generations, project::Projector, projection::Projection, work::Work};
use crate::{
    error::StoreError,
    format::{
        key,
        pointer::Pointer,
        view::{Parked, View},
    },
    id::{StreamId, Version, check_segment},
    limits,
    port::{Got, Ports},
    read::Reader,
};

/// Views that a listing reads at a time.
const VIEWS_AT_A_TIME: usize = 16;

/// A stream that stands still in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStream {
    /// The view.
    pub key: String,
    /// The stream.
    pub stream: StreamId,
    /// Where, why and since when.
    pub parked: Parked,
}

/// What became of a parked stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unparked {
    /// It was not parked; nothing was done.
    NotParked,
    /// It is applied through this version, as new as its head.
    Healed(Version),
    /// It failed again.
    ParkedAgain(Parked),
}

impl<P: Projection> Projector<P> {
    /// Takes the mark off a stream in the view `key`, and heals it from its head; tells of the view that serves.
    pub async fn unpark(&self, key: &str, stream: &StreamId) -> Result<Unparked, StoreError> {
        check_segment("view key", key, limits::VIEW_KEY_BYTES)?;
        let Pointer { serving, building, .. } = self.generations.now().await?.pointer;
        if let Some(building) = building {
            self.write(building, key, &mut Work::Unpark { stream, marked: false }).await?;
        }
        let mut work = Work::Unpark { stream, marked: false };
        let view = self.write(serving, key, &mut work).await?;
        Ok(match (view.parked.get(stream), work) {
            (Some(parked), _) => Unparked::ParkedAgain(parked.clone()),
            (None, Work::Unpark { marked: true, .. }) => Unparked::Healed(view.applied(stream)),
            (None, _) => Unparked::NotParked,
        })
    }
}

/// The parked streams of all views of a projection that serve, in the order of the views' keys. Reads every view. One that cannot be
/// read is passed over with a warning.
pub async fn parked(ports: &Ports, projection: &str) -> Result<Vec<ParkedStream>, StoreError> {
    let reader = Reader::new(ports);
    let serving = generations(&reader, projection).await?.serving;
    let keys = reader.keys(&key::view_in(projection, serving, "")).await?;
    let views = keys.into_iter().map(|object| {
        let reader = &reader;
        async move {
            let view = match reader.object(&object, None).await? {
                Got::Found { body, .. } => View::<Value>::decode(&body),
                Got::Missing | Got::Unchanged => Ok(View::new(Value::Null)),
            };
            let key = key::view_key(projection, serving, &object);
            Ok::<_, StoreError>((object, key, view))
        }
    });
    let mut found = Vec::new();
    let mut views = std::pin::pin!(stream::iter(views).buffered(VIEWS_AT_A_TIME));
    while let Some((object, key, view)) = views.try_next().await? {
        match (key, view) {
            (Some(key), Ok(view)) => {
                let marks = view.parked.into_iter();
                found.extend(marks.map(|(stream, parked)| ParkedStream { key: key.clone(), stream, parked }));
            }
            (_, Err(cause)) => warn!(projection, object, %cause, "passed over what is no view"),
            (None, Ok(_)) => warn!(projection, object, "passed over what is no view's key"),
        }
    }
    Ok(found)
}
