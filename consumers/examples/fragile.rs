//! A projection with a fault, as a whole Lambda: what [`Balances`] does, but a withdrawal of one account panics.
//!
//! `FRAGILE_ACCOUNT` names the account; without it the fault is mended. The end-to-end tests run it, to see that what panics
//! stops one account and nothing else, and that the account is healed once the function is replaced.

use std::{env, process::ExitCode, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::{get, post},
};
use bank::{Account, AccountEvent};
use consumers::{
    account::{self, UnparkOutcome},
    balance::{Balances, Held},
    serve,
};
use headwater::{
    Aggregate, StreamId, aws,
    consume::{ApplyError, Envelope, Projection, Projector},
};
use service::{BoxError, Config, Json, KnownAnswers, Problem, SessionToken};
use utoipa::OpenApi;

/// Balances, but for one account.
struct Fragile {
    account: Option<String>,
}

impl Projection for Fragile {
    const NAME: &'static str = "fragile";
    type View = Held;
    type Reads = Account;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Balances.key(stream)
    }

    fn apply(&self, view: &mut Held, envelope: &Envelope<'_, AccountEvent>) -> Result<(), ApplyError> {
        Balances.apply(view, envelope)?;
        let id = envelope.stream.id();
        let withdrawn = matches!(envelope.event, AccountEvent::Withdrawn { .. });
        // The view is half changed by now, which must not be seen.
        assert!(
            !withdrawn || self.account.as_deref() != Some(id),
            "no withdrawal of {id} was ever thought of"
        );
        Ok(())
    }
}

type Shared = State<Arc<Projector<Fragile>>>;

async fn show(
    State(projector): Shared,
    Path(id): Path<String>,
    known: KnownAnswers,
    token: SessionToken,
) -> Result<Response, Problem> {
    account::show(&projector, Account::KIND, id, known, token, |_, state, _| state).await
}

async fn unpark(State(projector): Shared, Path(id): Path<String>) -> Result<Json<UnparkOutcome>, Problem> {
    account::unpark(&projector, Account::KIND, &id).await.map(Json)
}

#[derive(OpenApi)]
#[openapi(info(title = "Fragile", description = "A projection with a fault"))]
struct Document;

fn main() -> ExitCode {
    service::start(run())
}

async fn run() -> Result<(), BoxError> {
    let config = Config::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&config.store, &config.stream).await?;
    let projector = Arc::new(Projector::new(Fragile { account: env::var("FRAGILE_ACCOUNT").ok() }, &ports));
    let routes = Router::new().route("/fragile/{id}", get(show)).route("/fragile/{id}/unpark", post(unpark));
    let router = service::app(routes.with_state(Arc::clone(&projector)), Document::openapi());
    Ok(serve(&config, projector, router).await?)
}
