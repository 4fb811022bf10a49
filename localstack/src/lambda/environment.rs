//! One execution environment: a process, its runtime API, and one invocation at a time.
//!
//! It is owned by whoever uses it. Dropped, it kills its process; so an invocation that is given up in the middle
//! leaves nothing behind.

use std::convert::Infallible;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::runtime_api::{Ended, Invocation, Runtime, router};
use super::{FunctionOptions, InvokeError, Log, Process};

/// How long a process may take until it asks for work, as on AWS.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How long a process has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// What every function of this AWS is told.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// `AWS_ENDPOINT_URL`, and those of services that are elsewhere.
    pub(crate) endpoints: Vec<(&'static str, String)>,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl World {
    pub(crate) fn function_arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{name}", self.region, crate::kinesis::ACCOUNT)
    }
}

/// How an invocation went for its environment.
pub(crate) enum Used {
    /// The environment is warm and can be used again.
    Warm(Box<Environment>, Result<Bytes, InvokeError>),
    /// The environment is gone, in the middle of the invocation.
    Gone(InvokeError),
    /// The environment was gone before it took the invocation: another one may take it.
    NotTaken(InvokeError),
}

/// The processes of every environment that there is, in the order of their start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Living(Arc<Mutex<Vec<Process>>>);

impl Living {
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, process: Process) -> Life {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(process.clone());
        Life { process, living: self.clone() }
    }
}

/// Takes a process off the list when its environment goes.
struct Life {
    process: Process,
    living: Living,
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut living = self.living.0.lock().unwrap_or_else(PoisonError::into_inner);
        living.retain(|process| *process != self.process);
    }
}

/// A process and its runtime API.
pub(crate) struct Environment {
    // Off the list first: an id that is listed is not free for another process.
    _life: Option<Life>,
    child: Child,
    // Open for as long as this environment lives: a function that watches its end does not outlive the local AWS.
    _parent: Option<ChildStdin>,
    runtime: Arc<Runtime>,
    work: mpsc::Sender<Invocation>,
    init_error: Option<oneshot::Receiver<Bytes>>,
    api: JoinHandle<()>,
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.api.abort();
    }
}

impl Environment {
    pub(crate) async fn start(
        function: &FunctionOptions,
        world: &World,
        living: &Living,
    ) -> Result<Self, InvokeError> {
        let failed = |error: std::io::Error| InvokeError::NotStarted(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (work, receiver) = mpsc::channel(1);
        let (init_failed, init_error) = oneshot::channel();
        let runtime = Arc::new(Runtime::new(world.function_arn(&function.name), receiver, init_failed));
        let mut child = command(function, world, &address.to_string())
            .spawn()
            .map_err(|error| InvokeError::NotStarted(format!("{}: {error}", function.binary.display())))?;
        let log = function.log.clone().unwrap_or_else(|| to_tracing(&function.name));
        if let Some(output) = child.stdout.take() {
            tokio::spawn(forward(output, Arc::clone(&log)));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(forward(output, log));
        }
        let served = router(Arc::clone(&runtime));
        let api = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, served).await {
                tracing::error!(%error, "a runtime API ended");
            }
        });
        // Out of the child, or waiting for its end would close it.
        let parent = child.stdin.take();
        let life = child.id().map(|id| living.add(Process { function: function.name.clone(), id }));
        Ok(Self { _life: life, child, _parent: parent, runtime, work, init_error: Some(init_error), api })
    }

    /// True if the process has not ended.
    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Hands over one payload and waits for the end.
    pub(crate) async fn invoke(mut self, payload: Bytes, timeout: Duration) -> Used {
        let (taken, was_taken) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let request_id = uuid::Uuid::new_v4().to_string();
        let invocation = Invocation { request_id, payload, timeout, taken, ended };
        if self.work.send(invocation).await.is_err() {
            return Used::NotTaken(InvokeError::NotStarted("its runtime API ended".to_owned()));
        }
        if let Err(error) = self.begun(was_taken).await {
            return Used::NotTaken(error);
        }
        tokio::select! {
            biased;
            ended = has_ended => match ended {
                Ok(Ended::Answered(answer)) => Used::Warm(Box::new(self), Ok(answer)),
                Ok(Ended::Failed(error)) => Used::Warm(Box::new(self), Err(InvokeError::Failed(error.to_vec()))),
                // The process asked for more work without ending this one.
                Err(_) => Used::Gone(InvokeError::Failed(Vec::new())),
            },
            status = self.child.wait() => Used::Gone(match status {
                Ok(status) => InvokeError::Exited(status),
                Err(error) => InvokeError::NotStarted(error.to_string()),
            }),
            () = tokio::time::sleep(timeout) => {
                self.kill().await;
                Used::Gone(InvokeError::TimedOut(timeout))
            }
        }
    }

    /// Waits until the process asks for work.
    pub(crate) async fn asked(&mut self) -> Result<(), InvokeError> {
        let runtime = Arc::clone(&self.runtime);
        self.begun(runtime.asked().map(Ok::<(), Infallible>)).await
    }

    /// Waits for what shows that the process works; it may end or fail before.
    async fn begun<E>(&mut self, shown: impl Future<Output = Result<(), E>>) -> Result<(), InvokeError> {
        let init_error = self.init_error.take();
        tokio::select! {
            biased;
            Ok(()) = shown => Ok(()),
            Some(error) = failed_to_begin(init_error) => {
                Err(InvokeError::NotStarted(String::from_utf8_lossy(&error).into_owned()))
            }
            status = self.child.wait() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(InvokeError::NotStarted(status))
            }
            () = tokio::time::sleep(INIT_LIMIT) => {
                Err(InvokeError::NotStarted("it did not ask for work in time".to_owned()))
            }
        }
    }

    /// Asks the process to end, and ends it if it does not.
    pub(crate) async fn stop(mut self) {
        let process = self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(process) = process
            && rustix::process::kill_process(process, rustix::process::Signal::TERM).is_ok()
            && tokio::time::timeout(GRACE, self.child.wait()).await.is_ok()
        {
            return;
        }
        self.kill().await;
    }

    async fn kill(&mut self) -> Option<ExitStatus> {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, "a process was not killed");
        }
        self.child.try_wait().ok().flatten()
    }
}

async fn failed_to_begin(error: Option<oneshot::Receiver<Bytes>>) -> Option<Bytes> {
    error?.await.ok()
}

fn command(function: &FunctionOptions, world: &World, runtime_api: &str) -> Command {
    let stream = uuid::Uuid::new_v4().simple().to_string();
    let mut command = Command::new(&function.binary);
    command
        // What this process was given is not the function's business.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("TZ", ":UTC")
        .env("LANG", "en_US.UTF-8")
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory.to_string())
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("$LATEST/{stream}"))
        .env("_HANDLER", "bootstrap")
        .env("AWS_REGION", &world.region)
        .env("AWS_DEFAULT_REGION", &world.region)
        .envs(world.endpoints.iter().map(|(name, url)| (*name, url)))
        .env("AWS_ACCESS_KEY_ID", &world.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &world.secret_access_key)
        .envs(&function.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn to_tracing(function: &str) -> Log {
    let function = function.to_owned();
    Arc::new(move |line| tracing::info!(target: "lambda", "{function}: {line}"))
}

async fn forward(output: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log(&line);
    }
}
