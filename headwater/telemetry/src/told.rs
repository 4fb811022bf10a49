//! What this process tells beside its log, and when: at the end of an invocation, or every few seconds.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    config::{BoxError, Config},
    emf::Emf,
    logs,
    traces::Traces,
};

/// How often a server tells.
pub const EVERY: Duration = Duration::from_secs(10);

/// What was begun; nothing where [`start`](crate::start()) was not called.
static TOLD: OnceLock<Told> = OnceLock::new();

/// Where what is told goes.
#[derive(Debug)]
pub(crate) struct Told {
    metrics: Option<Arc<Emf>>,
    traces: Option<Traces>,
}

impl Told {
    /// Begins what the configuration asks for, and the log in any case.
    pub(crate) fn begin(config: &Config) -> Result<&'static Self, BoxError> {
        let collector = config.collector.as_deref();
        let traces = collector.map(|collector| Traces::begin(&config.name, collector)).transpose()?;
        logs::begin(config, traces.as_ref())?;
        let metrics = config.metrics.then(|| Arc::new(Emf::new(config.name.clone())));
        if let Some(emf) = &metrics {
            metrics::set_global_recorder(Arc::clone(emf))?;
            headwater::metric::describe();
        }
        Ok(TOLD.get_or_init(|| Self { metrics, traces }))
    }

    /// Nothing is to be told.
    fn is_silent(&self) -> bool {
        self.metrics.is_none() && self.traces.is_none()
    }

    /// Tells all that came since the last time.
    pub(crate) async fn flush(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.flush();
        }
        if let Some(traces) = &self.traces {
            traces.flush().await;
        }
    }

    /// Tells what came of `work`, also where it panics.
    async fn after<T>(&self, work: impl Future<Output = T>) -> T {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        self.flush().await;
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a server to its end, and tells meanwhile.
    pub(crate) async fn beside<T>(&self, server: impl Future<Output = T>) -> T {
        if self.is_silent() {
            return server.await;
        }
        let telling = async {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                self.flush().await;
            }
        };
        tokio::select! {
            served = server => served,
            never = telling => never,
        }
    }
}

/// Runs one invocation of a Lambda, and tells what came of it before it ends: also where it fails, or panics.
pub async fn invocation<T>(work: impl Future<Output = T>) -> T {
    match TOLD.get().filter(|told| !told.is_silent()) {
        Some(told) => told.after(work).await,
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use metrics::{counter, with_local_recorder};

    use super::*;

    #[tokio::test]
    async fn what_a_panic_leaves_behind_is_told_and_the_panic_goes_on() {
        let emf = Arc::new(Emf::new("credit".to_owned()));
        let told = Told { metrics: Some(Arc::clone(&emf)), traces: None };
        for panics in [false, true] {
            let work = async {
                with_local_recorder(&emf, || counter!("Commits").increment(1));
                assert!(!panics, "out of range");
            };
            let done = AssertUnwindSafe(told.after(work)).catch_unwind().await;
            assert_eq!(done.is_err(), panics);
            assert_eq!(emf.take(0), [] as [serde_json::Value; 0], "it is told already");
        }
    }
}
