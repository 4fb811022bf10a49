//! A cluster on one machine: the local AWS, the bank's services as processes, its Lambdas and the archiver.
//!
//! 1. [`binaries`] finds the services' binaries, and builds them where cargo runs the tool;
//! 2. the local AWS starts with the buckets and streams;
//! 3. the Lambdas are registered, each with its event source mapping;
//! 4. each service starts as a process, and tells its address;
//! 5. [`Cluster::stop`] ends them in the other order: services first, then what is under way is drained, then AWS.

pub mod binaries;
mod lambdas;
mod service;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use headwater::aws;
use localstack::{FunctionOptions, LocalAws};

pub use self::service::Service;
use self::{binaries::Binaries, lambdas::Mappings};

/// The store's bucket.
pub const STORE: &str = "headwater-store";
/// The archive's bucket.
pub const ARCHIVE: &str = "headwater-archive";
/// Where batches go that a Lambda was given up on.
pub const FAILURES: &str = "headwater-failures";
/// The stream that commits are published to.
pub const STREAM: &str = "headwater";
/// The stream that changed credit limits are forwarded to.
pub const CREDIT_LIMITS: &str = "credit-limits";

/// The services, with the port that each has under [`Ports::Fixed`].
pub const SERVICES: [(&str, u16); 5] =
    [("accounts", 8080), ("credit", 8081), ("withdraw", 8082), ("balance", 8083), ("credit-limit", 8084)];

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The ports.
    pub ports: Ports,
    /// Where everything is kept; in memory without it.
    pub data: Option<PathBuf>,
    /// Processes of each service.
    pub processes: usize,
    /// Shards of the stream.
    pub shards: u32,
    /// Whether Lambdas and their mappings run as well.
    pub lambdas: bool,
}

/// Which ports a cluster takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// AWS on this port, the services on those of [`SERVICES`].
    Fixed(u16),
    /// Whatever is free.
    Free,
}

/// Why a cluster did not start, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The services' binaries are not to be had.
    #[error(transparent)]
    Binaries(#[from] binaries::BinariesError),
    /// The local AWS did not start.
    #[error(transparent)]
    Aws(#[from] localstack::StartError),
    /// A bucket, stream, function or mapping could not be made.
    #[error("{0}")]
    Create(String),
    /// A service did not start.
    #[error("{service} did not start: {reason}")]
    Service {
        /// Its name.
        service: String,
        /// Why not.
        reason: String,
    },
}

/// A running cluster. Dropped, it takes its processes along.
pub struct Cluster {
    aws: LocalAws,
    binaries: Binaries,
    services: BTreeMap<&'static str, Vec<Service>>,
    mappings: Mappings,
}

impl Cluster {
    /// Starts a cluster; `progress` is told of every step.
    pub async fn start(options: Options, progress: impl Fn(&str)) -> Result<Self, ClusterError> {
        progress("the services' binaries");
        let binaries = tokio::task::spawn_blocking(Binaries::ready)
            .await
            .map_err(|error| ClusterError::Create(error.to_string()))??;
        progress("the local AWS");
        let port = match options.ports {
            Ports::Fixed(port) => port,
            Ports::Free => 0,
        };
        let aws = LocalAws::start(localstack::Options {
            port,
            data: options.data,
            ..localstack::Options::default()
        });
        let aws = aws.await?;
        for bucket in [STORE, ARCHIVE, FAILURES] {
            aws.create_bucket(bucket).map_err(|error| ClusterError::Create(error.to_string()))?;
        }
        for (stream, shards) in [(STREAM, options.shards), (CREDIT_LIMITS, 1)] {
            let created = aws.create_stream(stream, shards).await;
            created.map_err(|error| ClusterError::Create(error.to_string()))?;
        }
        let mut mappings = Mappings::default();
        if options.lambdas {
            progress("the Lambdas");
            mappings = lambdas::register(&aws, &binaries).await?;
        }
        let mut cluster = Self { aws, binaries, services: BTreeMap::new(), mappings };
        for (service, port) in SERVICES {
            progress(service);
            let port = if options.ports == Ports::Free { 0 } else { port };
            for process in 0..options.processes.max(1) {
                // Only the first process can have the port that is known.
                let port = if process == 0 { port } else { 0 };
                let service = cluster.spawn(service, port).await?;
                cluster.services.entry(service.name).or_default().push(service);
            }
        }
        Ok(cluster)
    }

    /// One more process of a service, which the caller keeps, on `port` or on a free one.
    pub async fn spawn(&self, name: &'static str, port: u16) -> Result<Service, ClusterError> {
        Service::spawn(name, &self.binaries.path(name), port, &environment(self.aws.endpoint())).await
    }

    /// A Lambda function that runs the binary of that name in this cluster, to be registered by the caller.
    pub fn function(&self, binary: &str) -> FunctionOptions {
        lambdas::function_options(&self.aws, &self.binaries, binary)
    }

    /// The addresses of a service's processes.
    pub fn urls(&self, service: &str) -> Vec<String> {
        let processes = self.services.get(service).map(Vec::as_slice).unwrap_or_default();
        processes.iter().map(|process| process.url().to_owned()).collect()
    }

    /// The local AWS.
    pub fn aws(&self) -> &LocalAws {
        &self.aws
    }

    /// Clients of the local AWS.
    pub async fn clients(&self) -> Result<aws::Clients, ClusterError> {
        let clients = aws::connect(&aws::Settings::local(self.aws.endpoint())).await;
        clients.map_err(|error| ClusterError::Create(error.to_string()))
    }

    /// Waits until every record that is in the streams now has been taken in by every Lambda, or given up on; false when
    /// `patience` was over first.
    pub async fn drain(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.mappings.drain()).await.is_ok()
    }

    /// Ends services, drains what is under way, and ends AWS; tells whether everything was drained.
    pub async fn stop(mut self, patience: Duration) -> bool {
        for service in std::mem::take(&mut self.services).into_values().flatten() {
            service.stop().await;
        }
        let drained = self.drain(patience).await;
        self.aws.shutdown().await;
        drained
    }
}

/// What every process of the cluster is told.
fn environment(endpoint: &str) -> Vec<(&'static str, String)> {
    let own = |name, value: &str| (name, value.to_owned());
    let mut environment = vec![
        own("AWS_ENDPOINT_URL", endpoint),
        own("AWS_ACCESS_KEY_ID", "local"),
        own("AWS_SECRET_ACCESS_KEY", "local"),
        own("AWS_REGION", "us-east-1"),
        own("HEADWATER_STORE", STORE),
        own("HEADWATER_ARCHIVE", ARCHIVE),
        own("HEADWATER_STREAM", STREAM),
        own("HEADWATER_FORWARD", CREDIT_LIMITS),
    ];
    let log = std::env::var("HEADWATER_LOG").unwrap_or_else(|_| "warn".to_owned());
    environment.push(("HEADWATER_LOG", log));
    environment
}
