//! Shards are split and merged while clients write without a pause, and Lambdas die, time out and are throttled: order
//! (H4), the archive (H10) and the views (H11) hold. What a mapping gives up on is kept, and the views that miss it are
//! mended.
//!
//! 1. The archiver and two projections get one invocation at a time, for more shards than that.
//! 2. Clients write, and at the same time
//!    - shards are split and merged, some before a record has come to them;
//!    - some PUTs of views and segments are done and never answered, so that the Lambda ends at its timeout;
//!    - Lambdas are killed;
//!    - S3 refuses the views of two accounts, until `balance` is given up on for their records.
//! 3. One of the two accounts is written once more, which heals its view; the views are rebuilt for the other one.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use headwater::{
    StreamId, Version,
    aws::Clients,
    evidence::arrivals,
    format::{key, record::Record, view::View},
    port::{Arrival, Got, Keys, Objects, Sequence},
};
use headwater_tests::{Answer, PATIENCE, assert_every_invariant, plan, rebuilt, until};
use headwater_tool::{
    cluster::{self, ARCHIVE, Cluster, FAILURES, Relay, STORE, STREAM},
    drive::{self, Driven, Plan},
};
use indicatif::ProgressBar;
use localstack::{Fault, FunctionOptions, Gate, Invocations, Request};
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The Lambdas that everything happens to.
const HARMED: [&str; 3] = ["archiver", "balance", "credit-limit"];

/// The accounts whose views S3 refuses.
const LOST: [&str; 2] = ["healed", "rebuilt"];

/// How long an invocation may take here: less than anybody waits for an answer of S3.
const INVOCATION: Duration = Duration::from_secs(3);

/// How often each Lambda times out, and how often it dies: together less often than the projections' mappings try again.
const OFTEN: u64 = 2;

/// A change of the shards that take records, by their place in the order of their hash keys.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// In two halves.
    Split(usize),
    /// With the next one.
    Merge(usize),
}

use Change::{Merge, Split};

/// What is done to three shards. Clients write between the rounds; within a round hardly a record comes.
const ROUNDS: [&[Change]; 9] = [
    &[Split(0)],
    &[Merge(1)],
    &[Split(1), Split(1), Merge(2)],
    &[Merge(0), Split(0)],
    &[Merge(2)],
    &[Split(2), Merge(0)],
    &[Split(0)],
    &[Merge(1), Merge(0), Merge(0)],
    &[Split(0)],
];

/// How many commands are answered between two rounds.
const BETWEEN: u64 = 100;

/// A shard that takes records, and the hash keys that it has.
struct Open {
    id: String,
    from: u128,
    through: u128,
}

struct World {
    cluster: Cluster,
    aws: Clients,
    http: Client,
    spoilt: Arc<Spoilt>,
    /// Holds the answers that never come.
    never: Gate,
}

/// What S3 does not do as it should.
#[derive(Default)]
struct Spoilt {
    /// It refuses the views of [`LOST`].
    refused: AtomicBool,
    /// The Lambdas whose next PUT is done and not answered.
    stalled: Mutex<BTreeSet<&'static str>>,
}

impl World {
    async fn new() -> Self {
        let options = cluster::Options {
            processes: 2,
            shards: 3,
            invocation: INVOCATION,
            relay: Some(Relay::every_seconds(3)),
            ..cluster::Options::default()
        };
        let cluster = Cluster::start(options, |_| ()).await.expect("the cluster starts");
        let aws = cluster.clients().await.expect("clients");
        Self { cluster, aws, http: Client::new(), spoilt: Arc::default(), never: Gate::new() }
    }

    /// One invocation at a time, from now on.
    fn throttle(&self) {
        for name in HARMED {
            self.cluster.aws().function(FunctionOptions { concurrency: 1, ..self.cluster.function(name) });
        }
    }

    /// Lets S3 do from now on what [`Spoilt`] says.
    fn spoil(&self) {
        let (spoilt, never) = (Arc::clone(&self.spoilt), self.never.clone());
        let lost = LOST.map(|id| key::view("balance", id));
        self.cluster.aws().on_request(move |request: &Request| {
            let key = request.key.as_deref().unwrap_or_default();
            match request.operation.as_str() {
                "s3:GetObject"
                    if lost.iter().any(|lost| lost == key) && spoilt.refused.load(Ordering::Relaxed) =>
                {
                    Fault::Respond(StatusCode::FORBIDDEN, "AccessDenied")
                }
                "s3:PutObject" => {
                    let segment = request.bucket.as_deref() == Some(ARCHIVE);
                    let by = |name: &&str| match *name {
                        "archiver" => segment,
                        projection => key.starts_with(&format!("views/{projection}/")),
                    };
                    let by = HARMED.into_iter().find(by);
                    let mut stalled = spoilt.stalled.lock().expect("nobody panicked");
                    let stalls = by.is_some_and(|name| stalled.remove(name));
                    if stalls { Fault::HoldAfter(never.clone()) } else { Fault::Pass }
                }
                _ => Fault::Pass,
            }
        });
    }

    fn invocations(&self, function: &str) -> Invocations {
        self.cluster.aws().invocations(function)
    }

    /// Lets a Lambda wait for an answer until its time is over, and kills it in the middle of an invocation, a few times each.
    async fn harm(&self, name: &'static str) {
        for times in 1..=OFTEN {
            self.spoilt.stalled.lock().expect("nobody panicked").insert(name);
            until("a Lambda times out", async || self.invocations(name).timeouts == times).await;
        }
        until("a Lambda dies in an invocation", async || {
            let counted = self.invocations(name);
            if counted.errors >= counted.timeouts + OFTEN {
                return true;
            }
            let mut processes = self.cluster.processes().into_iter();
            let process = processes.rfind(|process| process.lambda && process.name == name);
            let pid = process.and_then(|process| Pid::from_raw(process.id.try_into().ok()?));
            // It may have ended by itself.
            pid.map(|pid| kill_process(pid, Signal::KILL).ok());
            false
        })
        .await;
    }

    async fn post(&self, service: &str, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.cluster.urls(service)[0]);
        Answer::to(self.http.post(url).json(&body)).await
    }

    async fn credit(&self, id: &str) {
        let credited = self.post("credit", &format!("/accounts/{id}/credit"), json!({"amount": 5})).await;
        assert_eq!((credited.status.as_u16(), &credited.json["publication"]), (200, &json!("published")));
    }

    /// How far the view of a lost account is.
    async fn applied(&self, id: &str) -> Version {
        match self.aws.objects(STORE).get(&key::view("balance", id), None).await.expect("S3 answers") {
            Got::Found { body, .. } => View::<Value>::decode(&body).expect("a view").applied(&account(id)),
            Got::Missing | Got::Unchanged => Version::ZERO,
        }
    }

    /// Every record that came, a shard behind those that it came from.
    async fn arrivals(&self) -> Vec<Arrival> {
        arrivals(&self.aws.log(STREAM)).await.expect("every record is there")
    }

    async fn open_shards(&self) -> Vec<Open> {
        let listed = self.aws.kinesis().list_shards().stream_name(STREAM).send().await.expect("shards");
        let open = listed.shards().iter().filter_map(|shard| {
            let records = shard.sequence_number_range()?;
            let keys = shard.hash_key_range()?;
            let [from, through] =
                [keys.starting_hash_key(), keys.ending_hash_key()].map(|key| key.parse().expect("a number"));
            records.ending_sequence_number().is_none().then(|| Open {
                id: shard.shard_id().to_owned(),
                from,
                through,
            })
        });
        let mut open: Vec<Open> = open.collect();
        open.sort_by_key(|shard| shard.from);
        open
    }

    async fn change(&self, change: Change) {
        let (open, kinesis) = (self.open_shards().await, self.aws.kinesis());
        match change {
            Split(place) => {
                let shard = &open[place];
                let middle = shard.from + (shard.through - shard.from) / 2 + 1;
                let split = kinesis.split_shard().stream_name(STREAM).shard_to_split(&shard.id);
                split.new_starting_hash_key(middle.to_string()).send().await.expect("it is split");
            }
            Merge(place) => {
                let merge = kinesis.merge_shards().stream_name(STREAM).shard_to_merge(&open[place].id);
                merge.adjacent_shard_to_merge(&open[place + 1].id).send().await.expect("they are merged");
            }
        }
    }

    /// Splits and merges, while the clients go on.
    async fn reshard(&self, clients: &drive::Clients) {
        for round in ROUNDS {
            let before = clients.so_far().commands;
            until("clients write", async || clients.so_far().commands >= before + BETWEEN).await;
            for change in round {
                self.change(*change).await;
            }
        }
    }

    /// Lets S3 refuse the lost accounts' views until their records are given up on, and heals one of them by its next
    /// commit.
    async fn lose(&self) {
        self.spoilt.refused.store(true, Ordering::Relaxed);
        for id in LOST {
            self.credit(id).await;
        }
        let records: Vec<(String, Sequence)> = self
            .arrivals()
            .await
            .into_iter()
            .filter(|arrival| {
                let record = Record::decode(&arrival.data).expect("a commit");
                let written = |id: &&str| {
                    record.stream == account(id)
                        && record.commits.iter().any(|commit| commit.first > Version::new(1))
                };
                LOST.iter().any(written)
            })
            .map(|arrival| (arrival.shard, arrival.sequence))
            .collect();
        assert!(records.len() >= LOST.len());
        until("the records are given up on", async || {
            let given_up = self.given_up().await;
            records.iter().all(|record| given_up.contains(record))
        })
        .await;
        self.spoilt.refused.store(false, Ordering::Relaxed);
        for id in LOST {
            assert_eq!(
                self.applied(id).await,
                Version::new(1),
                "the view of {id} misses what was given up on"
            );
        }

        // Who knows of the write sees it; the next commit heals the view for everybody.
        for id in LOST {
            let url = format!("{}/balance/{id}?token=account/{id}@2", self.cluster.urls("balance")[0]);
            let seen = Answer::to(self.http.get(url)).await;
            assert_eq!((seen.status.as_u16(), &seen.json["balance"]), (200, &json!(5)));
        }
        self.credit(LOST[0]).await;
        until("the next commit heals the view", async || self.applied(LOST[0]).await == Version::new(3))
            .await;
    }

    /// The places of all records that the mapping of `balance` gave up on, alone.
    async fn given_up(&self) -> BTreeSet<(String, Sequence)> {
        let failures = self.aws.objects(FAILURES);
        let mut places = BTreeSet::new();
        for object in failures.list_all(&Keys::under("")).await.expect("S3 answers") {
            let Got::Found { body, .. } = failures.get(&object.key, None).await.expect("S3 answers") else {
                panic!("{} is gone", object.key);
            };
            let document: Value = serde_json::from_slice(&body).expect("JSON");
            let (context, batch) = (&document["requestContext"], &document["KinesisBatchInfo"]);
            assert_eq!(context["condition"], "RetryAttemptsExhausted");
            assert!(
                context["functionArn"].as_str().is_some_and(|arn| arn.ends_with(":balance")),
                "{document}"
            );
            assert_eq!(
                (&batch["batchSize"], &batch["endSequenceNumber"]),
                (&json!(1), &batch["startSequenceNumber"])
            );
            let [shard, sequence] =
                ["shardId", "startSequenceNumber"].map(|name| batch[name].as_str().expect("text"));
            places.insert((shard.to_owned(), sequence.to_owned().try_into().expect("a sequence number")));
        }
        places
    }
}

fn account(id: &str) -> StreamId {
    StreamId::new("account", id).expect("a stream")
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_split_and_merged_while_clients_write_and_lambdas_fail() {
    let world = World::new().await;
    for id in LOST {
        assert_eq!(world.post("accounts", "/accounts", json!({"id": id})).await.status, StatusCode::CREATED);
    }
    assert!(world.cluster.drain(PATIENCE).await, "the views have them");
    world.throttle();
    world.spoil();

    let clients = drive::Clients::new(Plan { clients: 12, ..plan(&world.cluster, 24, 7) });
    let (mut driven, bar) = (Driven::new().expect("nothing yet"), ProgressBar::hidden());
    clients.open(&mut driven, &bar).await.expect("every command is answered");
    let over = AtomicBool::new(false);
    let harm = async {
        tokio::join!(world.reshard(&clients), world.lose(), join_all(HARMED.map(|name| world.harm(name))));
        over.store(true, Ordering::Relaxed);
    };
    let more = || !over.load(Ordering::Relaxed);
    let (sent, ()) = tokio::join!(clients.send(more, &mut driven, &bar), harm);
    sent.expect("every command is answered, and every write is read");

    assert!(world.cluster.drain(PATIENCE).await, "every shard is read to its end");
    assert_eq!(world.applied(LOST[1]).await, Version::new(1), "nobody has told the view");
    rebuilt(&world.cluster, "balance", &[]).await;
    driven.ledger.extend([(account(LOST[0]), 10), (account(LOST[1]), 5)]);
    assert_every_invariant(&world.cluster, &driven).await;

    // It would prove nothing, had nothing happened.
    for name in HARMED {
        let counted = world.invocations(name);
        assert!(counted.throttles > 0, "{name}: {counted:?}");
        assert!(counted.timeouts >= OFTEN && counted.errors >= 2 * OFTEN, "{name}: {counted:?}");
    }
    let mut shards: BTreeMap<(StreamId, Version), BTreeSet<String>> = BTreeMap::new();
    let mut written = BTreeSet::new();
    for arrival in world.arrivals().await {
        let record = Record::decode(&arrival.data).expect("a commit");
        for commit in record.commits {
            shards.entry((record.stream.clone(), commit.first)).or_default().insert(arrival.shard.clone());
        }
        written.insert(arrival.shard);
    }
    let apart = shards.values().filter(|shards| shards.len() > 1).count();
    assert!(apart > 0, "no commit came again behind a split or a merge");
    let objects = world.aws.objects(ARCHIVE).list_all(&Keys::under("archive/")).await.expect("S3 answers");
    let chains: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| Some(object.key.split_once("shard=")?.1.split_once('/')?.0.to_owned()))
        .collect();
    assert_eq!(chains, written, "every shard with a record has a chain of its own");
    assert!(written.len() > ROUNDS.len(), "{written:?}");
    world.never.release();
}
