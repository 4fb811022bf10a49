//! `balance`: what is in each account, and `GET /balance/{id}`.
//!
//! A fact is taken as it is: whether the account allowed it was decided when it was committed. What does not fit the
//! domain's ranges is no fact that this projection knows of: it parks the account, until a newer binary is told to unpark it.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bank::{Account, AccountEvent, AccountStatus, OverdraftLimit};
use headwater::{
    Aggregate, StreamId,
    consume::{ApplyError, Envelope, Projection, Projector},
};
use serde::{Deserialize, Serialize};
use service::{
    Json, KnownAnswers, KnownTagParameter, PathId, Problem, SessionToken, SessionTokenHeader,
    SessionTokenQuery,
};
use utoipa::{OpenApi, ToSchema};

use crate::account::{self, Freshness, NamePath, UnparkOutcome};

/// Keeps a balance per account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Balances;

/// What one account holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    status: AccountStatus,
    balance: bank::Balance,
    overdraft_limit: OverdraftLimit,
}

impl Projection for Balances {
    const NAME: &'static str = "balance";
    type View = Held;
    type Reads = Account;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut Held, envelope: &Envelope<'_, AccountEvent>) -> Result<(), ApplyError> {
        match &envelope.event {
            AccountEvent::Opened { overdraft_limit, .. } => {
                view.status = AccountStatus::Open;
                view.overdraft_limit = *overdraft_limit;
            }
            AccountEvent::Credited { amount, .. } => {
                view.balance = view.balance.plus(*amount).map_err(ApplyError::caused_by)?;
            }
            AccountEvent::Withdrawn { amount, .. } => {
                view.balance = view.balance.minus(*amount).map_err(ApplyError::caused_by)?;
            }
            AccountEvent::Declined { .. } => {}
            AccountEvent::Closed => view.status = AccountStatus::Closed,
        }
        Ok(())
    }
}

/// What is in an account, in minor units.
#[derive(Debug, Serialize, ToSchema)]
pub struct BalanceAnswer {
    /// The account.
    #[schema(example = "42")]
    id: String,
    /// `open` or `closed`.
    #[schema(value_type = String, example = "open")]
    status: AccountStatus,
    /// What is there.
    #[schema(example = 1_250)]
    balance: i64,
    /// What could go out.
    #[schema(example = 6_250)]
    available: i64,
    #[serde(flatten)]
    freshness: Freshness,
}

type Shared = State<Arc<Projector<Balances>>>;

/// What is in an account: at least as new as the session token, if there is one.
#[utoipa::path(get, path = "/balance/{id}", tag = "balance",
    params(NamePath, KnownTagParameter, SessionTokenHeader, SessionTokenQuery),
    responses((status = 200, body = BalanceAnswer), (status = 304, description = "it is still the answer of that ETag")))]
async fn show(
    State(projector): Shared,
    PathId(id): PathId,
    known: KnownAnswers,
    token: SessionToken,
) -> Result<Response, Problem> {
    account::show(&projector, Account::KIND, id, known, token, |id, state, freshness| {
        let balance = state.balance.get();
        let available = balance.saturating_add(state.overdraft_limit.get());
        BalanceAnswer { id, status: state.status, balance, available, freshness }
    })
    .await
}

/// Takes a parked account up again, after the projection was mended.
#[utoipa::path(post, path = "/balance/{id}/unpark", tag = "operation",
    params(NamePath),
    responses((status = 200, body = UnparkOutcome)))]
async fn unpark(State(projector): Shared, PathId(id): PathId) -> Result<Json<UnparkOutcome>, Problem> {
    account::unpark(&projector, Account::KIND, &id).await.map(Json)
}

#[derive(OpenApi)]
#[openapi(info(title = "Balance", description = "What is in each account"), paths(show, unpark))]
struct Document;

/// The service.
pub fn router(projector: Arc<Projector<Balances>>) -> Router {
    let routes = Router::new().route("/balance/{id}", get(show)).route("/balance/{id}/unpark", post(unpark));
    service::app(routes.with_state(projector), Document::openapi())
}
