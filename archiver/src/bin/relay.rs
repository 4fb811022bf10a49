//! The relay's Lambda function: a schedule invokes it, whatever the event says, and each invocation is a pass.

use std::{process::ExitCode, sync::Arc};

use archiver::{
    config::RelayConfig,
    relay::{Relay, Settings},
};
use headwater::aws;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;

fn main() -> ExitCode {
    archiver::start(serve())
}

async fn serve() -> Result<(), Error> {
    let RelayConfig { places, age } = RelayConfig::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.open(&places.store, &places.stream).await?;
    let archive = Arc::new(clients.objects(&places.archive));
    let relay = Relay::new(ports, archive, &places.stream, Settings { age, ..Settings::default() });
    let invoke = |_: LambdaEvent<IgnoredAny>| {
        telemetry::invocation(async {
            relay.identify(&places.store, &places.archive).await?;
            Ok::<_, Error>(relay.pass().await)
        })
    };
    run(service_fn(invoke)).await
}
