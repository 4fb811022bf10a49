//! The archiver's Lambda function: reads its configuration, connects, and hands each event to [`archiver::handler`].

use std::{process::ExitCode, sync::Arc};

use archiver::{
    archive::{Archiver, Bounds},
    config::Config,
    handler::{handle, read},
};
use headwater::aws;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    archiver::start(serve())
}

async fn serve() -> Result<(), Error> {
    let config = Config::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&config.store, &config.stream).await?;
    let archive = Arc::new(clients.objects(&config.archive));
    let archiver = Archiver::new(ports, archive, &config.stream, Bounds::default());
    let archiver = &archiver;
    let invoke = |event: LambdaEvent<Box<RawValue>>| {
        telemetry::invocation(
            async move { handle(archiver, read(&event.payload)?).await.map_err(Error::from) },
        )
    };
    run(service_fn(invoke)).await
}
