//! `credit-limit`: what the bank would lend to each account, `GET /credit-limit/{id}`, and a stream of the changes.
//!
//! 1. Each account's history becomes a limit by the rule in [`rule`].
//! 2. A commit that changes the limit makes one `CreditLimitChanged` in the stream `credit-limit/{id}`, version by version.
//! 3. It is forwarded to the Kinesis stream that `HEADWATER_FORWARD` names, then the view is written.
//!
//! The view holds the limit, the number of changes, and all that the rule looks at. It is fed by one account, so it is a pure
//! function of that account's commits, and so is every change, its version and its commit id, which is its cause's. A crash
//! between forwarding and writing leaves the old view: the same changes are derived from the same commits and forwarded again,
//! to the letter. Two handlers of one account derive the same changes as well, and each sends one only after all before it
//! were acknowledged: first arrivals are in order, everything else is a repeat with a version that was there before. The
//! library's `consume/forward.rs` has the whole argument.
//!
//! A change carries the whole limit, so that a consumer needs the newest version only. Whoever changes the rule gives the
//! projection and its kind a new name.

pub mod rule;

use std::{collections::VecDeque, env::VarError, sync::Arc};

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bank::{Account, AccountEvent, Amount};
use headwater::{
    Aggregate, Schemas, StreamId, Version,
    consume::{ApplyError, Derived, Envelope, Forward, Projection, Projector},
};
use serde::{Deserialize, Serialize};
use service::{
    Config, ConfigError, Json, KnownAnswers, KnownTagParameter, PathId, Problem, SessionToken,
    SessionTokenHeader, SessionTokenQuery,
};
use utoipa::{OpenApi, ToSchema};

use crate::account::{self, Freshness, NamePath, UnparkOutcome};

/// The kind of the derived streams.
pub const KIND: &str = "credit-limit";

/// How this consumer is told what to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditLimitConfig {
    /// What every service has.
    pub service: Config,
    /// `HEADWATER_FORWARD`: the Kinesis stream that changes are forwarded to.
    pub forward: String,
}

impl CreditLimitConfig {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name))
    }

    /// Reads whatever `lookup` says.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let rule = "must name the Kinesis stream that changes are forwarded to";
        Ok(Self {
            service: Config::from_lookup(&lookup)?,
            forward: service::variable(&lookup, "HEADWATER_FORWARD", None, rule)?,
        })
    }
}

/// Keeps a credit limit per account.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreditLimits;

/// What one account's limit follows from, and what was told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditLimit {
    /// The newest credits, as many as the rule looks at.
    credits: VecDeque<Amount>,
    closed: bool,
    /// The limit, in minor units: the newest change told it.
    limit: i64,
    /// How many changes there were: the derived stream's version.
    changes: Version,
}

/// What the derived stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CreditLimitEvent {
    /// The limit is another one.
    CreditLimitChanged {
        /// What it is now, in minor units.
        limit: i64,
    },
}

impl Projection for CreditLimits {
    const NAME: &'static str = "credit-limit";
    type View = CreditLimit;
    type Reads = Account;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut CreditLimit, envelope: &Envelope<'_, AccountEvent>) -> Result<(), ApplyError> {
        match &envelope.event {
            AccountEvent::Credited { amount, .. } => {
                view.credits.push_back(*amount);
                if view.credits.len() > rule::CREDITS {
                    view.credits.pop_front();
                }
            }
            AccountEvent::Closed => view.closed = true,
            AccountEvent::Opened { .. } | AccountEvent::Withdrawn { .. } | AccountEvent::Declined { .. } => {}
        }
        Ok(())
    }
}

impl Forward for CreditLimits {
    fn derive(&self, view: &mut CreditLimit, stream: &StreamId) -> Result<Option<Derived>, ApplyError> {
        let limit = if view.closed { 0 } else { rule::limit(&view.credits) };
        if limit == view.limit {
            return Ok(None);
        }
        let after = view.changes;
        (view.limit, view.changes) = (limit, after.next());
        let stream = StreamId::new(KIND, stream.id())?;
        Derived::one(stream, after, &CreditLimitEvent::CreditLimitChanged { limit }, Schemas::FIRST).map(Some)
    }
}

/// What the bank would lend, in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreditLimitAnswer {
    /// The account.
    #[schema(example = "42")]
    id: String,
    /// The limit.
    #[schema(example = 25_000)]
    limit: i64,
    /// How often it has changed.
    #[schema(example = 3)]
    changes: u64,
    #[serde(flatten)]
    freshness: Freshness,
}

type Shared = State<Arc<Projector<CreditLimits>>>;

/// What the bank would lend: at least as new as the session token, if there is one.
#[utoipa::path(get, path = "/credit-limit/{id}", tag = "credit-limit",
    params(NamePath, KnownTagParameter, SessionTokenHeader, SessionTokenQuery),
    responses((status = 200, body = CreditLimitAnswer), (status = 304, description = "it is still the answer of that ETag")))]
async fn show(
    State(projector): Shared,
    PathId(id): PathId,
    known: KnownAnswers,
    token: SessionToken,
) -> Result<Response, Problem> {
    account::show(&projector, Account::KIND, id, known, token, |id, state, freshness| {
        let CreditLimit { limit, changes, .. } = state;
        CreditLimitAnswer { id, limit, changes: changes.get(), freshness }
    })
    .await
}

/// Takes a parked account up again, after the projection was mended.
#[utoipa::path(post, path = "/credit-limit/{id}/unpark", tag = "operation",
    params(NamePath),
    responses((status = 200, body = UnparkOutcome)))]
async fn unpark(State(projector): Shared, PathId(id): PathId) -> Result<Json<UnparkOutcome>, Problem> {
    account::unpark(&projector, Account::KIND, &id).await.map(Json)
}

#[derive(OpenApi)]
#[openapi(info(title = "Credit limit", description = "What the bank would lend"), paths(show, unpark))]
struct Document;

/// The service.
pub fn router(projector: Arc<Projector<CreditLimits>>) -> Router {
    let routes =
        Router::new().route("/credit-limit/{id}", get(show)).route("/credit-limit/{id}/unpark", post(unpark));
    service::app(routes.with_state(projector), Document::openapi())
}
