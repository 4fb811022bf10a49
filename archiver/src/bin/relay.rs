//! The relay's Lambda function: a schedule invokes it, whatever the event says, and each invocation is a pass.

use std::{io::stderr, process::ExitCode, sync::Arc};

use archiver::{
    config::RelayConfig,
    relay::{Relay, Settings},
};
use headwater::aws;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Error> {
    let filter = EnvFilter::try_new(std::env::var("HEADWATER_LOG").unwrap_or_else(|_| "info".to_owned()))?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(stderr).try_init()?;
    let RelayConfig { places, age } = RelayConfig::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.ports(&places.store, &places.stream);
    let archive = Arc::new(clients.objects(&places.archive));
    let relay = Relay::new(ports, archive, &places.stream, Settings { age, ..Settings::default() });
    let invoke = |_: LambdaEvent<IgnoredAny>| async { Ok::<_, Error>(relay.pass().await) };
    run(service_fn(invoke)).await
}
