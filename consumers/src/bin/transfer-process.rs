//! The process `transfers`: wiring only.

use std::{process::ExitCode, sync::Arc};

use consumers::{
    serve_process,
    transfers::{Transfers, TransfersConfig},
};
use headwater::{Settings, Store, aws, consume::Reactor};
use service::BoxError;

fn main() -> ExitCode {
    service::start(run())
}

async fn run() -> Result<(), BoxError> {
    let TransfersConfig { service: config, expire_after } = TransfersConfig::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&config.store, &config.stream).await?;
    let store = Store::new(ports.clone(), Settings::default());
    Ok(serve_process(&config, Arc::new(Reactor::new(Transfers { expire_after }, store, &ports))).await?)
}
