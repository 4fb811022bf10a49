//! Bad input against real processes: each is refused with a status and a word for what is wrong, and nothing is written.
//!
//! 1. `requests`: what a caller of the services gets wrong, in bodies, paths, headers and tokens.
//! 2. `surroundings`: what stands or is set up wrongly: a head that nobody can read, a missing bucket, wrong credentials.
//! 3. `command`: what a user of `headwater` gets wrong: targets, ports, lines of an import.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod command;
mod requests;
mod standing;
mod surroundings;

use headwater::port::Ports;
use headwater_tests::Answer;
use headwater_tool::cluster::{self, Cluster, STORE, STREAM};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use standing::Standing;

/// The services without Lambdas, so that nobody writes on his own, and an account with 100 in it.
struct World {
    cluster: Cluster,
    ports: Ports,
    http: Client,
}

impl World {
    async fn new() -> Self {
        let options = cluster::Options { shards: 1, lambdas: false, ..cluster::Options::default() };
        let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
        let ports = cluster.clients().await.expect("clients").ports(STORE, STREAM);
        let world = Self { cluster, ports, http: Client::new() };
        world.account("42").await;
        world
    }

    /// Opens an account and puts 100 into it.
    async fn account(&self, id: &str) {
        let opened = Answer::to(self.post("accounts", "/accounts", &json!({ "id": id }).to_string())).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        let credit = self.post("credit", &format!("/accounts/{id}/credit"), r#"{"amount":100}"#);
        assert_eq!(Answer::to(credit).await.status, 200);
    }

    fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.cluster.urls(service)[0])
    }

    fn get(&self, service: &str, path: &str) -> RequestBuilder {
        self.http.get(self.url(service, path))
    }

    fn post(&self, service: &str, path: &str, body: &str) -> RequestBuilder {
        let request = self.http.post(self.url(service, path));
        request.header("content-type", "application/json").body(body.to_owned())
    }

    async fn standing(&self) -> Standing {
        Standing::of(self.cluster.aws(), &self.ports).await
    }
}

/// What a refusal must say; a field only where there is one to be named.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    status: u16,
    kind: &'static str,
    field: Option<&'static str>,
}

impl Refusal {
    const fn of(status: u16, kind: &'static str) -> Self {
        Self { status, kind, field: None }
    }

    const fn invalid(status: u16, field: &'static str) -> Self {
        Self { status, kind: "/problems/invalid", field: Some(field) }
    }

    /// What is wrong with an answer that should be this refusal.
    fn differs(self, answer: &Answer) -> Option<String> {
        let json = &answer.json;
        let is = answer.status == self.status
            && answer.media_type == "application/problem+json"
            && json["status"] == self.status
            && json["type"] == self.kind
            && json["field"] == self.field.map_or(Value::Null, Value::from)
            && json["instance"].is_string();
        (!is).then(|| format!("{self:?} was expected, {answer:?} came"))
    }
}
