//! The archiver's Lambda function: reads its configuration, connects, and hands each event to [`archiver::handler`].

use std::{io::stderr, process::ExitCode, sync::Arc};

use archiver::{
    archive::{Archiver, Bounds},
    config::Config,
    handler::handle,
};
use aws_lambda_events::kinesis::KinesisEvent;
use headwater::aws;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
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
    let config = Config::from_env()?;
    let clients = aws::connect(&aws::Settings::default()).await?;
    let ports = clients.ports(&config.store, &config.stream);
    let archive = Arc::new(clients.objects(&config.archive));
    let archiver = Archiver::new(ports, archive, &config.stream, Bounds::default());
    let invoke = |event: LambdaEvent<KinesisEvent>| async {
        handle(&archiver, event.payload).await.map_err(Error::from)
    };
    run(service_fn(invoke)).await
}
