//! What a caller is told of an account: one shape for all, with `ETag` and `Session-Token`.

use axum::response::{IntoResponse, Response};
use bank::{Account, AccountId, AccountStatus};
use headwater::{Executed, Loaded, Publication, StreamId, Token};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use service::{Json, KnownVersion, Problem, Written};
use utoipa::ToSchema;

/// An account at a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "42", "balance": 1250, "overdraft_limit": 5000, "status": "open", "version": 2,
    "publication": "published", "repeat": false,
}))]
pub struct AccountAnswer {
    /// Its name.
    pub id: String,
    /// What is there, in minor units.
    pub balance: i64,
    /// How far below zero the balance may go, in minor units.
    pub overdraft_limit: i64,
    /// Where it is in its life.
    #[schema(value_type = String, example = "open")]
    pub status: AccountStatus,
    /// Whom it belongs to, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// How many events it has.
    pub version: u64,
    /// Whether Kinesis has the command's events; `pending` ones will come. Not in the answer to a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "published")]
    pub publication: Option<Publication>,
    /// The command stood already, from an earlier request with the same `Idempotency-Key`; the rest is the state just
    /// after it. Not in the answer to a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,
}

impl AccountAnswer {
    fn new(id: &AccountId, account: &Account, version: headwater::Version) -> Self {
        Self {
            id: id.to_string(),
            balance: account.balance().get(),
            overdraft_limit: account.overdraft_limit().get(),
            status: account.status(),
            holder: account.holder().map(ToString::to_string),
            version: version.get(),
            publication: None,
            repeat: None,
        }
    }
}

/// The answer to a command: 200.
pub(crate) fn executed(id: &AccountId, executed: Executed<Account>) -> Response {
    let answer = AccountAnswer {
        publication: Some(executed.publication),
        repeat: Some(executed.repeat),
        ..AccountAnswer::new(id, &executed.state, executed.token.version)
    };
    (Written(executed.token), Json(answer)).into_response()
}

/// The answer to an opening: 201, and where the account is.
pub(crate) fn opened(id: &AccountId, done: Executed<Account>) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("/accounts/{id}"))
        .map_err(|_| Problem::blank(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], executed(id, done)).into_response())
}

/// The answer to a read: 200, or 304 for whoever has this version.
pub(crate) fn loaded(
    id: &AccountId,
    loaded: &Loaded<Account>,
    KnownVersion(known): KnownVersion,
) -> Result<Response, Problem> {
    let stream = StreamId::new(<Account as headwater::Aggregate>::KIND, id.as_str())?;
    let written = Written(Token { stream, version: loaded.version });
    if known == Some(loaded.version) {
        return Ok((StatusCode::NOT_MODIFIED, written, ()).into_response());
    }
    Ok((written, Json(AccountAnswer::new(id, &loaded.state, loaded.version))).into_response())
}
