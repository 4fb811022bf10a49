//! The process `holdings`: wiring only.

use std::{process::ExitCode, sync::Arc};

use consumers::{holdings::Holdings, serve_process};
use headwater::{Settings, Store, aws, consume::Reactor};
use service::{BoxError, Config};

fn main() -> ExitCode {
    service::start(run())
}

async fn run() -> Result<(), BoxError> {
    let config = Config::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&config.store, &config.stream).await?;
    let store = Store::new(ports.clone(), Settings::default());
    Ok(serve_process(&config, Arc::new(Reactor::new(Holdings, store, &ports))).await?)
}
