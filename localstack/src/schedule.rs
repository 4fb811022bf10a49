//! Schedules: a function is invoked at a rate, as `EventBridge` does with a rule `rate(1 minute)`.
//!
//! Each invocation gets the event that `EventBridge` sends. One that fails is not repeated: the next one comes in any case. One
//! that is throttled waits, as an asynchronous invocation does. On AWS two may be under way at a time; here the next one waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::MissedTickBehavior;

use crate::kinesis::ACCOUNT;
use crate::lambda::InvokeError;
use crate::lambda::functions::Functions;

/// How long a throttled invocation waits before it is tried again.
const THROTTLED: Duration = Duration::from_millis(100);

/// A running schedule; it ends when it is dropped.
pub struct Schedule {
    ticking: JoinHandle<()>,
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Schedule {
    pub(crate) fn begin(
        functions: Arc<Functions>,
        function: String,
        every: Duration,
        region: String,
    ) -> Self {
        let ticking = tokio::spawn(async move {
            // tokio has no interval of nothing.
            let mut interval = tokio::time::interval(every.max(Duration::from_millis(1)));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let event = event(&function, &region);
                let ended = loop {
                    match functions.invoke(&function, event.clone()).await {
                        Err(InvokeError::Throttled) => tokio::time::sleep(THROTTLED).await,
                        ended => break ended,
                    }
                };
                if let Err(error) = ended {
                    tracing::warn!(function, %error, "a scheduled invocation failed");
                }
            }
        });
        Self { ticking }
    }

    pub(crate) fn handle(&self) -> AbortHandle {
        self.ticking.abort_handle()
    }

    /// Ends it; an invocation that is under way is killed.
    pub fn stop(&self) {
        self.ticking.abort();
    }
}

/// What `EventBridge` sends.
fn event(rule: &str, region: &str) -> Bytes {
    let event = serde_json::json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": region,
        "resources": [format!("arn:aws:events:{region}:{ACCOUNT}:rule/{rule}")],
        "detail": {},
    });
    event.to_string().into()
}
