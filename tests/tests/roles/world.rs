//! Everything that the bank does, at least once by each function that does it.

use std::sync::atomic::{AtomicUsize, Ordering};

use headwater::{
    Options, Settings, Store, StoredEvent, StreamId,
    format::{commit::Meta, head::Head, key},
    limits,
    port::{Got, ObjectError, Ports},
};
use headwater_tests::{Answer, PATIENCE};
use headwater_tool::cluster::{self, Cluster, STORE, STREAM};
use localstack::FunctionOptions;
use reqwest::Client;
use serde_json::{Value, json, value::RawValue};

/// What a commit weighs besides its padding, at most: less than any commit of a service or a process weighs in all.
const ENVELOPE: usize = 300;

/// A cluster, and an operator beside it.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) ports: Ports,
    operator: Store,
    http: Client,
    asked: AtomicUsize,
}

impl World {
    pub(crate) async fn new() -> Self {
        let options = cluster::Options { processes: 2, ..cluster::Options::default() };
        let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
        let ports = cluster.clients().await.expect("clients").ports(STORE, STREAM);
        let operator = Store::new(ports.clone(), Settings::default());
        Self { cluster, ports, operator, http: Client::new(), asked: AtomicUsize::new(0) }
    }

    pub(crate) async fn get(&self, service: &str, path: &str) -> Answer {
        Answer::to(self.http.get(format!("{}{path}", self.cluster.urls(service)[0]))).await
    }

    pub(crate) async fn post(&self, service: &str, path: &str, body: Value) -> Answer {
        let urls = self.cluster.urls(service);
        let url = &urls[self.asked.fetch_add(1, Ordering::Relaxed) % urls.len()];
        Answer::to(self.http.post(format!("{url}{path}")).json(&body)).await
    }

    /// A command that must succeed.
    pub(crate) async fn command(&self, service: &str, path: &str, body: Value) {
        let answer = self.post(service, path, body).await;
        assert!(answer.status.is_success(), "{service} {path}: {answer:?}");
    }

    /// Adds an event that changes nothing, with a padding of so many bytes beside it.
    pub(crate) async fn pad(&self, stream: &str, bytes: usize) {
        let stream = name(stream);
        let (event, data) = match stream.kind() {
            "account" => ("Declined", json!({"transfer": "none", "reason": "none"})),
            "portfolio" => ("Removed", json!({"account": "none"})),
            "transfer" => ("Stranded", json!({"reason": "none"})),
            // By the name that they have.
            "user" => ("Renamed", json!({"username": stream.id()})),
            kind => panic!("nothing is known that changes no {kind}"),
        };
        self.append(&stream, vec![event_of(event, &data)], bytes).await;
    }

    /// Gives a stream a history that is `long` or `full`.
    pub(crate) async fn lengthen(&self, length: &str, stream: &str) {
        match length {
            "long" => self.page(stream).await,
            _ => self.fill(stream).await,
        }
    }

    /// Fills the head of a stream to the brim: the next commit moves what is there to a page.
    async fn fill(&self, stream: &str) {
        let held = match self.ports.objects.get(&key::head(&name(stream)), None).await.expect("S3 answers") {
            Got::Found { body, .. } => Head::decode(&body).expect("a head").weight(),
            Got::Missing | Got::Unchanged => Head::new(name(stream)).weight(),
        };
        let held = held - Head::new(name(stream)).weight();
        self.pad(stream, limits::HEAD_COMMIT_BYTES - ENVELOPE - held).await;
    }

    /// Makes the older half of a stream a page, without a snapshot of it.
    async fn page(&self, stream: &str) {
        for _ in 0..2 {
            self.pad(stream, limits::HEAD_COMMIT_BYTES * 3 / 4).await;
        }
    }

    /// Orders a transfer whose first commit fills its head.
    pub(crate) async fn order_heavily(&self, transfer: &str, from: &str, to: &str) {
        let padding = limits::HEAD_COMMIT_BYTES - ENVELOPE - 100;
        self.append(&transfer_of(transfer), vec![requested(from, to)], padding).await;
    }

    /// A transfer that nobody took, and that can be redirected.
    pub(crate) async fn strand(&self, transfer: &str, from: &str, to: &str) {
        let reason = json!({"reason": "none"});
        let after = [("Debited", Value::Null), ("Bounced", reason.clone()), ("Stranded", reason)];
        let after = after.iter().map(|(event, data)| event_of(event, data));
        let events = [requested(from, to)].into_iter().chain(after).collect();
        self.append(&transfer_of(transfer), events, 0).await;
    }

    async fn append(&self, stream: &StreamId, events: Vec<StoredEvent>, padding: usize) {
        let meta = Meta::from_iter([("padding".to_owned(), json!("x".repeat(padding)))]);
        let options = Options { meta, ..Options::default() };
        self.operator.append(stream, events, options).await.expect("it is appended");
    }

    /// Deletes a view, for the next record to heal it from the head and its pages. A projection may write it meanwhile.
    pub(crate) async fn forget(&self, view: &str) {
        loop {
            let Got::Found { etag, .. } = self.ports.objects.get(view, None).await.expect("S3 answers")
            else {
                panic!("there is no {view}");
            };
            match self.ports.objects.delete(view, &etag).await {
                Ok(()) => return,
                Err(ObjectError::Precondition) => {}
                Err(error) => panic!("{view} is not deleted: {error}"),
            }
        }
    }

    /// A function of a binary, with so much concurrency and another variable.
    pub(crate) fn function(&self, binary: &str, concurrency: usize, variable: Option<(&str, &str)>) {
        let mut function = FunctionOptions { concurrency, ..self.cluster.function(binary) };
        function.env.extend(variable.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.cluster.aws().function(function);
    }

    /// Waits until all Lambdas have taken in all that is in the stream now.
    pub(crate) async fn drain(&self) {
        assert!(self.cluster.drain(PATIENCE).await, "the Lambdas take everything in");
    }
}

fn requested(from: &str, to: &str) -> StoredEvent {
    event_of("Requested", &json!({"from": from, "to": to, "amount": 1, "from_version": 0, "to_version": 0}))
}

fn event_of(name: &str, data: &Value) -> StoredEvent {
    let data = RawValue::from_string(data.to_string()).expect("JSON");
    StoredEvent::new(name, 1, data).expect("an event")
}

fn transfer_of(id: &str) -> StreamId {
    StreamId::new("transfer", id).expect("a stream")
}

fn name(stream: &str) -> StreamId {
    stream.parse().expect("a stream")
}
