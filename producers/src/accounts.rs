//! The service `accounts`: open an account, read it, close it.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bank::{Account, AccountCommand, AccountId, OverdraftLimit, UserId};
use serde::Deserialize;
use service::{CommandHeaders, CommandParameters, Json, KnownTagParameter, KnownVersion, Problem};
use utoipa::{OpenApi, ToSchema};

use crate::{
    answer::{self, AccountAnswer},
    bank::{Bank, NamePath, Named},
};

/// The service over a bank.
pub fn app(bank: Bank) -> Router {
    let router = Router::new()
        .route("/accounts", post(open))
        .route("/accounts/{id}", get(read))
        .route("/accounts/{id}/close", post(close))
        .with_state(bank);
    service::app(router, Document::openapi())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "accounts", description = "Opens, shows and closes accounts"),
    paths(open, read, close)
)]
struct Document;

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "42", "overdraft_limit": 5000}))]
struct OpenAccount {
    /// Its name: 1 to 64 ASCII letters, digits, dashes and underscores. If not given, it follows from the
    /// `Idempotency-Key`, so that a retry opens the same account; without a key it is a fresh one.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    id: Option<AccountId>,
    /// How far below zero the balance may go, in minor units.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1_000_000_000_000_i64, default = 0)]
    overdraft_limit: OverdraftLimit,
    /// Whom it belongs to, a user's id. Who has more than 3 accounts finds the newest closed again, see `/exceptions`.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    holder: Option<UserId>,
}

/// Opens an account.
#[utoipa::path(
    post,
    path = "/accounts",
    params(CommandParameters),
    request_body = OpenAccount,
    responses(
        (status = 201, body = AccountAnswer, headers(
            ("Location", description = "where the account is"),
            ("ETag", description = "its version"),
            ("Session-Token", description = "brings a query up to this command"),
        )),
        (status = 409, description = "it was opened before"),
    )
)]
async fn open(
    State(bank): State<Bank>,
    mut headers: CommandHeaders,
    Json(OpenAccount { id, overdraft_limit, holder }): Json<OpenAccount>,
) -> Result<Response, Problem> {
    let id = bank.named(id, &mut headers)?;
    let opened = bank.execute(&id, AccountCommand::Open { overdraft_limit, holder }, headers).await?;
    answer::begun::<Account>(&id, opened)
}

/// Shows an account as it is now, every answered command included.
#[utoipa::path(
    get,
    path = "/accounts/{id}",
    params(
        NamePath,
        KnownTagParameter,
    ),
    responses(
        (status = 200, body = AccountAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 304, description = "the caller has the newest version"),
        (status = 404, description = "there is no such account"),
    )
)]
async fn read(
    State(bank): State<Bank>,
    Named(id): Named<AccountId>,
    known: KnownVersion,
) -> Result<Response, Problem> {
    answer::loaded::<Account>(&id, &bank.load(&id).await?, known)
}

/// Closes an account for ever. Its balance must be zero.
#[utoipa::path(
    post,
    path = "/accounts/{id}/close",
    params(NamePath, CommandParameters),
    responses(
        (status = 200, body = AccountAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 404, description = "there is no such account"),
        (status = 422, description = "its balance is not zero, or it is closed"),
    )
)]
async fn close(
    State(bank): State<Bank>,
    Named(id): Named<AccountId>,
    headers: CommandHeaders,
) -> Result<Response, Problem> {
    answer::executed::<Account>(&id, bank.execute(&id, AccountCommand::Close, headers).await?)
}

#[cfg(test)]
mod tests;
