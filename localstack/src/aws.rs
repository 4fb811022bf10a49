//! The local AWS as a whole: start it, ask it what happened, stop it.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::count::{Counter, Counts};
use crate::elsewhere::{Elsewhere, Remote};
use crate::error::{CreateError, StartError};
use crate::fault::Hook;
use crate::kinesis::{Kinesis, ShardLimits};
use crate::lambda::environment::World;
use crate::lambda::functions::Functions;
use crate::lambda::{FunctionOptions, Invocations, InvokeError, Process};
use crate::mapping::progress::Progress;
use crate::mapping::source::Services;
use crate::mapping::{Mapping, MappingError, MappingOptions, Source, StartingPosition};
use crate::port::{Port, serve};
use crate::s3::objects::{Buckets, Refusal};
use crate::s3::operations::Operations;
use crate::s3::uploads::Uploads;
use crate::schedule::Schedule;
use crate::signature::Credentials;

/// The port of `LocalStack`, and so of its stand-ins.
pub const DEFAULT_PORT: u16 = 4566;

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The loopback port; 0 takes a free one.
    pub port: u16,
    /// Where to keep everything; `None` keeps it in memory only.
    pub data: Option<PathBuf>,
    /// The only key pair that is allowed; `None` allows any.
    pub credentials: Option<Credentials>,
    /// The region that names and functions see.
    pub region: String,
    /// How strictly the limits of a Kinesis shard are kept.
    pub shard_limits: ShardLimits,
    /// S3 and Kinesis of another program, instead of those here. Buckets and streams are made there, and hooks see no request to them.
    pub elsewhere: Option<Elsewhere>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            data: None,
            credentials: None,
            region: "us-east-1".to_owned(),
            shard_limits: ShardLimits::Unlimited,
            elsewhere: None,
        }
    }
}

impl Options {
    /// In memory, on a free port: what a test wants.
    pub fn for_test() -> Self {
        Self { port: 0, ..Self::default() }
    }
}

/// What the buckets hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Objects.
    pub objects: u64,
    /// Their bytes. All are in memory, with a data directory as well.
    pub bytes: u64,
}

/// A running local AWS; it stops when it is dropped, at the latest.
pub struct LocalAws {
    endpoint: String,
    port: Arc<Port>,
    buckets: Arc<Buckets>,
    services: Services,
    data: Option<PathBuf>,
    region: String,
    running: std::sync::Mutex<Vec<AbortHandle>>,
    stop: watch::Sender<bool>,
    serving: Mutex<Option<JoinHandle<()>>>,
    /// Keeps other processes out of the data directory for as long as it is open.
    _lock: Option<File>,
}

impl LocalAws {
    /// Reads the data directory, if there is one, and listens.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listener = listen(options.port).await?;
        let address =
            listener.local_addr().map_err(|source| StartError::Port { port: options.port, source })?;
        let failed =
            |source| StartError::Data { directory: options.data.clone().unwrap_or_default(), source };
        let lock = options.data.as_deref().map(lock).transpose().map_err(failed)?;
        let below = |name: &str| options.data.as_ref().map(|data| data.join(name));

        let buckets = Arc::new(Buckets::open(below("s3")).map_err(failed)?);
        let kinesis = Kinesis::open(below("kinesis"), &options.region, options.shard_limits);
        let kinesis = Arc::new(kinesis.await.map_err(failed)?);
        let credentials = options.credentials.clone().unwrap_or_else(Credentials::any);
        let endpoint = format!("http://{address}");
        let mut endpoints = vec![("AWS_ENDPOINT_URL", endpoint.clone())];
        if let Some(elsewhere) = &options.elsewhere {
            endpoints.push(("AWS_ENDPOINT_URL_S3", elsewhere.s3.clone()));
            endpoints.push(("AWS_ENDPOINT_URL_KINESIS", elsewhere.kinesis.clone()));
        }
        let services = match &options.elsewhere {
            Some(elsewhere) => Services::Elsewhere(Arc::new(Remote::new(elsewhere, &options.region))),
            None => Services::Here { kinesis: Arc::clone(&kinesis), buckets: Arc::clone(&buckets) },
        };
        let functions = Arc::new(Functions::new(World {
            endpoints,
            region: options.region.clone(),
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
        }));
        let operations = Operations {
            buckets: Arc::clone(&buckets),
            uploads: Uploads::default(),
            durable: options.data.is_some(),
        };
        let port = Arc::new(Port {
            s3: S3ServiceBuilder::new(operations).build(),
            kinesis,
            functions,
            counter: Counter::default(),
            hook: RwLock::default(),
            credentials: options.credentials,
            elsewhere: options.elsewhere.is_some(),
        });
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(Arc::clone(&port), listener, stopped));
        Ok(Self {
            endpoint,
            port,
            buckets,
            services,
            data: options.data,
            region: options.region,
            running: std::sync::Mutex::default(),
            stop,
            serving: Mutex::new(Some(serving)),
            _lock: lock,
        })
    }

    /// Where it listens, as `http://127.0.0.1:4566`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Creates a bucket unless it exists.
    pub fn create_bucket(&self, name: &str) -> Result<(), CreateError> {
        match self.buckets.create(name) {
            Ok(()) | Err(Refusal::BucketAlreadyOwnedByYou) => Ok(()),
            Err(refusal) => Err(CreateError { name: name.to_owned(), reason: refusal.to_string() }),
        }
    }

    /// Creates a stream with so many shards unless it exists.
    pub async fn create_stream(&self, name: &str, shards: u32) -> Result<(), CreateError> {
        let created = self.port.kinesis.create_stream(name, shards).await;
        created.map_err(|error| CreateError { name: name.to_owned(), reason: error.to_string() })
    }

    /// Adds a function, or replaces the one of that name. Its processes start when they are needed.
    pub fn function(&self, options: FunctionOptions) {
        self.port.functions.add(options);
    }

    /// Invokes a function and waits for its answer. At its concurrency it is throttled.
    pub async fn invoke(&self, name: &str, payload: impl Into<Vec<u8>>) -> Result<Vec<u8>, InvokeError> {
        let answer = self.port.functions.invoke(name, Bytes::from(payload.into())).await?;
        Ok(answer.to_vec())
    }

    /// How long one more process of a function takes, from before it is started until it asks for its first work. It is
    /// ended then, and was handed none.
    pub async fn start_time(&self, function: &str) -> Result<Duration, InvokeError> {
        self.port.functions.start_time(function).await
    }

    /// What became of a function's invocations since the start, whoever invoked it.
    pub fn invocations(&self, function: &str) -> Invocations {
        self.port.functions.invocations(function)
    }

    /// The processes that functions have now, of each function the oldest first.
    pub fn processes(&self) -> Vec<Process> {
        self.port.functions.processes()
    }

    /// What the buckets hold now.
    pub fn stored(&self) -> Stored {
        self.buckets.stored()
    }

    /// Lets the records of a stream invoke a function, from its checkpoint if there is one.
    ///
    /// One stream and one function have one checkpoint: a second mapping between them shares it.
    pub async fn mapping(&self, options: MappingOptions) -> Result<Mapping, MappingError> {
        let filter = options.check()?;
        let file = match &self.data {
            Some(data) => {
                let directory = data.join("mappings");
                std::fs::create_dir_all(&directory)?;
                Some(directory.join(format!("{}-{}.json", options.stream, options.function)))
            }
            None => None,
        };
        let progress = Progress::open(file)?;
        let stream = self.services.stream(&options.stream).await.map_err(|reason| {
            tracing::debug!(reason, stream = %options.stream, "a stream was not found");
            MappingError::NoSuchStream(options.stream.clone())
        })?;
        if progress.is_new() && options.starting_position == StartingPosition::Latest {
            for (index, shard) in stream.shards.iter().enumerate() {
                let last = self.services.last_sequence(&options.stream, (index, shard), None).await;
                progress.begin_at(&shard.id, last, shard.closed);
            }
        }
        let mapping = Mapping::begin(Source {
            options,
            filter,
            services: self.services.clone(),
            functions: Arc::clone(&self.port.functions),
            progress: Arc::new(progress),
            region: self.region.clone(),
        });
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(mapping.handle());
        Ok(mapping)
    }

    /// Invokes a function at once, and again every so often.
    pub fn schedule(&self, function: &str, every: Duration) -> Schedule {
        let functions = Arc::clone(&self.port.functions);
        let schedule = Schedule::begin(functions, function.to_owned(), every, self.region.clone());
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(schedule.handle());
        schedule
    }

    /// What was asked and answered since the start or the last reset.
    pub fn counts(&self) -> Counts {
        self.port.counter.snapshot()
    }

    /// Sets every count to zero and gives what stood.
    pub fn reset_counts(&self) -> Counts {
        self.port.counter.reset()
    }

    /// Lets a hook decide over every request from now on, instead of any earlier one.
    pub fn on_request(&self, hook: impl Hook) {
        *self.port.hook.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// Does every request again as it comes.
    pub fn pass_requests(&self) {
        *self.port.hook.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Ends every mapping, every schedule and every function's process, and closes the port and every connection. A second call does nothing.
    pub async fn shutdown(&self) {
        for running in self.running.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            running.abort();
        }
        self.port.functions.stop().await;
        self.stop.send_replace(true);
        if let Some(serving) = self.serving.lock().await.take()
            && let Err(error) = serving.await
        {
            tracing::error!(%error, "the port did not end well");
        }
    }
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { port },
        _ => StartError::Port { port, source },
    })
}

fn lock(directory: &Path) -> io::Result<File> {
    std::fs::create_dir_all(directory)?;
    let file = File::create(directory.join("lock"))?;
    file.try_lock()?;
    Ok(file)
}
