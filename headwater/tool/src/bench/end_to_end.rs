//! `end_to_end`: from a command's answer to the view that shows it, through Kinesis, its event source mapping and the Lambda.
//!
//! A client credits an account by the service `credit`, and as soon as it is answered asks the service `balance`, without a
//! session token, again and again until the view has that version. Its questions are [`PAUSE`] apart, so that a figure may be
//! that and one question too large. The embedded mapping looks at its shards every 40 ms: most of what is measured is that.

use std::time::Duration;

use futures::future::try_join_all;
use hdrhistogram::Histogram;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Bench, Error, Figure, Row};
use crate::cluster::{Cluster, Options};

/// Clients, and commands of each.
const LOADS: [(usize, usize); 2] = [(1, 200), (16, 50)];
/// How long a client waits until it asks again.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a command may stay unseen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an account is at: the answer of a command, and of a query.
#[derive(Deserialize)]
struct At {
    version: u64,
}

/// What the clients saw, in microseconds.
struct Seen {
    /// From the request of a command to its answer.
    answered: Histogram<u64>,
    /// From the answer to the view that shows it.
    readable: Histogram<u64>,
    /// One question.
    question: Histogram<u64>,
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let cluster = Cluster::start(Options::default(), |step| bench.say(step)).await?;
    let mut figures = Vec::new();
    for (clients, commands) in LOADS {
        bench.say(format!("{clients} at a time"));
        figures.push(load(&cluster, clients, bench.many(commands).max(2)).await?);
    }
    cluster.stop(PATIENCE).await;
    Ok(figures)
}

async fn load(cluster: &Cluster, clients: usize, commands: usize) -> Result<Figure, Error> {
    let http = Client::new();
    let services = Services::of(cluster)?;
    let seen =
        (0..clients).map(|client| services.client(&http, format!("seen-{clients}-{client}"), commands));
    let begun = Instant::now();
    let seen = try_join_all(seen).await?;
    let rate = (clients * commands) as f64 / begun.elapsed().as_secs_f64();
    let Seen { answered, readable, question } = together(&seen)?;
    let at = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Figure::new(Row::EndToEnd, format!("{clients} at a time"), at(&readable, 0.5), "ms")
        .beside("p99", at(&readable, 0.99), "ms")
        .beside("a question", at(&question, 0.5), "ms")
        .beside("questions", question.len() as f64 / readable.len() as f64, "")
        .beside("an answer", at(&answered, 0.5), "ms")
        .beside("an answer's p99", at(&answered, 0.99), "ms")
        .beside("load", rate, "commands/s"))
}

/// Where the services are.
struct Services {
    accounts: String,
    credit: String,
    balance: String,
}

impl Services {
    fn of(cluster: &Cluster) -> Result<Self, Error> {
        let url = |service: &str| {
            cluster
                .urls(service)
                .into_iter()
                .next()
                .ok_or_else(|| format!("there is no process of {service}"))
        };
        Ok(Self { accounts: url("accounts")?, credit: url("credit")?, balance: url("balance")? })
    }

    /// Opens an account, waits until it is seen, and then times so many commands.
    async fn client(&self, http: &Client, account: String, commands: usize) -> Result<Seen, Error> {
        let mut seen = Seen::new()?;
        let open = http.post(format!("{}/accounts", self.accounts)).json(&json!({"id": account}));
        let At { version } = told(open.send().await?).await?;
        self.until(http, &account, version, &mut Histogram::new(3)?).await?;
        for _ in 0..commands {
            let credit = http.post(format!("{}/accounts/{account}/credit", self.credit));
            let asked = Instant::now();
            let At { version } = told(credit.json(&json!({"amount": 5})).send().await?).await?;
            let answered = Instant::now();
            record(&mut seen.answered, answered - asked)?;
            self.until(http, &account, version, &mut seen.question).await?;
            record(&mut seen.readable, answered.elapsed())?;
        }
        Ok(seen)
    }

    /// Asks until the view has this version.
    async fn until(
        &self,
        http: &Client,
        account: &str,
        version: u64,
        questions: &mut Histogram<u64>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = Instant::now();
            let answer = http.get(format!("{}/balance/{account}", self.balance)).send().await?;
            let shown = match answer.status() {
                StatusCode::NOT_FOUND => 0,
                _ => told(answer).await?.version,
            };
            record(questions, asked.elapsed())?;
            if shown >= version {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("version {version} of {account} is not seen after {PATIENCE:?}").into());
            }
            sleep(PAUSE).await;
        }
    }
}

impl Seen {
    fn new() -> Result<Self, Error> {
        Ok(Self { answered: Histogram::new(3)?, readable: Histogram::new(3)?, question: Histogram::new(3)? })
    }
}

async fn told(answer: Response) -> Result<At, Error> {
    Ok(answer.error_for_status()?.json().await?)
}

fn record(histogram: &mut Histogram<u64>, time: Duration) -> Result<(), Error> {
    Ok(histogram.record(u64::try_from(time.as_micros())?)?)
}

fn together(all: &[Seen]) -> Result<Seen, Error> {
    let mut sum = Seen::new()?;
    for seen in all {
        sum.answered.add(&seen.answered)?;
        sum.readable.add(&seen.readable)?;
        sum.question.add(&seen.question)?;
    }
    Ok(sum)
}
