//! A projection: what a view is made of, which streams feed it, and what each event does to it.

use std::error::Error;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::reads::Reads;
use crate::{
    event::EventError,
    format::commit::Meta,
    id::{CommitId, InvalidName, StreamId, Version},
    redact::type_name,
};

/// A fold of streams into views.
///
/// # Contract
///
/// - `key` is pure and depends on the stream alone, never on what an event says: the version rule needs a view to see
///   every version of a stream that feeds it. Many streams may feed one view. The key has 1 to
///   [`VIEW_KEY_BYTES`](crate::limits::VIEW_KEY_BYTES) bytes.
/// - `apply` is pure: the same view and event give the same view or the same refusal. It is called in version order per
///   stream; between the streams of one view any order may come, and each makes the same view: a rebuild and an audit fold
///   them in another order than they were delivered in.
/// - `apply` may leave the view half changed when it refuses or panics: the library folds the view again without it.
/// - [`Self::Reads`] names the kinds and types that the projection reads. Events of other types only count as versions. Data
///   of a type that it names must fit, else the stream is parked, and so is one with an event of a newer schema.
///
/// ```
/// use headwater::{StreamId, consume::{ApplyError, Envelope, Kind, Projection, Reads}};
/// use serde::{Deserialize, Serialize};
///
/// /// How often each door was opened.
/// struct Doors;
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Door {
///     opened: u64,
/// }
///
/// #[derive(Deserialize)]
/// enum DoorEvent {
///     Opened,
/// }
///
/// impl Reads for DoorEvent {
///     type Event = Self;
///     const KINDS: &'static [Kind<Self>] = &[Kind::new("door", &[])];
/// }
///
/// impl Projection for Doors {
///     const NAME: &'static str = "doors";
///     type View = Door;
///     type Reads = DoorEvent;
///
///     fn key(&self, stream: &StreamId) -> Option<String> {
///         Some(stream.id().to_owned())
///     }
///
///     fn apply(&self, door: &mut Door, envelope: &Envelope<'_, DoorEvent>) -> Result<(), ApplyError> {
///         let DoorEvent::Opened = envelope.event;
///         door.opened = door.opened.checked_add(1).ok_or_else(|| ApplyError::new("opened too often"))?;
///         Ok(())
///     }
/// }
/// ```
pub trait Projection: Send + Sync + 'static {
    /// The name that its views stand under, 1 to [`VIEW_KEY_BYTES`](crate::limits::VIEW_KEY_BYTES) bytes.
    const NAME: &'static str;

    /// The state of one view. Its state before the first event is its [`Default`].
    type View: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// What it reads: an aggregate, or an enum of its own for a few types or several kinds.
    type Reads: Reads;

    /// The view that a stream of one of its kinds feeds; `None` where the projection does not read the stream.
    fn key(&self, stream: &StreamId) -> Option<String>;

    /// Takes one event in, or refuses it, which parks the stream.
    fn apply(
        &self,
        view: &mut Self::View,
        envelope: &Envelope<'_, <Self::Reads as Reads>::Event>,
    ) -> Result<(), ApplyError>;
}

/// An event, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a, E> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The event's version in the stream.
    pub version: Version,
    /// The commit that it is part of.
    pub commit: &'a CommitId,
    /// When the commit was decided, by the writer's clock.
    pub at: Timestamp,
    /// What travels beside the commit's events.
    pub meta: &'a Meta,
    /// The event itself.
    pub event: E,
}

/// Why a projection cannot take an event in. The text is kept in the view beside the parked stream, and logged, so it holds
/// no data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ApplyError(String);

impl ApplyError {
    /// A refusal for this reason: a literal, which says what rule was broken and not by what.
    pub fn new(reason: &'static str) -> Self {
        Self(reason.to_owned())
    }

    /// The same, with the version at which the commit was refused.
    pub(super) fn at(version: Version, reason: &str) -> Self {
        Self(format!("version {version}: {reason}"))
    }

    /// A refusal by an error of the domain, which is named by its type: what it says may hold data.
    pub fn caused_by<E: Error>(_: E) -> Self {
        Self(type_name::<E>().to_owned())
    }
}

impl From<EventError> for ApplyError {
    fn from(error: EventError) -> Self {
        Self(error.to_string())
    }
}

impl From<InvalidName> for ApplyError {
    fn from(error: InvalidName) -> Self {
        Self(error.to_string())
    }
}
