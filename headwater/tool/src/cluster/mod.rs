//! A cluster on one machine: the local AWS, the bank's services as processes, its Lambdas and the archiver.
//!
//! 1. [`binaries`] finds the services' binaries, and builds them where cargo runs the tool;
//! 2. the local AWS starts with the buckets and streams;
//! 3. the Lambdas are registered, each with its event source mapping, the relay with its schedule;
//! 4. each service starts as a process, and tells its address, which [`Addresses`] keep;
//! 5. a process may be killed and started again, or frozen for a while;
//! 6. every process ends with this one, even if that is killed: its standard input is a pipe that closes then;
//! 7. [`Cluster::stop`] ends them in the other order: services first, then what is under way is drained, then AWS.

mod addresses;
pub mod binaries;
mod elsewhere;
mod lambdas;
mod service;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use headwater::{aws, format::identity::Names};
use localstack::{Elsewhere, FunctionOptions, LocalAws};

pub use self::{addresses::Addresses, lambdas::mapped, service::Service};
use self::{binaries::Binaries, lambdas::Triggers};
use crate::target::whose;

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
pub const SERVICES: [(&str, u16); 8] = [
    ("accounts", 8080),
    ("credit", 8081),
    ("withdraw", 8082),
    ("balance", 8083),
    ("credit-limit", 8084),
    ("transfers", 8085),
    ("users", 8086),
    ("exceptions", 8087),
];

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// The ports.
    pub ports: Ports,
    /// Where everything is kept; in memory without it.
    pub data: Option<PathBuf>,
    /// S3 and Kinesis of another program, instead of the local AWS's; buckets and streams are made there.
    pub elsewhere: Option<Elsewhere>,
    /// Processes of each service.
    pub processes: usize,
    /// Shards of the stream.
    pub shards: u32,
    /// Whether Lambdas and their mappings run as well.
    pub lambdas: bool,
    /// How long one invocation of a Lambda may take.
    pub invocation: Duration,
    /// Whether the relay runs beside the other Lambdas.
    pub relay: Option<Relay>,
    /// What every process is told beside where things are.
    pub environment: Vec<(&'static str, String)>,
}

/// How the relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// How long after a pass the next one begins.
    pub every: Duration,
    /// How old a head must be, in whole seconds: one at least.
    pub age: Duration,
}

impl Relay {
    /// A pass every so many seconds, over heads that are as old: for tests on one machine, which has one clock.
    pub const fn every_seconds(seconds: u64) -> Self {
        Self { every: Duration::from_secs(seconds), age: Duration::from_secs(seconds) }
    }
}

impl Default for Options {
    /// In memory on free ports: one process of each service, four shards, and the Lambdas without the relay.
    fn default() -> Self {
        Self {
            ports: Ports::Free,
            data: None,
            elsewhere: None,
            processes: 1,
            shards: 4,
            lambdas: true,
            invocation: Duration::from_mins(1),
            relay: None,
            environment: Vec::new(),
        }
    }
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
    Aws(localstack::StartError),
    /// Another program has a port that [`Ports::Fixed`] asks for.
    #[error(
        "port {port}, which is that of {name}, is taken: end the program that listens there, or start with --any-port"
    )]
    Taken {
        /// The service, or the local AWS.
        name: String,
        /// The port.
        port: u16,
    },
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

impl From<localstack::StartError> for ClusterError {
    fn from(error: localstack::StartError) -> Self {
        match error {
            localstack::StartError::PortTaken { port } => {
                Self::Taken { name: "the local AWS".to_owned(), port }
            }
            error => Self::Aws(error),
        }
    }
}

/// Refuses a port that another program has, before anything is started.
fn check_ports(services: &[(&str, u16)]) -> Result<(), ClusterError> {
    let taken = services.iter().find(|(_, port)| {
        let bound = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, *port));
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    });
    match taken {
        Some((name, port)) => Err(ClusterError::Taken { name: (*name).to_owned(), port: *port }),
        None => Ok(()),
    }
}

/// A running cluster. Dropped, it takes its processes along.
pub struct Cluster {
    aws: LocalAws,
    elsewhere: Option<Elsewhere>,
    binaries: Binaries,
    services: Mutex<BTreeMap<&'static str, Vec<Option<Service>>>>,
    addresses: Addresses,
    invocation: Duration,
    environment: Vec<(&'static str, String)>,
    triggers: Triggers,
}

/// A process of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The service or the function.
    pub name: String,
    /// Whether it is a Lambda's.
    pub lambda: bool,
    /// Its id.
    pub id: u32,
}

impl Cluster {
    /// Starts a cluster; `progress` is told of every step.
    pub async fn start(options: Options, progress: impl Fn(&str)) -> Result<Self, ClusterError> {
        if let Ports::Fixed(_) = options.ports {
            check_ports(&SERVICES)?;
        }
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
            elsewhere: options.elsewhere.clone(),
            ..localstack::Options::default()
        });
        let aws = aws.await?;
        let streams = [(STREAM, options.shards), (CREDIT_LIMITS, 1)];
        if let Some(elsewhere) = &options.elsewhere {
            progress("buckets and streams elsewhere");
            elsewhere::create(elsewhere, &[STORE, ARCHIVE, FAILURES], &streams).await?;
        } else {
            for bucket in [STORE, ARCHIVE, FAILURES] {
                aws.create_bucket(bucket).map_err(|error| ClusterError::Create(error.to_string()))?;
            }
            for (stream, shards) in streams {
                let created = aws.create_stream(stream, shards).await;
                created.map_err(|error| ClusterError::Create(error.to_string()))?;
            }
        }
        identify(&connect(&aws, options.elsewhere.as_ref()).await?).await?;
        let mut more = options.elsewhere.as_ref().map(elsewhere::environment).unwrap_or_default();
        more.extend(options.environment);
        let environment = environment(aws.endpoint(), more);
        let mut triggers = Triggers::default();
        if options.lambdas {
            progress("the Lambdas");
            let function = |binary: &str, invocation| {
                lambdas::function_options(&binaries, binary, invocation, &environment)
            };
            triggers = lambdas::register(
                &aws,
                &function,
                options.invocation,
                options.relay,
                options.elsewhere.is_some(),
            )
            .await?;
        }
        let cluster = Self {
            aws,
            elsewhere: options.elsewhere,
            binaries,
            environment,
            services: Mutex::default(),
            addresses: Addresses::default(),
            invocation: options.invocation,
            triggers,
        };
        for (service, port) in SERVICES {
            progress(service);
            let port = if options.ports == Ports::Free { 0 } else { port };
            for process in 0..options.processes.max(1) {
                // Only the first process can have the port that is known.
                let port = if process == 0 { port } else { 0 };
                let started = cluster.spawn(service, port).await?;
                cluster.addresses.set(service, process, started.url());
                cluster.services().entry(service).or_default().push(Some(started));
            }
        }
        Ok(cluster)
    }

    /// One more process of a service, which the caller keeps, on `port` or on a free one.
    pub async fn spawn(&self, name: &'static str, port: u16) -> Result<Service, ClusterError> {
        Service::spawn(name, &self.binaries.path(name), port, &named(&self.environment, name)).await
    }

    /// A Lambda function that runs the binary of that name in this cluster, to be registered by the caller.
    pub fn function(&self, binary: &str) -> FunctionOptions {
        lambdas::function_options(&self.binaries, binary, self.invocation, &self.environment)
    }

    /// Kills a process of a service, as a failing machine would, and starts another one in its place after a pause. Its
    /// address leads nowhere meanwhile. Where there is no such process, nothing happens.
    pub async fn restart(
        &self,
        service: &'static str,
        place: usize,
        pause: Duration,
    ) -> Result<(), ClusterError> {
        let Some(killed) = self.slot(service, place, Option::take) else { return Ok(()) };
        killed.kill().await;
        tokio::time::sleep(pause).await;
        let started = self.spawn(service, 0).await?;
        self.addresses.set(service, place, started.url());
        self.slot(service, place, |slot| slot.replace(started));
        Ok(())
    }

    /// Freezes a process of a service for a while: to others it is as if it were dead, and then it goes on where it was.
    pub async fn freeze(&self, service: &'static str, place: usize, time: Duration) {
        self.slot(service, place, |slot| slot.as_ref().map(Service::freeze));
        tokio::time::sleep(time).await;
        self.slot(service, place, |slot| slot.as_ref().map(Service::thaw));
    }

    /// Every process that runs now; of each service and each function the oldest first, if it was never killed.
    pub fn processes(&self) -> Vec<Process> {
        let services = self.services();
        let services = services.values().flatten().flatten();
        let services = services.filter_map(|service| {
            Some(Process { name: service.name.to_owned(), lambda: false, id: service.id()? })
        });
        let mut processes: Vec<Process> = services.collect();
        let lambdas = self.aws.processes().into_iter();
        processes.extend(lambdas.map(|process| Process {
            name: process.function,
            lambda: true,
            id: process.id,
        }));
        processes
    }

    /// The services that have a process which ended by itself.
    pub fn ended(&self) -> Vec<&'static str> {
        let mut services = self.services();
        let ended = services.values_mut().flatten().flatten().filter_map(Service::ended);
        ended.collect()
    }

    /// What is done with one place for a process, if there is such a place.
    fn slot<T>(
        &self,
        service: &str,
        place: usize,
        act: impl FnOnce(&mut Option<Service>) -> Option<T>,
    ) -> Option<T> {
        act(self.services().get_mut(service)?.get_mut(place)?)
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<&'static str, Vec<Option<Service>>>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the services are, now and later.
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// The addresses of a service's processes.
    pub fn urls(&self, service: &str) -> Vec<String> {
        self.addresses.of(service)
    }

    /// The local AWS.
    pub fn aws(&self) -> &LocalAws {
        &self.aws
    }

    /// Where S3 listens.
    pub fn endpoint(&self) -> &str {
        self.elsewhere.as_ref().map_or_else(|| self.aws.endpoint(), |elsewhere| &elsewhere.s3)
    }

    /// Clients of the local AWS, or of what is elsewhere.
    pub async fn clients(&self) -> Result<aws::Clients, ClusterError> {
        connect(&self.aws, self.elsewhere.as_ref()).await
    }

    /// Waits until every record that is in the streams now has been taken in by every Lambda, or given up on; false when
    /// `patience` was over first.
    pub async fn drain(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.triggers.drain()).await.is_ok()
    }

    /// Ends the services: each finishes what is under way. Tells which had to be killed.
    pub async fn stop_services(&self) -> Vec<&'static str> {
        let services = std::mem::take(&mut *self.services());
        let stopping = services.into_values().flatten().flatten().map(async |service| {
            let name = service.name;
            (!service.stop().await).then_some(name)
        });
        futures::future::join_all(stopping).await.into_iter().flatten().collect()
    }

    /// Ends services, drains what is under way, and ends AWS; tells whether everything was drained.
    pub async fn stop(self, patience: Duration) -> bool {
        self.stop_services().await;
        let drained = self.drain(patience).await;
        self.aws.shutdown().await;
        drained
    }
}

/// Makes the bucket a store, before anything writes there.
async fn identify(clients: &aws::Clients) -> Result<(), ClusterError> {
    let names = Names { store: STORE.to_owned(), stream: STREAM.to_owned(), archive: ARCHIVE.to_owned() };
    let made = whose::create(clients, &names).await;
    made.map(|_| ()).map_err(|error| ClusterError::Create(error.to_string()))
}

async fn connect(aws: &LocalAws, elsewhere: Option<&Elsewhere>) -> Result<aws::Clients, ClusterError> {
    let settings = elsewhere.map_or_else(|| aws::Settings::local(aws.endpoint()), elsewhere::settings);
    aws::connect(&settings).await.map_err(|error| ClusterError::Create(error.to_string()))
}

/// What every process of the cluster is told; `more` may say otherwise.
fn environment(endpoint: &str, more: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let own = |name, value: &str| (name, value.to_owned());
    let mut environment = vec![
        own("AWS_ENDPOINT_URL", endpoint),
        own("AWS_SECRET_ACCESS_KEY", "local"),
        own("AWS_REGION", "us-east-1"),
        own("HEADWATER_PARENT", "stdin"),
        own("HEADWATER_STORE", STORE),
        own("HEADWATER_ARCHIVE", ARCHIVE),
        own("HEADWATER_STREAM", STREAM),
        own("HEADWATER_FORWARD", CREDIT_LIMITS),
    ];
    let log = std::env::var("HEADWATER_LOG").unwrap_or_else(|_| "warn".to_owned());
    environment.push(("HEADWATER_LOG", log));
    environment.extend(more);
    environment
}

/// What one process is told. The id of its access key is the name of its binary, so that AWS knows who asks.
fn named(environment: &[(&'static str, String)], binary: &str) -> Vec<(&'static str, String)> {
    let name = binary.rsplit('/').next().unwrap_or(binary);
    let mut named = vec![("AWS_ACCESS_KEY_ID", name.to_owned())];
    named.extend_from_slice(environment);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_helps() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("an address").port();
        let error = check_ports(&[("accounts", port)]).expect_err("it is taken").to_string();
        assert_eq!(
            error,
            format!(
                "port {port}, which is that of accounts, is taken: end the program that listens there, or start with --any-port"
            )
        );
        let aws = ClusterError::from(localstack::StartError::PortTaken { port }).to_string();
        assert!(aws.contains("the local AWS") && aws.contains("--any-port"), "{aws}");
        drop(taken);
        check_ports(&[("accounts", port)]).expect("it is free");
    }
}
