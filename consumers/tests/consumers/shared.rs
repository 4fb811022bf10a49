//! A view of several streams over HTTP: its tag follows the view, its session token one stream.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use bank::{Account, AccountEvent};
use headwater::{
    StreamId,
    consume::{ApplyError, Envelope, Projection, Projector},
};
use serde::{Deserialize, Serialize};
use service::{KnownAnswers, Problem, SessionToken, tagged};

use crate::bench::{Bank, ask};

/// How often money came in, by the first digit of the account.
struct PerBranch;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Branch {
    credits: u64,
}

impl Projection for PerBranch {
    const NAME: &'static str = "branch";
    type View = Branch;
    type Reads = Account;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id()[..1].to_owned())
    }

    fn apply(&self, view: &mut Branch, envelope: &Envelope<'_, AccountEvent>) -> Result<(), ApplyError> {
        view.credits += u64::from(matches!(envelope.event, AccountEvent::Credited { .. }));
        Ok(())
    }
}

async fn show(
    State(projector): State<Arc<Projector<PerBranch>>>,
    Path(id): Path<String>,
    known: KnownAnswers,
    SessionToken(token): SessionToken,
) -> Result<Response, Problem> {
    let view = projector
        .query(&id, token.as_ref())
        .await
        .map_err(|_| Problem::blank(StatusCode::INTERNAL_SERVER_ERROR))?;
    let shown = token.map(|mut token| {
        token.version = view.applied(&token.stream);
        token
    });
    tagged(&known, shown, &view.state)
}

#[tokio::test(start_paused = true)]
async fn the_tag_of_a_view_changes_whichever_of_its_streams_changed_it_and_not_otherwise() {
    let bank = Bank::new();
    let projector = Arc::new(Projector::new(PerBranch, &bank.ports()));
    let router = Router::new().route("/{id}", get(show)).with_state(Arc::clone(&projector));
    let tag = async |known: Option<&str>, token: Option<&str>| {
        let headers = [("if-none-match", known), ("session-token", token)];
        let headers: Vec<_> = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let (status, headers, body) = ask(&router, "GET", "/4", &headers).await;
        let shown = headers.get("session-token").map(|value| value.to_str().unwrap().to_owned());
        (status.as_u16(), headers["etag"].to_str().unwrap().to_owned(), body["credits"].as_u64(), shown)
    };
    bank.open("42").await;
    bank.open("47").await;
    bank.credit("42", 5).await;
    assert!(bank.deliver(&projector).await.is_empty());
    let (_, one, credits, _) = tag(None, Some("account/42@2")).await;
    assert_eq!(credits, Some(1));
    assert_eq!(tag(Some(&one), Some("account/42@2")).await.0, 304);

    // The other stream changes the view, and what is asked for of the first is the same as before.
    bank.credit("47", 5).await;
    assert!(bank.deliver(&projector).await.is_empty());
    let (status, two, credits, shown) = tag(Some(&one), Some("account/42@2")).await;
    assert_eq!((status, credits, shown.as_deref()), (200, Some(2), Some("account/42@2")));
    assert_ne!(one, two);
    // So does what a query folds itself, for who brings the token of a write that is under way.
    let token = bank.credit("47", 5).await.to_string();
    let (status, three, credits, shown) = tag(Some(&two), Some(&token)).await;
    assert_eq!((status, credits, shown), (200, Some(3), Some(token)));
    assert_eq!(tag(Some(&two), None).await.0, 304, "without the token it is not there yet");
    assert!(bank.deliver(&projector).await.is_empty());
    assert_eq!(tag(Some(&three), None).await, (304, three, None, None));
}
