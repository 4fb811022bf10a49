//! A place where the bank runs, whatever it is: the embedded AWS with its processes, or a stack that was deployed.
//!
//! 1. [`Place::here`] looks at the environment: without `HEADWATER_URL` a cluster is started, which lives as long as the place;
//!    with it the stack is used that `infra/deploy` has told of ([`Deployment`]). With `AWS_ENDPOINT_URL_S3` and
//!    `AWS_ENDPOINT_URL_KINESIS` the cluster's S3 and Kinesis are those of other programs.
//! 2. [`Place::get`] and [`Place::post`] ask the bank over HTTP, each service at its own address or all behind one API, whose
//!    requests are signed.
//! 3. What callers were told is kept for the invariants ([`Told`]).
//! 4. S3 and Kinesis are read with the real clients, through the ports.
//!
//! Others may use the same stack at the same time, and it may hold the streams of years: every run names its own streams
//! ([`Place::name`]), and looks at no others ([`Place::owns`]).

mod ask;
mod deployment;
mod sign;
mod told;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use headwater::{
    StreamId,
    aws::{self, AwsLog, Clients},
    port::{Entropy, Objects, Ports, SystemEntropy},
};
use headwater_tool::cluster::{ARCHIVE, CREDIT_LIMITS, Cluster, Options, STORE, STREAM};
use localstack::Elsewhere;
use reqwest::{Client, Method};
use serde_json::Value;

use self::sign::Signer;
pub use self::{ask::Ask, deployment::Deployment, told::Told};
use crate::PATIENCE;

/// Processes of each service in a cluster: two, so that they race.
const PROCESSES: usize = 2;
/// How long anything may take in a deployed stack: views and archive may be minutes behind there.
const DEPLOYED_PATIENCE: Duration = Duration::from_mins(5);
/// Letters of what a run's names begin with.
const RUN: usize = 10;

/// Where the bank runs.
pub struct Place {
    services: Services,
    resources: Resources,
    clients: Clients,
    http: Client,
    told: Told,
    run: String,
}

/// How the services are reached.
enum Services {
    /// Each process at its own address; the next request goes to the next one.
    Processes { cluster: Box<Cluster>, next: AtomicUsize },
    /// All behind one API.
    Api { url: String, signer: Signer },
}

/// The names of the buckets and streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// The store's bucket.
    pub store: String,
    /// The archive's bucket.
    pub archive: String,
    /// The stream that commits are published to.
    pub stream: String,
    /// The stream that changed credit limits are forwarded to.
    pub forward: String,
}

impl Place {
    /// The deployed stack that the environment tells of; without one a cluster, started for this place.
    pub async fn here() -> Self {
        match Deployment::from_lookup(|name| std::env::var(name).ok()) {
            Some(deployment) => Self::deployed(deployment).await,
            None => Self::started().await,
        }
    }

    /// A deployed stack.
    #[expect(clippy::expect_used, reason = "a test that cannot ask has failed")]
    pub async fn deployed(deployment: Deployment) -> Self {
        let clients = aws::connect(&deployment.settings()).await.expect("a region and credentials");
        let Deployment { url, resources, .. } = deployment;
        let services = Services::Api { url, signer: Signer::new(&clients) };
        Self::new(services, resources, clients)
    }

    #[expect(clippy::expect_used, reason = "a test that cannot ask has failed")]
    async fn started() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let elsewhere = set("AWS_ENDPOINT_URL_S3").zip(set("AWS_ENDPOINT_URL_KINESIS"));
        let elsewhere = elsewhere.map(|(s3, kinesis)| Elsewhere { s3, kinesis, credentials: None });
        let options = Options { processes: PROCESSES, elsewhere, ..Options::default() };
        let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
        let clients = cluster.clients().await.expect("clients");
        let [store, archive, stream, forward] = [STORE, ARCHIVE, STREAM, CREDIT_LIMITS].map(str::to_owned);
        let services = Services::Processes { cluster: Box::new(cluster), next: AtomicUsize::new(0) };
        Self::new(services, Resources { store, archive, stream, forward }, clients)
    }

    fn new(services: Services, resources: Resources, clients: Clients) -> Self {
        let mut run = SystemEntropy.unique();
        run.truncate(RUN);
        let (http, told) = (Client::new(), Told::default());
        Self { services, resources, clients, http, told, run: format!("r{run}") }
    }

    /// Whether all requests go through one API.
    pub fn is_deployed(&self) -> bool {
        matches!(self.services, Services::Api { .. })
    }

    /// How long anything may take here that is waited for.
    pub fn patience(&self) -> Duration {
        if self.is_deployed() { DEPLOYED_PATIENCE } else { PATIENCE }
    }

    /// A name of this run, for a stream's id or a unique value: the same for the same word.
    pub fn name(&self, word: &str) -> String {
        format!("{}-{word}", self.run)
    }

    /// Whether a stream is this run's, by its name or because a caller was told of it.
    pub fn owns(&self, stream: &StreamId) -> bool {
        let named = stream.id().strip_prefix(&self.run).is_some_and(|rest| rest.starts_with('-'));
        named || self.told.knows(stream)
    }

    /// A question, as `/balance/42`.
    pub fn get(&self, path: impl Into<String>) -> Ask<'_> {
        Ask::new(self, Method::GET, path.into())
    }

    /// A command with a key of its own, which a repeat keeps.
    pub fn post(&self, path: impl Into<String>, body: &Value) -> Ask<'_> {
        let ask = Ask::new(self, Method::POST, path.into());
        ask.with_body("application/json", body.to_string()).with_key(&SystemEntropy.unique())
    }

    /// What callers of this run were told.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The store's bucket and the stream.
    pub fn ports(&self) -> Ports {
        self.clients.ports(&self.resources.store, &self.resources.stream)
    }

    /// The archive's bucket.
    pub fn archive(&self) -> Arc<dyn Objects> {
        Arc::new(self.clients.objects(&self.resources.archive))
    }

    /// The stream that commits are published to.
    pub fn stream(&self) -> &str {
        &self.resources.stream
    }

    /// The stream that changed credit limits are forwarded to.
    pub fn forwarded(&self) -> AwsLog {
        self.clients.log(&self.resources.forward)
    }

    /// Where a path is asked for: the API, or one of the processes of the service that has it.
    fn url(&self, path: &str) -> String {
        match &self.services {
            Services::Api { url, .. } => format!("{url}{path}"),
            Services::Processes { cluster, next } => {
                let urls = cluster.urls(service(path));
                let next = next.fetch_add(1, Ordering::Relaxed);
                format!("{}{path}", urls[next % urls.len()])
            }
        }
    }

    /// What signs requests, where that is asked for.
    fn signer(&self) -> Option<&Signer> {
        match &self.services {
            Services::Api { signer, .. } => Some(signer),
            Services::Processes { .. } => None,
        }
    }
}

/// The service that a path belongs to: what an API's routes say.
fn service(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next().unwrap_or_default(), parts.nth(1)) {
        ("accounts", Some(part @ ("credit" | "withdraw"))) => part,
        ("usernames", _) => "users",
        (first, _) => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_one_service() {
        for (path, owner) in [
            ("/accounts", "accounts"),
            ("/accounts/42/close", "accounts"),
            ("/accounts/credit", "accounts"),
            ("/accounts/42/credit", "credit"),
            ("/accounts/42/withdraw", "withdraw"),
            ("/balance/42?token=account%2F42%4017", "balance"),
            ("/credit-limit/42", "credit-limit"),
            ("/usernames/ann", "users"),
        ] {
            assert_eq!(service(path), owner, "{path}");
        }
    }
}
