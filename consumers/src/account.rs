//! A view per account, or per stream of another kind, over HTTP: what the queries of all projections have in common.
//!
//! 1. The stream's id names the view; it is the one that feeds it.
//! 2. A session token is met, or told apart: invalid, or parked (503, `/problems/parked`).
//! 3. A view that nothing has fed is no account: 404.
//! 4. Every answer says how new it is, and has the tag of what it says; who has that answer is told 304.
//!
//! `POST …/unpark` is the operator's, for an account that is parked: put it behind authorization.

use axum::{http::StatusCode, response::Response};
use bank::AccountId;
use headwater::{
    StreamId, Token, Version,
    consume::{Projection, Projector, QueryError, Unparked},
};
use serde::Serialize;
use service::{KnownAnswers, Problem, SessionToken, tagged};
use utoipa::{IntoParams, ToSchema};

/// What a path names, for the `OpenAPI` document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read by the derive alone")]
pub(crate) struct NamePath {
    /// 1 to 64 ASCII letters, digits, dashes and underscores.
    #[param(pattern = "^[A-Za-z0-9_-]+$", min_length = 1, max_length = 64, example = "42")]
    id: String,
}

/// How new an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Freshness {
    /// The version of the stream that this reflects.
    #[schema(example = 17)]
    version: u64,
    /// The event that can't be applied, where the stream stands still and this may be old.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<u64>,
}

/// What became of a parked account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum UnparkOutcome {
    /// It was not parked.
    NotParked,
    /// It is as new as the account.
    Healed {
        /// The version that it reflects.
        version: u64,
    },
    /// It failed again.
    ParkedAgain {
        /// The version that could not be applied.
        version: u64,
        /// Why.
        error: String,
    },
}

/// Answers from the view of one account, at least as new as the token, by what `answer` makes of it.
pub async fn show<P: Projection, A: Serialize>(
    projector: &Projector<P>,
    kind: &str,
    id: String,
    known: KnownAnswers,
    SessionToken(token): SessionToken,
    answer: impl FnOnce(String, P::View, Freshness) -> A,
) -> Result<Response, Problem> {
    let (named, stream) = name(kind, &id)?;
    let view = projector.query(named.as_str(), token.as_ref()).await.map_err(problem)?;
    let version = view.applied(&stream);
    let parked = view.parked.get(&stream).map(|parked| parked.version);
    match (version, parked) {
        (Version::ZERO, None) => Err(Problem::blank(StatusCode::NOT_FOUND)
            .with_detail(format!("there is no {kind} {id}, or nothing of it has arrived here"))),
        (Version::ZERO, Some(parked)) => Err(standing(&stream, parked)),
        (version, parked) => {
            let freshness = Freshness { version: version.get(), parked: parked.map(Version::get) };
            let answer = answer(id, view.state, freshness);
            tagged(&known, Some(Token { stream, version }), &answer)
        }
    }
}

/// Takes a parked account up again.
pub async fn unpark<P: Projection>(
    projector: &Projector<P>,
    kind: &str,
    id: &str,
) -> Result<UnparkOutcome, Problem> {
    let (id, stream) = name(kind, id)?;
    Ok(projector.unpark(id.as_str(), &stream).await?.into())
}

impl From<Unparked> for UnparkOutcome {
    fn from(unparked: Unparked) -> Self {
        match unparked {
            Unparked::NotParked => Self::NotParked,
            Unparked::Healed(version) => Self::Healed { version: version.get() },
            Unparked::ParkedAgain(parked) => {
                Self::ParkedAgain { version: parked.version.get(), error: parked.error }
            }
        }
    }
}

fn name(kind: &str, id: &str) -> Result<(AccountId, StreamId), Problem> {
    let id: AccountId = id.parse().map_err(|rule: bank::InvalidText| {
        Problem::invalid(StatusCode::BAD_REQUEST, "id", rule.to_string())
    })?;
    let stream = StreamId::new(kind, id.as_str())?;
    Ok((id, stream))
}

/// Why a stream is parked is the operator's to know; that it is, and where, the asker's.
fn problem(error: QueryError) -> Problem {
    match error {
        QueryError::Store(error) => error.into(),
        QueryError::Parked { stream, parked } => standing(&stream, parked.version),
    }
}

fn standing(stream: &StreamId, parked: Version) -> Problem {
    tracing::warn!(%stream, version = %parked, "a query met a parked stream");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "parked", "the account stands still here")
        .with_detail(format!("event {parked} of {stream} can't be applied yet; an operator must mend that"))
        .with("version", parked.get())
}
