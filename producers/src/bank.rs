//! What the services share: a store, and how a command gets into it.
//!
//! Conflicts are decided again rather than merged. A merge would come to the same events (an account's decision is whether
//! it allows them), but where it fails the caller is better told why than that somebody was faster.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use bank::{Account, AccountCommand, AccountEvent, AccountId};
use headwater::{
    CommitId, ExecuteError, Executed, Loaded, OnConflict, Schemas, Settings, Store,
    port::{Entropy, Ports},
};
use http::{StatusCode, request::Parts};
use service::{CommandHeaders, PathId, Problem};
use uuid::Uuid;

use crate::rejection;

/// The bank's accounts in a store. Cheap to clone.
#[derive(Clone)]
pub struct Bank {
    store: Store,
    entropy: Arc<dyn Entropy>,
}

impl Bank {
    /// The accounts in the store on these ports; needs a tokio runtime.
    pub fn new(ports: Ports) -> Self {
        let entropy = Arc::clone(&ports.entropy);
        Self { store: Store::new(ports, Settings::default()), entropy }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Loads an account that was opened.
    pub async fn load(&self, id: &AccountId) -> Result<Loaded<Account>, Problem> {
        let loaded = self.store.load::<Account>(id.as_str()).await?;
        if loaded.version == headwater::Version::ZERO {
            return Err(rejection::problem(&bank::AccountRejection::NotOpen));
        }
        Ok(loaded)
    }

    /// Executes a command on an account.
    pub async fn execute(
        &self,
        id: &AccountId,
        command: AccountCommand,
        headers: CommandHeaders,
    ) -> Result<Executed<Account>, Problem> {
        let event = command.event();
        let options = headers.into_options(OnConflict::Retry);
        let executed = self.store.execute::<Account>(id.as_str(), command, options).await;
        let executed = executed.map_err(|error| match error {
            ExecuteError::Rejected(why) => rejection::problem(&why),
            ExecuteError::Store(error) => error.into(),
        })?;
        if executed.repeat && !did(&executed, &event) {
            return Err(rejection::key_reused());
        }
        Ok(executed)
    }

    /// The key of a request that came without one. The answer to a request of unknown end tells it, for the retry.
    pub(crate) fn fresh_key(&self) -> Result<CommitId, Problem> {
        Ok(self.entropy.unique().parse()?)
    }
}

/// Whether the commit that stands is the one that this event would have made.
fn did(executed: &Executed<Account>, event: &AccountEvent) -> bool {
    let committed = executed.commit.as_ref().and_then(|commit| commit.events.first());
    committed.is_some_and(|stored| {
        Schemas::of::<Account>().decode::<AccountEvent>(stored).is_ok_and(|committed| committed == *event)
    })
}

/// The account that an opening with this key opens, if the caller names none: so a retry opens the same one.
pub(crate) fn derived_id(key: &CommitId) -> Result<AccountId, Problem> {
    /// Names of accounts that follow from a key; drawn once, and never changed.
    const NAMESPACE: Uuid = Uuid::from_u128(0x8f4b_6f0e_35c1_4c53_9d5e_0b8a_7f6a_21d4);
    let id = Uuid::new_v5(&NAMESPACE, key.as_str().as_bytes()).to_string();
    id.parse().map_err(|error| invalid_id(&error))
}

fn invalid_id(error: &bank::InvalidText) -> Problem {
    Problem::invalid(StatusCode::BAD_REQUEST, "id", error.to_string())
}

/// The account that a path names.
#[derive(Debug, Clone)]
pub struct AccountPath(pub AccountId);

impl<S: Send + Sync> FromRequestParts<S> for AccountPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let PathId(id) = PathId::from_request_parts(parts, state).await?;
        id.parse().map(Self).map_err(|error| invalid_id(&error))
    }
}
