//! A service as a process: started, listened to, stopped.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::ClusterError;

/// How long a service may take to listen.
const START: Duration = Duration::from_secs(20);
/// How long a service may take to end by itself.
const STOP: Duration = Duration::from_secs(10);
/// What a service says first.
const LISTENING: &str = "listening on ";

/// A running service. Dropped, it is killed.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    url: String,
    child: Child,
    // Open for as long as this process lives: the service ends when it closes.
    _parent: Option<ChildStdin>,
}

impl Service {
    /// Starts a binary on `port`, or on a free one, and waits until it listens.
    pub(super) async fn spawn(
        name: &'static str,
        binary: &Path,
        port: u16,
        environment: &[(&'static str, String)],
    ) -> Result<Self, ClusterError> {
        let failed = |reason: String| ClusterError::Service { service: name.to_owned(), reason };
        let mut command = Command::new(binary);
        command.env_clear().envs(environment.iter().map(|(name, value)| (*name, value)));
        command.env("HEADWATER_LISTEN", format!("127.0.0.1:{port}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        // Out of the child, or waiting for its end would close it.
        let parent = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(START, lines.next_line()).await;
        let line = first.map_err(|_| failed(format!("it does not listen after {START:?}")))?;
        let url = match line {
            Ok(Some(line)) if line.starts_with(LISTENING) => line[LISTENING.len()..].to_owned(),
            Ok(Some(line)) => return Err(failed(format!("it says {line:?}"))),
            Ok(None) | Err(_) => return Err(failed("it ended at once; its messages stand above".to_owned())),
        };
        Ok(Self { name, url, child, _parent: parent })
    }

    /// Where it listens, as `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it, as a failing machine would.
    pub async fn kill(mut self) {
        // It may have ended already.
        drop(self.child.kill().await);
    }

    /// Asks it to end, and kills it if it does not; tells whether it ended by itself.
    pub async fn stop(mut self) -> bool {
        if self.signal(Signal::TERM) && timeout(STOP, self.child.wait()).await.is_ok() {
            return true;
        }
        self.kill().await;
        false
    }

    /// Its process id, for as long as it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops it where it is, until it thaws.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Its name, if it has ended.
    pub(super) fn ended(&mut self) -> Option<&'static str> {
        matches!(self.child.try_wait(), Ok(Some(_))).then_some(self.name)
    }

    fn signal(&self, signal: Signal) -> bool {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}
