//! An aggregate: the part of a domain that decides, alone and without input or output.

use std::error::Error;

use serde::{Serialize, de::DeserializeOwned};

use crate::{claim::Claim, schema::Upcaster};

/// A thing that takes commands and remembers by events. Its state before the first event is its [`Default`].
///
/// # Contract
///
/// - Both functions are pure: the same state and argument give the same answer, everywhere and for ever.
/// - `evolve` takes every event that `decide` ever returned.
/// - A change of what the serialized state means gets a new [`Self::SCHEMA`], and so does a state that remembers more or
///   less: an older version that runs meanwhile would read it, and write it back without what it does not know.
/// - A change of what an event's data mean gets an upcaster in [`Self::UPCASTERS`].
///
/// ```
/// use headwater::Aggregate;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Counter(u64);
///
/// #[derive(Serialize, Deserialize)]
/// enum Counted {
///     Up,
/// }
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("ten is enough")]
/// struct Enough;
///
/// impl Aggregate for Counter {
///     const KIND: &'static str = "counter";
///     type Command = ();
///     type Event = Counted;
///     type Rejection = Enough;
///
///     fn decide(&self, (): &()) -> Result<Vec<Counted>, Enough> {
///         if self.0 < 10 { Ok(vec![Counted::Up]) } else { Err(Enough) }
///     }
///
///     fn evolve(&mut self, Counted::Up: &Counted) {
///         self.0 += 1;
///     }
/// }
/// ```
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind of its streams, as `account` in `account/42`.
    const KIND: &'static str;

    /// The schema number of its snapshots; a snapshot of another number is passed over and the events are folded.
    const SCHEMA: u32 = 1;

    /// What it is asked.
    type Command: Send + Sync + 'static;

    /// What it remembers: a serde enum, see [`event`](crate::event).
    type Event: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// How the data of older events become those of today, see [`schema`](crate::schema): what is written has the newest
    /// schema of its type.
    const UPCASTERS: &'static [Upcaster] = &[];

    /// Why it says no.
    type Rejection: Error + Send + Sync + 'static;

    /// What happens when `command` meets this state: the events, none where nothing needs to happen, or the reason why
    /// not.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after `event`.
    fn evolve(&mut self, event: &Self::Event);

    /// The unique values that this state holds, each once: no other stream of this kind holds them (H9). A command that
    /// gains one which another holds is answered [`StoreError::Taken`](crate::StoreError::Taken).
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// Whether `decided` stays right on top of what `others` committed meanwhile; `self` is the state after theirs.
    /// Asked under [`OnConflict::Merge`](crate::OnConflict) only.
    fn merge(&self, _decided: &[Self::Event], _others: &[Self::Event]) -> bool {
        false
    }
}
