//! What a caller is told of an aggregate: one shape for all, with `ETag` and `Session-Token`.

use axum::response::{IntoResponse, Response};
use bank::{Account, AccountStatus};
use headwater::{Executed, Loaded, Publication, StreamId, Token};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use service::{Json, KeyScope, KnownVersion, Problem, Written};
use utoipa::ToSchema;

use crate::bank::Served;

/// An aggregate as its callers are told of it.
pub trait Shown: Served {
    /// Where all of them are, as `/accounts`.
    const PATH: &'static str;

    /// What is told of one.
    type Answer: Serialize;

    /// What is told of this one.
    fn answer(&self, id: &str, standing: Standing) -> Result<Self::Answer, Problem>;
}

/// Where an aggregate stands, and what became of the command that is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Standing {
    /// How many events it has.
    version: u64,
    /// Whether Kinesis has the command's events; `pending` ones will come. Not in the answer to a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "published")]
    publication: Option<Publication>,
    /// The command stood already, from an earlier request with the same `Idempotency-Key`; the rest is the state just
    /// after it. Not in the answer to a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<bool>,
}

/// An account at a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "42", "balance": 1250, "overdraft_limit": 5000, "status": "open", "version": 2,
    "publication": "published", "repeat": false,
}))]
pub struct AccountAnswer {
    /// Its name.
    id: String,
    /// What is there, in minor units.
    balance: i64,
    /// How far below zero the balance may go, in minor units.
    overdraft_limit: i64,
    /// Where it is in its life.
    #[schema(value_type = String, example = "open")]
    status: AccountStatus,
    /// Whom it belongs to, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    #[serde(flatten)]
    standing: Standing,
}

impl Shown for Account {
    const PATH: &'static str = "/accounts";
    type Answer = AccountAnswer;

    fn answer(&self, id: &str, standing: Standing) -> Result<AccountAnswer, Problem> {
        Ok(AccountAnswer {
            id: id.to_owned(),
            balance: self.balance().get(),
            overdraft_limit: self.overdraft_limit().get(),
            status: self.status(),
            holder: self.holder().map(ToString::to_string),
            standing,
        })
    }
}

/// The answer to a command: 200.
pub(crate) fn executed<A: Shown>(id: &impl AsRef<str>, done: Executed<A>) -> Result<Response, Problem> {
    let standing = Standing {
        version: done.token.version.get(),
        publication: Some(done.publication),
        repeat: Some(done.repeat),
    };
    let answer = done.state.answer(id.as_ref(), standing)?;
    Ok((KeyScope(done.token.stream.clone()), Written(done.token), Json(answer)).into_response())
}

/// The answer to a command that begins one: 201, and where it is.
pub(crate) fn begun<A: Shown>(id: &impl AsRef<str>, done: Executed<A>) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("{}/{}", A::PATH, id.as_ref()))
        .map_err(|_| Problem::blank(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], executed(id, done)?).into_response())
}

/// The answer to a read: 200, or 304 for whoever has this version.
pub(crate) fn loaded<A: Shown>(
    id: &impl AsRef<str>,
    loaded: &Loaded<A>,
    KnownVersion(known): KnownVersion,
) -> Result<Response, Problem> {
    let stream = StreamId::new(A::KIND, id.as_ref())?;
    let written = Written(Token { stream, version: loaded.version });
    if known == Some(loaded.version) {
        return Ok((StatusCode::NOT_MODIFIED, written, ()).into_response());
    }
    let standing = Standing { version: loaded.version.get(), publication: None, repeat: None };
    Ok((written, Json(loaded.state.answer(id.as_ref(), standing)?)).into_response())
}
