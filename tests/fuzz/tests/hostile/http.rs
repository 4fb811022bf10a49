//! Requests to every service: bodies, headers, paths and queries, through the real routers.
//!
//! Every answer to a request that is wrong is a problem document that says what is wrong, and none is a fault of ours.

use std::sync::Arc;

use axum::{Router, body::Body};
use consumers::{
    balance::{self, Balances},
    credit_limit::{self, CreditLimits},
};
use headwater::{consume::Projector, memory::World};
use http::{HeaderMap, Request, StatusCode, header};
use producers::{Bank, accounts, credit, transfers, users, withdraw};
use serde_json::Value;
use tower::ServiceExt;

use crate::{seeds::bank, world::run};

pub(crate) fn holds(document: &[u8]) {
    let Some(request) = parse(document) else { return };
    run(async move {
        let path = request.uri().path().to_owned();
        let router = service(&path).await;
        let (parts, body) = router.oneshot(request).await.expect("infallible").into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        is_right(&path, parts.status, &parts.headers, &body);
    });
}

/// The service that is asked, with an account 42 at version 5.
async fn service(path: &str) -> Router {
    let world = World::new(1);
    bank(&world).await;
    let ports = world.ports();
    let records = world.log.records();
    if path.starts_with("/balance") {
        let projector = Projector::new(Balances, &ports);
        projector.project(&records).await;
        return balance::router(Arc::new(projector));
    }
    if path.starts_with("/credit-limit") {
        let projector = Projector::forwarding(CreditLimits, &ports, Arc::clone(&ports.log));
        projector.project(&records).await;
        return credit_limit::router(Arc::new(projector));
    }
    let bank = Bank::new(ports);
    match path.rsplit('/').next() {
        Some("credit") => credit::app(bank),
        Some("withdraw") => withdraw::app(bank),
        _ if path.starts_with("/transfers") => transfers::app(bank),
        _ if path.starts_with("/user") => users::app(bank),
        _ => accounts::app(bank),
    }
}

/// A request as text; `None` where a server would not take it for one.
fn parse(document: &[u8]) -> Option<Request<Body>> {
    let blank = document.windows(2).position(|two| two == b"\n\n")?;
    let (head, body) = (&document[..blank], &document[blank + 2..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&line[..space]).uri(&line[space + 1..]);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Body::from(body.to_vec())).ok()
}

fn is_right(path: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    assert!(!status.is_server_error(), "{status}: {text}");
    if !status.is_client_error() {
        return;
    }
    assert_eq!(
        headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes),
        Some(b"application/problem+json".as_slice()),
        "{text}"
    );
    if body.is_empty() {
        // The answer to HEAD.
        return;
    }
    let problem: Value = serde_json::from_slice(body).expect("a problem document");
    let said = |member: &str| problem[member].as_str().unwrap_or_default();
    assert_eq!(problem["status"], status.as_u16(), "{text}");
    assert_eq!(said("instance"), path, "{text}");
    assert!(!said("title").is_empty(), "{text}");
    match said("type") {
        // The status says it all: no such route, method, or media type, or too long.
        "about:blank" => assert!(matches!(status.as_u16(), 404 | 405 | 413 | 415), "{status}: {text}"),
        // A member without a name is named as what it is: the empty text.
        "/problems/invalid" => assert!(problem["field"].is_string() && !said("detail").is_empty(), "{text}"),
        kind => assert!(kind.starts_with("/problems/"), "{text}"),
    }
}
