//! The service `transfers`: order a transfer, look how far it has come, and say where money goes that nobody takes.
//!
//! An order is answered once it stands; the money moves afterwards, step by step, and `GET /transfers/{id}` tells where it is.
//! Both accounts must be open when it is ordered. What they say to it later, no order can know.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bank::{
    Account, AccountId, AccountRejection, AccountStatus, Amount, Order, Reference, Transfer, TransferCommand,
    TransferId, TransferStatus,
};
use headwater::{Expected, Version};
use serde::{Deserialize, Serialize};
use service::{CommandHeaders, CommandParameters, Json, KnownTagParameter, KnownVersion, Problem};
use utoipa::{OpenApi, ToSchema};

use crate::{
    answer::{self, Shown, Standing},
    bank::{Bank, NamePath, Named, Served},
};

/// The service over a bank.
pub fn app(bank: Bank) -> Router {
    let router = Router::new()
        .route("/transfers", post(order))
        .route("/transfers/{id}", get(read))
        .route("/transfers/{id}/redirect", post(redirect))
        .with_state(bank);
    service::app(router, Document::openapi())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "transfers", description = "Moves money from one account to another"),
    paths(order, read, redirect)
)]
struct Document;

/// A new transfer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "7", "from": "42", "to": "43", "amount": 1250, "reference": "rent, March"}))]
struct OrderTransfer {
    /// 1 to 64 ASCII letters, digits, dashes and underscores. If not given, it follows from the `Idempotency-Key`, so that
    /// a retry orders the same transfer; without a key it is a fresh one.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    id: Option<TransferId>,
    /// The account whose money it is.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    from: AccountId,
    /// The account that gets it.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    to: AccountId,
    /// How much, in minor units.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000_000_i64)]
    amount: Amount,
    /// What the payer writes: 1 to 140 characters.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 140)]
    reference: Option<Reference>,
}

/// Another target.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "44"}))]
struct RedirectTransfer {
    /// The account that gets the money.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    to: AccountId,
}

/// A transfer at a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "7", "status": "requested", "from": "42", "to": "43", "amount": 1250, "reference": "rent, March",
    "version": 1, "publication": "published", "repeat": false,
}))]
pub struct TransferAnswer {
    /// The transfer.
    id: String,
    /// `requested`, `debited` and on its way, `completed`; `refused` by the source; `bounced` off the target, `refunded`;
    /// `expired`; `stranded` where nobody takes the money, `redirected`.
    #[schema(value_type = String, example = "requested")]
    status: TransferStatus,
    /// The account whose money it is.
    from: String,
    /// The account that gets it.
    to: String,
    /// How much, in minor units.
    amount: i64,
    /// What the payer wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Why it was refused, bounced or stranded.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    standing: Standing,
}

impl Shown for Transfer {
    const PATH: &'static str = "/transfers";
    type Answer = TransferAnswer;

    fn answer(&self, id: &str, standing: Standing) -> Result<TransferAnswer, Problem> {
        let order = self.order().ok_or_else(Self::missing)?;
        Ok(TransferAnswer {
            id: id.to_owned(),
            status: self.status(),
            from: order.from.to_string(),
            to: order.to.to_string(),
            amount: order.amount.get(),
            reference: order.reference.as_ref().map(ToString::to_string),
            reason: self.reason().map(str::to_owned),
            standing,
        })
    }
}

/// Orders a transfer.
#[utoipa::path(
    post,
    path = "/transfers",
    params(CommandParameters),
    request_body = OrderTransfer,
    responses(
        (status = 201, body = TransferAnswer, headers(
            ("Location", description = "where to see how far it has come"), ("ETag"), ("Session-Token"),
        )),
        (status = 404, description = "there is no such account"),
        (status = 409, description = "it was ordered before"),
        (status = 422, description = "an account is closed, or both are one"),
    )
)]
async fn order(
    State(bank): State<Bank>,
    mut headers: CommandHeaders,
    Json(OrderTransfer { id, from, to, amount, reference }): Json<OrderTransfer>,
) -> Result<Response, Problem> {
    let id: TransferId = bank.named(id, &mut headers)?;
    // A repeat is answered as the first, whatever became of the accounts.
    let known = bank.store().load::<Transfer>(id.as_ref()).await?.version > Version::ZERO;
    let (from_version, to_version) = if known {
        Default::default()
    } else {
        (open(&bank, "from", &from).await?, open(&bank, "to", &to).await?)
    };
    let order = Order { from, to, amount, reference, from_version, to_version };
    let done = bank.execute::<Transfer>(&id, TransferCommand::Request(order), headers).await?;
    answer::begun(&id, done)
}

/// Shows how far a transfer has come, every answered command included.
#[utoipa::path(
    get,
    path = "/transfers/{id}",
    params(
        NamePath,
        KnownTagParameter,
    ),
    responses(
        (status = 200, body = TransferAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 304, description = "the caller has the newest version"),
        (status = 404, description = "there is no such transfer"),
    )
)]
async fn read(
    State(bank): State<Bank>,
    Named(id): Named<TransferId>,
    known: KnownVersion,
) -> Result<Response, Problem> {
    answer::loaded::<Transfer>(&id, &bank.load(&id).await?, known)
}

/// Sends the money of a stranded transfer to another account. The operator's: put it behind authorization.
#[utoipa::path(
    post,
    path = "/transfers/{id}/redirect",
    params(NamePath, CommandParameters),
    request_body = RedirectTransfer,
    responses(
        (status = 200, body = TransferAnswer, headers(("ETag"), ("Session-Token"))),
        (status = 404, description = "there is no such transfer, or account"),
        (status = 422, description = "the transfer is not stranded, or the account is closed"),
    )
)]
async fn redirect(
    State(bank): State<Bank>,
    Named(id): Named<TransferId>,
    mut headers: CommandHeaders,
    Json(RedirectTransfer { to }): Json<RedirectTransfer>,
) -> Result<Response, Problem> {
    let transfer = bank.load::<Transfer>(&id).await?;
    let to_version = if transfer.state.status() == TransferStatus::Stranded {
        open(&bank, "to", &to).await?
    } else {
        // A repeat, or one that the transfer refuses; if it is stranded meanwhile, nobody has looked at the account.
        if headers.expected == Expected::Any {
            headers.expected = Expected::Exact(transfer.version);
        }
        Version::ZERO
    };
    let done = bank.execute::<Transfer>(&id, TransferCommand::Redirect { to, to_version }, headers).await?;
    answer::executed(&id, done)
}

/// The version of an account that is open; the problem names the field that named it.
async fn open(bank: &Bank, field: &'static str, id: &AccountId) -> Result<Version, Problem> {
    let named = |problem: Problem| problem.with("field", field);
    let loaded = bank.load::<Account>(id).await.map_err(named)?;
    match loaded.state.status() {
        AccountStatus::Open => Ok(loaded.version),
        AccountStatus::Closed => Err(named(Account::problem(&AccountRejection::Closed))),
        AccountStatus::NotOpen => Err(named(Account::missing())),
    }
}

#[cfg(test)]
mod tests;
