//! The killer: every few seconds a process of a service or of a Lambda dies, or stands still for a while.
//!
//! The first process of each service and the oldest of each Lambda are spared from dying, where there are others: whether
//! memory is bounded shows only in a process that lives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::{sync::watch, time::timeout};

use crate::cluster::{Cluster, ClusterError, Process, SERVICES};

/// What the killer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A service's process is killed, and another one started.
    ServiceKilled,
    /// A service's process stands still for up to 4 s, and goes on where it was.
    ServiceFrozen,
    /// A Lambda's process is killed.
    LambdaKilled,
    /// A Lambda's process stands still until its invocation has timed out, and is killed then.
    LambdaFrozen,
}

impl Deed {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ServiceKilled => "services killed",
            Self::ServiceFrozen => "services frozen",
            Self::LambdaKilled => "Lambdas killed",
            Self::LambdaFrozen => "Lambdas timed out",
        }
    }
}

/// Kills, and counts.
pub(super) struct Killer<'a> {
    cluster: &'a Cluster,
    processes: usize,
    done: Mutex<BTreeMap<Deed, u64>>,
}

impl<'a> Killer<'a> {
    pub(super) fn new(cluster: &'a Cluster, processes: usize) -> Self {
        Self { cluster, processes, done: Mutex::default() }
    }

    /// What has been done so far, and how often.
    pub(super) fn done(&self) -> BTreeMap<Deed, u64> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something again and again, `pause` apart on average, until `stop`.
    pub(super) async fn run(
        &self,
        pause: Option<Duration>,
        seed: u64,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ClusterError> {
        let Some(pause) = pause else { return Ok(()) };
        let mut chance = Rng::with_seed(seed);
        // Over when it is told to stop, or when nobody is left to tell.
        while timeout(pause.mul_f64(0.5 + chance.f64()), stop.wait_for(|stop| *stop)).await.is_err() {
            self.act(&mut chance).await?;
        }
        Ok(())
    }

    async fn act(&self, chance: &mut Rng) -> Result<(), ClusterError> {
        let Some((service, _)) = chance.choice(SERVICES) else { return Ok(()) };
        let spared = usize::from(self.processes > 1);
        let deed = match chance.u8(..20) {
            0..11 => {
                let pause = Duration::from_millis(chance.u64(..1_000));
                self.cluster.restart(service, chance.usize(spared..self.processes), pause).await?;
                Deed::ServiceKilled
            }
            11..14 => {
                let time = Duration::from_millis(chance.u64(500..4_000));
                self.cluster.freeze(service, chance.usize(..self.processes), time).await;
                Deed::ServiceFrozen
            }
            chosen => {
                let Some(pid) = self.lambda(chance) else { return Ok(()) };
                let (deed, signal) = match chosen {
                    14..18 => (Deed::LambdaKilled, Signal::KILL),
                    _ => (Deed::LambdaFrozen, Signal::STOP),
                };
                if kill_process(pid, signal).is_err() {
                    return Ok(());
                }
                deed
            }
        };
        *self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(deed).or_default() += 1;
        Ok(())
    }

    /// Some process of a Lambda, but not the oldest of its function.
    fn lambda(&self, chance: &mut Rng) -> Option<Pid> {
        let mut elders = BTreeSet::new();
        let lambdas = self.cluster.processes().into_iter().filter(|process| process.lambda);
        let younger: Vec<Process> = lambdas.filter(|process| !elders.insert(process.name.clone())).collect();
        Pid::from_raw(i32::try_from(chance.choice(younger)?.id).ok()?)
    }
}
