//! What the services share: a store, and how a command gets into it.
//!
//! Conflicts are decided again rather than merged. A merge would come to the same events (a decision here is whether the
//! state allows them), but where it fails the caller is better told why than that somebody was faster.

use std::{fmt, str::FromStr, sync::Arc};

use axum::extract::FromRequestParts;
use bank::InvalidText;
use headwater::{
    Aggregate, CommitId, ExecuteError, Executed, Loaded, OnConflict, Schemas, Settings, Store, Version,
    port::{Entropy, Ports},
};
use http::{StatusCode, request::Parts};
use service::{CommandHeaders, PathId, Problem};
use utoipa::IntoParams;
use uuid::Uuid;

/// An aggregate that is served over HTTP.
pub trait Served: Aggregate<Event: PartialEq> {
    /// What a command does if it is allowed: by it a repeat is told from another command under the same key.
    fn event(command: &Self::Command) -> Self::Event;

    /// Whether a repeat that `wanted` one event is the command that made the other.
    fn same(wanted: &Self::Event, stands: &Self::Event) -> bool {
        wanted == stands
    }

    /// A rejection, as its caller is told.
    fn problem(rejection: &Self::Rejection) -> Problem;

    /// There is none of this name.
    fn missing() -> Problem;
}

/// The bank's aggregates in a store. Cheap to clone.
#[derive(Clone)]
pub struct Bank {
    store: Store,
    entropy: Arc<dyn Entropy>,
}

impl Bank {
    /// The aggregates in the store on these ports; needs a tokio runtime.
    pub fn new(ports: Ports) -> Self {
        let entropy = Arc::clone(&ports.entropy);
        Self { store: Store::new(ports, Settings::default()), entropy }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Loads an aggregate that has begun.
    pub async fn load<A: Served>(&self, id: &impl AsRef<str>) -> Result<Loaded<A>, Problem> {
        let loaded = self.store.load::<A>(id.as_ref()).await?;
        if loaded.version == Version::ZERO { Err(A::missing()) } else { Ok(loaded) }
    }

    /// Executes a command.
    pub async fn execute<A: Served>(
        &self,
        id: &impl AsRef<str>,
        command: A::Command,
        headers: CommandHeaders,
    ) -> Result<Executed<A>, Problem> {
        let event = A::event(&command);
        let options = headers.into_options(OnConflict::Retry);
        let executed = self.store.execute::<A>(id.as_ref(), command, options).await;
        let executed = executed.map_err(|error| match error {
            ExecuteError::Rejected(why) => A::problem(&why),
            ExecuteError::Store(error) => error.into(),
        })?;
        if executed.repeat && !did(&executed, &event) {
            return Err(Problem::key_reused());
        }
        Ok(executed)
    }

    /// What an aggregate is called that a command begins, and the key of the command. Where the caller gives no id it
    /// follows from the key, so that a retry begins the same one; without a key it is a fresh one, and the answer to a
    /// request of unknown end tells it, for the retry.
    pub(crate) fn named<I: FromStr<Err = InvalidText>>(
        &self,
        id: Option<I>,
        headers: &mut CommandHeaders,
    ) -> Result<I, Problem> {
        let key = match headers.commit_id.take() {
            Some(key) => key,
            None => CommitId::of_key(&self.entropy.unique())?,
        };
        let id = id.map_or_else(|| derived_id(&key), Ok)?;
        headers.commit_id = Some(key);
        Ok(id)
    }
}

/// Whether the commit that stands is the one that this event would have made.
fn did<A: Served>(executed: &Executed<A>, event: &A::Event) -> bool {
    let committed = executed.commit.as_ref().and_then(|commit| commit.events.first());
    let same =
        |stored| Schemas::of::<A>().decode::<A::Event>(stored).is_ok_and(|stands| A::same(event, &stands));
    committed.is_some_and(same)
}

/// The id that follows from a key.
fn derived_id<I: FromStr<Err = InvalidText>>(key: &CommitId) -> Result<I, Problem> {
    /// Names that follow from a key; drawn once, and never changed.
    const NAMESPACE: Uuid = Uuid::from_u128(0x8f4b_6f0e_35c1_4c53_9d5e_0b8a_7f6a_21d4);
    let key = key.key().unwrap_or(key.as_str());
    let id = Uuid::new_v5(&NAMESPACE, key.as_bytes()).to_string();
    id.parse().map_err(|error| invalid("id", &error))
}

/// A name in a path that breaks its rule.
fn invalid(field: &str, error: &InvalidText) -> Problem {
    Problem::invalid(StatusCode::BAD_REQUEST, field, error.to_string())
}

/// What a path names, for the `OpenAPI` document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct NamePath {
    /// 1 to 64 ASCII letters, digits, dashes and underscores.
    #[param(pattern = "^[A-Za-z0-9_-]+$", min_length = 1, max_length = 64, example = "42")]
    id: String,
}

/// What a path names.
#[derive(Debug, Clone)]
pub struct Named<I>(pub I);

impl<S: Send + Sync, I: FromStr<Err = InvalidText>> FromRequestParts<S> for Named<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let PathId(id) = PathId::from_request_parts(parts, state).await?;
        id.parse().map(Self).map_err(|error| invalid("id", &error))
    }
}

impl fmt::Debug for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bank").field("store", &self.store).finish_non_exhaustive()
    }
}
