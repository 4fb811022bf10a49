//! The `balance` consumer: wiring only.

use std::{process::ExitCode, sync::Arc};

use consumers::{balance, serve};
use headwater::{aws, consume::Projector};
use service::{BoxError, Config};

fn main() -> ExitCode {
    service::start(run())
}

async fn run() -> Result<(), BoxError> {
    let config = Config::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&config.store, &config.stream).await?;
    let projector = Arc::new(Projector::new(balance::Balances, &ports));
    let router = balance::router(Arc::clone(&projector));
    Ok(serve(&config, projector, router).await?)
}
