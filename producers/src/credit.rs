//! The service `credit`: money comes into an account.

use axum::{Router, extract::State, response::Response, routing::post};
use bank::{Account, AccountCommand, AccountId, Amount, Reference};
use serde::Deserialize;
use service::{CommandHeaders, CommandParameters, Json, Problem};
use utoipa::{OpenApi, ToSchema};

use crate::{
    answer::{self, AccountAnswer},
    bank::{Bank, NamePath, Named},
};

/// The service over a bank.
pub fn app(bank: Bank) -> Router {
    let router = Router::new().route("/accounts/{id}/credit", post(credit)).with_state(bank);
    service::app(router, Document::openapi())
}

#[derive(OpenApi)]
#[openapi(info(title = "credit", description = "Takes money in"), paths(credit))]
struct Document;

/// Money that comes in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 1250, "reference": "rent, March"}))]
struct CreditMoney {
    /// How much, in minor units.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000_000_i64)]
    amount: Amount,
    /// What the payer writes: 1 to 140 characters.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 140)]
    reference: Option<Reference>,
}

/// Takes money in.
#[utoipa::path(
    post,
    path = "/accounts/{id}/credit",
    params(NamePath, CommandParameters),
    request_body = CreditMoney,
    responses(
        (status = 200, body = AccountAnswer, headers(
            ("ETag", description = "the account's version"),
            ("Session-Token", description = "brings a query up to this command"),
        )),
        (status = 404, description = "there is no such account"),
        (status = 422, description = "the account is closed, or its balance would pass its bound"),
    )
)]
async fn credit(
    State(bank): State<Bank>,
    Named(id): Named<AccountId>,
    headers: CommandHeaders,
    Json(CreditMoney { amount, reference }): Json<CreditMoney>,
) -> Result<Response, Problem> {
    let command = AccountCommand::Credit { amount, reference, transfer: None };
    answer::executed::<Account>(&id, bank.execute(&id, command, headers).await?)
}

#[cfg(test)]
mod tests;
