//! A cluster whose S3 and Kinesis another program provides: what is made there, and how its processes find it.

use std::time::Duration;

use aws_sdk_s3::{config::Credentials, error::ProvideErrorMetadata};
use headwater::aws::{self, Settings};
use localstack::Elsewhere;
use tokio::time::{Instant, sleep};

use super::ClusterError;

/// How long a stream may take to be there.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(100);

/// Who asks elsewhere, and where.
pub(super) fn settings(elsewhere: &Elsewhere) -> Settings {
    let mut settings = Settings::local(&elsewhere.s3);
    settings.kinesis_endpoint = Some(elsewhere.kinesis.clone());
    if let Some(own) = &elsewhere.credentials {
        let (id, secret) = (&own.access_key_id, &own.secret_access_key);
        settings.credentials = Some(Credentials::new(id, secret, None, None, "headwater elsewhere"));
    }
    settings
}

/// What every process is told besides.
pub(super) fn environment(elsewhere: &Elsewhere) -> Vec<(&'static str, String)> {
    let mut told = vec![
        ("AWS_ENDPOINT_URL_S3", elsewhere.s3.clone()),
        ("AWS_ENDPOINT_URL_KINESIS", elsewhere.kinesis.clone()),
    ];
    if let Some(own) = &elsewhere.credentials {
        told.push(("AWS_ACCESS_KEY_ID", own.access_key_id.clone()));
        told.push(("AWS_SECRET_ACCESS_KEY", own.secret_access_key.clone()));
    }
    told
}

/// Makes what does not exist yet, and waits until the streams take records.
pub(super) async fn create(
    elsewhere: &Elsewhere,
    buckets: &[&str],
    streams: &[(&str, u32)],
) -> Result<(), ClusterError> {
    let failed = |name: &str, error: &dyn std::fmt::Display| {
        ClusterError::Create(format!(
            "{name} was not created at {} or {}: {error}",
            elsewhere.s3, elsewhere.kinesis
        ))
    };
    let clients = aws::connect(&settings(elsewhere)).await.map_err(|error| failed("a client", &error))?;
    for bucket in buckets {
        match clients.s3().create_bucket().bucket(*bucket).send().await {
            Ok(_) => {}
            Err(error) if matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists")) => {
            }
            Err(error) => return Err(failed(bucket, &chain(&error))),
        }
    }
    for (stream, shards) in streams {
        let count = i32::try_from(*shards).unwrap_or(i32::MAX);
        match clients.kinesis().create_stream().stream_name(*stream).shard_count(count).send().await {
            Ok(_) => {}
            Err(error) if error.code() == Some("ResourceInUseException") => {}
            Err(error) => return Err(failed(stream, &chain(&error))),
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let described = clients.kinesis().describe_stream().stream_name(*stream).send().await;
            let described = described.map_err(|error| failed(stream, &chain(&error)))?;
            let status = described.stream_description.map(|stream| stream.stream_status.as_str().to_owned());
            if status.as_deref() == Some("ACTIVE") {
                break;
            }
            if Instant::now() > deadline {
                return Err(failed(stream, &format!("it is {} still", status.unwrap_or_default())));
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// An error with its causes: the SDK's own words say nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
