//! `exceptions`: who has too many accounts, and what came of it, `GET /exceptions/{holder}`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bank::{AccountId, Portfolio, PortfolioEvent};
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

/// Keeps a report per holder.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exceptions;

/// What one holder has too much of, or had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report(BTreeMap<AccountId, Exception>);

/// An account that was one too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    held: u64,
    status: ExceptionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What became of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionStatus {
    /// Nothing yet.
    Open,
    /// The bank closed the account.
    Compensated,
    /// The bank could not: somebody must look at it.
    Unresolved,
    /// The account was closed later on.
    Settled,
}

impl Projection for Exceptions {
    const NAME: &'static str = "exceptions";
    type View = Report;
    type Reads = Portfolio;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut Report, envelope: &Envelope<'_, PortfolioEvent>) -> Result<(), ApplyError> {
        let (account, status, reason) = match &envelope.event {
            PortfolioEvent::Added { .. } => return Ok(()),
            PortfolioEvent::Exceeded { account, held } => {
                let exception = Exception { held: *held, status: ExceptionStatus::Open, reason: None };
                view.0.insert(account.clone(), exception);
                return Ok(());
            }
            PortfolioEvent::Compensated { account } => (account, ExceptionStatus::Compensated, None),
            PortfolioEvent::Unresolved { account, reason } => {
                (account, ExceptionStatus::Unresolved, Some(reason.clone()))
            }
            PortfolioEvent::Removed { account } => (account, ExceptionStatus::Settled, None),
        };
        if let Some(exception) = view.0.get_mut(account)
            && exception.status != ExceptionStatus::Compensated
            && (exception.status, status) != (ExceptionStatus::Settled, ExceptionStatus::Unresolved)
        {
            (exception.status, exception.reason) = (status, reason);
        }
        Ok(())
    }
}

/// What one holder has too much of, or had.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExceptionsAnswer {
    /// The holder.
    #[schema(example = "9")]
    holder: String,
    /// The accounts that were too many.
    exceptions: Vec<ExceptionAnswer>,
    #[serde(flatten)]
    freshness: Freshness,
}

/// An account that was one too many.
#[derive(Debug, Serialize, ToSchema)]
struct ExceptionAnswer {
    /// The account.
    #[schema(example = "42")]
    account: String,
    /// How many accounts there were with it.
    #[schema(example = 4)]
    held: u64,
    /// `open`, `compensated` (the bank closed it), `unresolved` (it could not), or `settled` (it was closed later on).
    #[schema(value_type = String, example = "compensated")]
    status: ExceptionStatus,
    /// Why it could not be closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

type Shared = State<Arc<Projector<Exceptions>>>;

/// What one holder has too much of, or had.
#[utoipa::path(get, path = "/exceptions/{id}", tag = "exceptions",
    params(NamePath, KnownTagParameter, SessionTokenHeader, SessionTokenQuery),
    responses((status = 200, body = ExceptionsAnswer), (status = 304, description = "it is still the answer of that ETag")))]
async fn show(
    State(projector): Shared,
    PathId(id): PathId,
    known: KnownAnswers,
    token: SessionToken,
) -> Result<Response, Problem> {
    let answer = |(account, Exception { held, status, reason }): (AccountId, Exception)| ExceptionAnswer {
        account: account.to_string(),
        held,
        status,
        reason,
    };
    account::show(&projector, Portfolio::KIND, id, known, token, |id, state, freshness| ExceptionsAnswer {
        holder: id,
        exceptions: state.0.into_iter().map(answer).collect(),
        freshness,
    })
    .await
}

/// Takes a parked portfolio up again, after the projection was mended.
#[utoipa::path(post, path = "/exceptions/{id}/unpark", tag = "operation",
    params(NamePath),
    responses((status = 200, body = UnparkOutcome)))]
async fn unpark(State(projector): Shared, PathId(id): PathId) -> Result<Json<UnparkOutcome>, Problem> {
    account::unpark(&projector, Portfolio::KIND, &id).await.map(Json)
}

#[derive(OpenApi)]
#[openapi(info(title = "Exceptions", description = "Who has too many accounts"), paths(show, unpark))]
struct Document;

/// The service.
pub fn router(projector: Arc<Projector<Exceptions>>) -> Router {
    let routes =
        Router::new().route("/exceptions/{id}", get(show)).route("/exceptions/{id}/unpark", post(unpark));
    service::app(routes.with_state(projector), Document::openapi())
}
