//! The services over a world in memory, and a caller that looks at whole answers.

use std::sync::Arc;

use axum::{Router, body::Body};
use bank::{Outcome, Transfer, TransferCommand};
use headwater::{
    Options, Version,
    memory::{FaultyLog, FaultyObjects, World},
    port::Ports,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Bank, accounts, credit, transfers, users, withdraw};

/// One process of each service, over ports that fail as a test says.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) bank: Bank,
    pub(crate) objects: Arc<FaultyObjects>,
    pub(crate) log: Arc<FaultyLog>,
    accounts: Router,
    credit: Router,
    transfers: Router,
    users: Router,
    withdraw: Router,
}

/// What a caller sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Services {
    /// Services in a world of their own.
    pub(crate) fn alone() -> Self {
        Self::within(&World::new(7))
    }

    /// Services in this world, beside others.
    pub(crate) fn within(world: &World) -> Self {
        let objects = Arc::new(FaultyObjects::new(world.objects.clone()));
        let log = Arc::new(FaultyLog::new(world.log.clone()));
        let bank = Bank::new(Ports { objects: objects.clone(), log: log.clone(), ..world.ports() });
        let (accounts, credit) = (accounts::app(bank.clone()), credit::app(bank.clone()));
        let transfers = transfers::app(bank.clone());
        let (users, withdraw) = (users::app(bank.clone()), withdraw::app(bank.clone()));
        Self { bank, objects, log, accounts, credit, transfers, users, withdraw }
    }

    /// Services with an account `42` of this overdraft limit and balance.
    pub(crate) async fn with_account(overdraft_limit: i64, balance: i64) -> Self {
        let services = Self::alone();
        services.open(overdraft_limit, balance).await;
        services
    }

    /// Services with a user `42`.
    pub(crate) async fn with_user() -> Self {
        let services = Self::alone();
        let registered = services.post("/users", json!({"id": "42", "username": "zoe"}), &[]).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        services
    }

    /// Services with the accounts `42` to `44`, and 100 in the first.
    pub(crate) async fn with_accounts() -> Self {
        let services = Self::with_account(0, 100).await;
        for id in ["43", "44"] {
            let opened = services.post("/accounts", json!({"id": id}), &[]).await;
            assert_eq!(opened.status, 201, "{opened:?}");
        }
        services
    }

    /// Services with the accounts `42` to `44`, and a transfer `42` whose money nobody takes.
    pub(crate) async fn with_stranded_transfer() -> Self {
        let services = Self::with_accounts().await;
        let order = json!({"id": "42", "from": "42", "to": "43", "amount": 70});
        services.post("/transfers", order, &[]).await;
        for (step, outcome) in [
            (1, Outcome::Moved),
            (2, Outcome::Declined { reason: "no".to_owned() }),
            (3, Outcome::Declined { reason: "no".to_owned() }),
        ] {
            let record = TransferCommand::Record { step: Version::new(step), outcome };
            let store = services.bank.store();
            store.execute::<Transfer>("42", record, Options::default()).await.expect("executes");
        }
        services
    }

    /// Opens the account `42`.
    pub(crate) async fn open(&self, overdraft_limit: i64, balance: i64) {
        let opened =
            self.post("/accounts", json!({"id": "42", "overdraft_limit": overdraft_limit}), &[]).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        if balance > 0 {
            let credited = self.post("/accounts/42/credit", json!({"amount": balance}), &[]).await;
            assert_eq!(credited.status, 200, "{credited:?}");
        }
    }

    /// Sends a JSON body.
    pub(crate) async fn post(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let json = [("content-type", "application/json")];
        let headers: Vec<_> = json.iter().chain(headers).copied().collect();
        self.send(Method::POST, path, &headers, body.to_string()).await
    }

    /// Asks for what is there.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, String::new()).await
    }

    /// Sends a request to the service that it is for.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let router = match path.rsplit('/').next() {
            Some("credit") => &self.credit,
            Some("withdraw") => &self.withdraw,
            _ if path.starts_with("/transfers") => &self.transfers,
            _ if path.starts_with("/user") => &self.users,
            _ => &self.accounts,
        };
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = router.clone().oneshot(request.body(body.into()).expect("a request")).await;
        Answer::read(answer.expect("infallible")).await
    }

    /// The example of every POST in the services' documents, with its path.
    pub(crate) async fn examples(&self) -> Vec<(String, Value)> {
        let mut examples = Vec::new();
        for router in [&self.accounts, &self.credit, &self.withdraw, &self.transfers, &self.users] {
            let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
            let document = router.clone().oneshot(request).await.expect("infallible");
            examples.extend(posts(&Answer::read(document).await.json));
        }
        examples
    }
}

fn posts(document: &Value) -> Vec<(String, Value)> {
    let schemas = &document["components"]["schemas"];
    let paths = document["paths"].as_object().expect("paths");
    let posts = paths.iter().filter_map(|(path, item)| Some((path, item.get("post")?)));
    let example = |(path, post): (&String, &Value)| {
        let schema = &post["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let name = schema.as_str().and_then(|name| name.rsplit('/').next());
        (path.replace("{id}", "42"), name.map_or(Value::Null, |name| schemas[name]["example"].clone()))
    };
    posts.map(example).collect()
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let mut headers = parts.headers;
        headers.remove(http::header::CONTENT_LENGTH);
        Self { status: parts.status, headers, json }
    }

    /// A header as text.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).expect(name).to_str().expect("text")
    }

    /// Expects a problem document of this status and kind.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> &Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json["type"], format!("/problems/{kind}"), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        &self.json
    }
}
