//! From the environment to a service that runs.

use std::time::Duration;

use axum::Router;
use headwater::aws;
use service::{BoxError, Config};

use crate::bank::Bank;

/// How long a service that is told to stop waits for Kinesis. What is left then, the next writer or the relay publishes.
const DRAIN: Duration = Duration::from_secs(8);

/// Serves `app` over the store that the environment names, until the process is told to stop.
pub async fn serve(app: impl FnOnce(Bank) -> Router) -> Result<(), BoxError> {
    let config = Config::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let bank = Bank::new(clients.open(&config.store, &config.stream).await?);
    let store = bank.store().clone();
    let drain = async move {
        let left = store.drain(DRAIN).await;
        if left > 0 {
            tracing::warn!(streams = left, "not published yet: left to the next writer or the relay");
        }
    };
    Ok(service::run(&config, app(bank), drain).await?)
}
