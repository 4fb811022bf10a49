//! Where the tool speaks to: AWS, something that listens like it, or a directory of one's own.
//!
//! 1. [`Target`] is what the command line and the environment say.
//! 2. [`Target::connect`] finds region and credentials, for an endpoint on this machine without any configuration ([`endpoint`]);
//!    with `--data` it starts the embedded AWS for as long as the command takes.
//! 3. The store says which stream and archive are its own; a flag that says otherwise is an error ([`whose`]).
//! 4. What the command needs is asked for once ([`Need`]), so that a missing bucket is told at once and with what to do
//!    ([`Unreachable`]), and not after retries.

pub(crate) mod endpoint;
mod probe;
mod unreachable;
pub(crate) mod whose;

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use headwater::{
    aws::{self, Clients},
    format::identity::{Identity, Names},
    port::{Objects, Ports},
};
use localstack::{LocalAws, Options};
use reqwest::Url;

use self::endpoint::Endpoints;
pub use self::{probe::Need, unreachable::Unreachable};

/// The usual name of a stream.
const STREAM: &str = "headwater";
/// The usual name of an archive's bucket.
const ARCHIVE: &str = "headwater-archive";

/// Shards of a stream that `--data` creates.
const SHARDS: u32 = 4;
/// The least time between two reads of a shard: AWS allows five a second, which all readers share.
const AWS_PACE: Duration = Duration::from_secs(1);
/// The same on this machine, where nobody counts.
const LOCAL_PACE: Duration = Duration::from_millis(100);

/// Where the store is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where the store is")]
pub struct Target {
    /// Where S3 and Kinesis listen, as `http://127.0.0.1:4566`. Without it: where the AWS configuration says, as
    /// `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL_KINESIS`. On this machine neither a region nor credentials
    /// are needed
    #[arg(long, value_name = "URL", value_parser = endpoint::parse)]
    pub endpoint: Option<Url>,
    /// Use the embedded AWS on this directory while the command runs, instead of an endpoint; bucket and stream are
    /// created if missing
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The store's bucket
    #[arg(long, env = "HEADWATER_STORE", value_name = "BUCKET", default_value = "headwater-store")]
    pub store: String,
    /// The archive's bucket; the store says which it is
    #[arg(long, env = "HEADWATER_ARCHIVE", value_name = "BUCKET")]
    pub archive: Option<String>,
    /// The Kinesis stream; the store says which it is
    #[arg(long, env = "HEADWATER_STREAM", value_name = "NAME")]
    pub stream: Option<String>,
    /// The stream that the command writes to, where it is not the store's: what a projection forwards to.
    #[arg(skip)]
    pub forward: Option<String>,
}

/// A target that answered.
pub struct Connection {
    /// The store's bucket and the stream.
    pub ports: Ports,
    /// The archive's bucket.
    pub archive: Arc<dyn Objects>,
    /// The store, its stream and its archive.
    pub names: Names,
    /// What the store says of itself, if it says anything.
    pub identity: Option<Identity>,
    /// The least time between two reads of a shard.
    pub pace: Duration,
    clients: Clients,
    /// Stops when it is dropped.
    _embedded: Option<LocalAws>,
}

impl Target {
    /// Connects, and asks for what is needed.
    pub async fn connect(&self, needs: &[Need]) -> Result<Connection, Unreachable> {
        let embedded = self.embedded().await?;
        let endpoints = match &embedded {
            Some(aws) => Endpoints::embedded(aws.endpoint()),
            None => Endpoints::of(self.endpoint.as_ref(), |name| std::env::var(name).ok())?,
        };
        let settings = endpoints.settings(|name| std::env::var_os(name).is_some());
        let clients: Clients = aws::connect(&settings).await.map_err(Unreachable::Configuration)?;
        probe::store(&clients, &self.store, &endpoints, needs).await?;
        let identity = whose::find(&clients, self, needs, &endpoints).await?;
        probe::conditions(&clients, &self.store, needs).await?;
        let names = self.names(identity.as_ref());
        let publishes_to = self.forward.as_ref().unwrap_or(&names.stream);
        probe::others(&clients, &names.archive, publishes_to, &endpoints, needs).await?;
        let ports = clients.ports(&names.store, &names.stream);
        let log = Arc::new(clients.log(publishes_to));
        Ok(Connection {
            ports: Ports { log, ..ports },
            archive: Arc::new(clients.objects(&names.archive)),
            names,
            identity,
            clients,
            pace: if endpoints.are_loopback() { LOCAL_PACE } else { AWS_PACE },
            _embedded: embedded,
        })
    }

    /// What is asked for, else what the store says, else what is usual.
    fn names(&self, identity: Option<&Identity>) -> Names {
        let own = |name: fn(&Names) -> &String| identity.map(|identity| name(&identity.names).clone());
        let stream = self.stream.clone().or_else(|| own(|names| &names.stream));
        let archive = self.archive.clone().or_else(|| own(|names| &names.archive));
        Names {
            store: self.store.clone(),
            stream: stream.unwrap_or_else(|| STREAM.to_owned()),
            archive: archive.unwrap_or_else(|| ARCHIVE.to_owned()),
        }
    }

    /// Starts the embedded AWS, with a store on it.
    async fn embedded(&self) -> Result<Option<LocalAws>, Unreachable> {
        let Some(data) = &self.data else { return Ok(None) };
        let options = Options { port: 0, data: Some(data.clone()), ..Options::default() };
        let aws = LocalAws::start(options).await.map_err(Unreachable::Start)?;
        aws.create_bucket(&self.store).map_err(Unreachable::Create)?;
        let endpoints = Endpoints::embedded(aws.endpoint());
        let clients =
            aws::connect(&endpoints.settings(|_| false)).await.map_err(Unreachable::Configuration)?;
        let found = whose::find(&clients, self, &[Need::Store], &endpoints).await?;
        let names = self.names(found.as_ref());
        aws.create_bucket(&names.archive).map_err(Unreachable::Create)?;
        aws.create_stream(&names.stream, SHARDS).await.map_err(Unreachable::Create)?;
        if found.is_none() {
            whose::create(&clients, &names).await?;
        }
        Ok(Some(aws))
    }
}

impl Connection {
    /// Makes the bucket a store, unless it is one; tells its identity.
    ///
    /// # Errors
    ///
    /// The stream's archive is another store's, or a bucket does not answer.
    pub async fn adopt(&self) -> Result<Identity, Unreachable> {
        whose::create(&self.clients, &self.names).await
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("names", &self.names).finish_non_exhaustive()
    }
}
