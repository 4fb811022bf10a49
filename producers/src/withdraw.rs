//! The service `withdraw`: money goes out of an account, as far as the overdraft limit allows.

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
    let router = Router::new().route("/accounts/{id}/withdraw", post(withdraw)).with_state(bank);
    service::app(router, Document::openapi())
}

#[derive(OpenApi)]
#[openapi(info(title = "withdraw", description = "Gives money out"), paths(withdraw))]
struct Document;

/// Money that goes out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 300, "reference": "cash"}))]
struct WithdrawMoney {
    /// How much, in minor units.
    #[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000_000_i64)]
    amount: Amount,
    /// What the payer writes: 1 to 140 characters.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 140)]
    reference: Option<Reference>,
}

/// Gives money out, down to the overdraft limit.
#[utoipa::path(
    post,
    path = "/accounts/{id}/withdraw",
    params(NamePath, CommandParameters),
    request_body = WithdrawMoney,
    responses(
        (status = 200, body = AccountAnswer, headers(
            ("ETag", description = "the account's version"),
            ("Session-Token", description = "brings a query up to this command"),
        )),
        (status = 404, description = "there is no such account"),
        (status = 422, description = "the funds do not suffice, or the account is closed"),
    )
)]
async fn withdraw(
    State(bank): State<Bank>,
    Named(id): Named<AccountId>,
    headers: CommandHeaders,
    Json(WithdrawMoney { amount, reference }): Json<WithdrawMoney>,
) -> Result<Response, Problem> {
    let command = AccountCommand::Withdraw { amount, reference, transfer: None };
    answer::executed::<Account>(&id, bank.execute(&id, command, headers).await?)
}

#[cfg(test)]
mod tests;
