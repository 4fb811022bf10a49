//! Lambda: functions as child processes that speak the real Lambda Runtime API.
//!
//! Words: an *execution environment* is one process of a function, with a runtime API of its own; it is *warm* when
//! it has answered and waits for more.
//!
//! 1. `functions` finds the function, and one of its environments: a warm one, else a fresh process. Above its concurrency
//!    the invocation is throttled.
//! 2. `environment` starts the process and watches it: an answer, an error, an exit or a timeout ends an invocation.
//! 3. `runtime_api` is what the process asks for work and tells its answers.
//! 4. `invoke` is the HTTP operation of the same name, on the main port.

pub(crate) mod environment;
pub(crate) mod functions;
pub(crate) mod invoke;
pub(crate) mod runtime_api;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

/// The largest payload of a synchronous invocation and of its answer, in bytes.
pub const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// Takes the lines that a function writes to its standard output and error.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// A function.
#[derive(Clone)]
pub struct FunctionOptions {
    /// Its name.
    pub name: String,
    /// The program, as it would be `bootstrap` on AWS.
    pub binary: PathBuf,
    /// Its own environment variables, beside those that Lambda sets.
    pub env: BTreeMap<String, String>,
    /// How long one invocation may take before its process is killed.
    pub timeout: Duration,
    /// How many invocations may be under way at once; further ones are throttled, and with 0 all are.
    pub concurrency: usize,
    /// What the function is told of its memory, in MiB; nothing is limited.
    pub memory: u32,
    /// Where its output goes; `None` means `tracing`, under the function's name.
    pub log: Option<Log>,
}

impl FunctionOptions {
    /// A function with AWS's default of memory, a timeout of 30 seconds and 10 invocations at once.
    pub fn new(name: impl Into<String>, binary: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            binary: binary.into(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            concurrency: 10,
            memory: 128,
            log: None,
        }
    }
}

impl fmt::Debug for FunctionOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("FunctionOptions");
        shown.field("name", &self.name).field("binary", &self.binary).finish_non_exhaustive()
    }
}

/// One process of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The function's name.
    pub function: String,
    /// The process's id, for those who watch it or kill it.
    pub id: u32,
}

/// What became of a function's invocations, as `CloudWatch` counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Invocations {
    /// Those that reached the function, and have ended.
    pub invocations: u64,
    /// Of these, those that failed in any way.
    pub errors: u64,
    /// Of the failed ones, those that took too long.
    pub timeouts: u64,
    /// Those that did not reach the function, because it was at its concurrency.
    pub throttles: u64,
}

impl Invocations {
    /// Adds what became of one.
    fn add<T>(&mut self, ended: &Result<T, InvokeError>) {
        match ended {
            Err(InvokeError::Throttled) => self.throttles += 1,
            Err(
                InvokeError::NoSuchFunction(_) | InvokeError::PayloadTooLarge { .. } | InvokeError::Stopped,
            ) => {}
            Ok(_) => self.invocations += 1,
            Err(error) => {
                self.invocations += 1;
                self.errors += 1;
                self.timeouts += u64::from(matches!(error, InvokeError::TimedOut(_)));
            }
        }
    }
}

/// Why an invocation gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// There is no such function.
    #[error("there is no function {0}")]
    NoSuchFunction(String),
    /// The payload is larger than Lambda takes.
    #[error("a payload of {bytes} bytes is above the limit of {PAYLOAD_LIMIT}")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// So many invocations are under way as the function's concurrency allows: nothing was invoked.
    #[error("the function is at its concurrency")]
    Throttled,
    /// The process did not start, or ended or failed before it asked for work.
    #[error("the function did not start: {0}")]
    NotStarted(String),
    /// The function answered with an error.
    #[error("the function failed: {}", String::from_utf8_lossy(.0))]
    Failed(Vec<u8>),
    /// The function took too long; its process was killed.
    #[error("the function took longer than {0:?}")]
    TimedOut(Duration),
    /// The process ended in the middle of the invocation.
    #[error("the function's process ended: {0}")]
    Exited(ExitStatus),
    /// The local AWS is shutting down.
    #[error("the local AWS is shutting down")]
    Stopped,
}
