//! The `credit-limit` consumer: wiring only.

use std::{process::ExitCode, sync::Arc};

use consumers::{
    credit_limit::{self, CreditLimitConfig, CreditLimits},
    serve,
};
use headwater::{aws, consume::Projector};
use service::BoxError;

fn main() -> ExitCode {
    service::start(run())
}

async fn run() -> Result<(), BoxError> {
    let CreditLimitConfig { service: config, forward } = CreditLimitConfig::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&config.store, &config.stream).await?;
    let log = Arc::new(clients.log(forward));
    let projector = Arc::new(Projector::forwarding(CreditLimits, &ports, log));
    let router = credit_limit::router(Arc::clone(&projector));
    Ok(serve(&config, projector, router).await?)
}
