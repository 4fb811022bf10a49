//! `headwater up`: the whole pipeline on this machine, until Ctrl-C.

use std::{path::PathBuf, time::Duration};

use localstack::{Credentials, Elsewhere};
use reqwest::Url;

use crate::{
    Failure,
    cluster::{Cluster, ClusterError, Options, Ports, Relay},
    target::endpoint::parse,
};

/// How long Ctrl-C waits for what is under way.
const DRAIN: Duration = Duration::from_secs(15);

/// Starts the local AWS, the bank's services and Lambdas, the archiver and the relay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep everything in this directory; in memory without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Use S3 and Kinesis that listen there, as `http://127.0.0.1:9000`, instead of the local AWS's: buckets and streams are made there,
    /// while functions and services run here. `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` say who asks
    #[arg(long, value_name = "URL", value_parser = parse)]
    endpoint: Option<Url>,
    /// Where Kinesis listens, if elsewhere than at `--endpoint`
    #[arg(long, value_name = "URL", value_parser = parse, requires = "endpoint")]
    kinesis_endpoint: Option<Url>,
    /// The port of the local AWS; the services take 8080 to 8087.
    #[arg(long, default_value_t = localstack::DEFAULT_PORT)]
    port: u16,
    /// Take free ports for everything.
    #[arg(long)]
    any_port: bool,
    /// Shards of the stream.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    shards: u32,
    /// Seconds between two passes of the relay, which looks at what is at least as old; AWS's is a minute.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    relay: u64,
}

/// Why it ended otherwise than by Ctrl-C.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// It did not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Ctrl-C cannot be listened for.
    #[error("Ctrl-C cannot be listened for: {0}")]
    Signal(#[from] std::io::Error),
    /// What was under way did not end in time.
    #[error("something was still under way after {DRAIN:?}; with --data the next `up` goes on with it")]
    NotDrained,
}

impl From<UpError> for Failure {
    fn from(error: UpError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Runs until Ctrl-C.
pub async fn run(args: Args) -> Result<(), Failure> {
    Ok(up(args).await?)
}

async fn up(args: Args) -> Result<(), UpError> {
    let ports = if args.any_port { Ports::Free } else { Ports::Fixed(args.port) };
    let relay = Some(Relay::every_seconds(args.relay));
    let elsewhere = args.endpoint.map(|endpoint| elsewhere(&endpoint, args.kinesis_endpoint.as_ref()));
    let data = args.data;
    let options = Options { ports, data, elsewhere, shards: args.shards, relay, ..Options::default() };
    let cluster = Cluster::start(options, |step| eprintln!("starting {step}")).await?;
    println!("{}", greeting(&cluster));
    stopped().await?;
    eprintln!("stopping: what is under way is finished first");
    if cluster.stop(DRAIN).await { Ok(()) } else { Err(UpError::NotDrained) }
}

/// What another program provides, for whoever the environment says.
fn elsewhere(endpoint: &Url, kinesis: Option<&Url>) -> Elsewhere {
    let plain = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let credentials = set("AWS_ACCESS_KEY_ID").zip(set("AWS_SECRET_ACCESS_KEY"));
    Elsewhere {
        s3: plain(endpoint),
        kinesis: plain(kinesis.unwrap_or(endpoint)),
        credentials: credentials
            .map(|(access_key_id, secret_access_key)| Credentials { access_key_id, secret_access_key }),
    }
}

/// Ctrl-C, or what a supervisor sends.
pub(crate) async fn stopped() -> std::io::Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended,
        _ = terminated.recv() => Ok(()),
    }
}

/// Where everything is, and what to try.
fn greeting(cluster: &Cluster) -> String {
    let url = |service| cluster.urls(service).into_iter().next().unwrap_or_default();
    let aws = cluster.endpoint();
    let (accounts, credit, withdraw) = (url("accounts"), url("credit"), url("withdraw"));
    let (balance, limit, users) = (url("balance"), url("credit-limit"), url("users"));
    let (transfers, exceptions) = (url("transfers"), url("exceptions"));
    format!(
        r#"
  AWS           {aws}
  accounts      {accounts}
  credit        {credit}
  withdraw      {withdraw}
  balance       {balance}
  credit-limit  {limit}
  users         {users}
  transfers     {transfers}
  exceptions    {exceptions}

Try:
  curl -i {accounts}/accounts -H 'content-type: application/json' -d '{{"id":"42","overdraft_limit":5000}}'
  curl -i {credit}/accounts/42/credit -H 'content-type: application/json' -H 'idempotency-key: k1' -d '{{"amount":1250}}'
  curl -i '{balance}/balance/42?token=account/42@2'
  curl -i {users}/users -H 'content-type: application/json' -d '{{"id":"9","username":"ann"}}'
  curl -i {accounts}/accounts -H 'content-type: application/json' -d '{{"id":"43","holder":"9"}}'
  curl -i {transfers}/transfers -H 'content-type: application/json' -d '{{"id":"7","from":"42","to":"43","amount":250}}'
  curl -i {transfers}/transfers/7

In another terminal: cargo run --release -- tail --from-start --endpoint {aws}
Ctrl-C finishes what is under way and stops everything."#
    )
}
