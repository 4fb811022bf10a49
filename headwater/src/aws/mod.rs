//! The ports on AWS: [`AwsObjects`] is a bucket, [`AwsLog`] a Kinesis stream, [`arrival`] a record as Lambda hands it over.
//!
//! 1. [`Settings`] say where AWS is and how long it may take; what they leave open comes from the environment or the
//!    profile, as with every AWS tool: `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`…
//! 2. [`connect`] finds region and credentials, and tells what is missing before anything is asked of AWS.
//! 3. [`Clients`] make the ports, for one bucket and one stream or for more; for who writes, [`Clients::open`] asks first
//!    whether S3 keeps conditions.
//!
//! Each call is one attempt with one deadline; failures are sorted in `failure.rs`, one place for both services.

mod conditions;
mod event;
mod failure;
mod gone;
mod log;
mod objects;

pub use self::{
    event::{InvalidRecord, WrongStream, arrival, check_stream},
    log::AwsLog,
    objects::AwsObjects,
};

use std::{error::Error, sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_sdk_s3::{
    config::{
        Credentials, ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation,
        SharedCredentialsProvider, StalledStreamProtectionConfig, http::HttpResponse,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::{join, time::timeout};

use crate::{
    aws::{failure::Failure, gone::Gone},
    format::key,
    identity::{self, Contradiction, IdentitySource},
    limits,
    port::{Ports, SystemClock, SystemEntropy},
    read::Reader,
};

/// How long the first look at whose a store is may take.
const LOOK: Duration = Duration::from_secs(2);

/// Bytes per second that a connection is trusted to carry: a larger body gets that much more time.
const BYTES_PER_SECOND: u64 = 4 << 20;

/// Where AWS is, who asks, and how long an answer may take.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where S3 and Kinesis listen, as `http://127.0.0.1:4566`; `None` is what `AWS_ENDPOINT_URL`,
    /// `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL_KINESIS` say, and AWS itself without them.
    pub endpoint: Option<String>,
    /// Where Kinesis listens, if elsewhere than at `endpoint`.
    pub kinesis_endpoint: Option<String>,
    /// The region; `None` is what `AWS_REGION` or the profile says.
    pub region: Option<String>,
    /// Who asks; `None` is what the environment, the profile, the container or the instance says.
    pub credentials: Option<Credentials>,
    /// How long a connection may take to stand: 2 s by default.
    pub connect_timeout: Duration,
    /// How long one call may take, with another second for every 4 MiB that it carries: 5 s by default, so that an object
    /// of [`limits::OBJECT_BYTES`] gets 21 s.
    pub call_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            kinesis_endpoint: None,
            region: None,
            credentials: None,
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// A local AWS that takes any credentials.
    pub fn local(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: Some(endpoint.into()),
            region: Some("us-east-1".to_owned()),
            credentials: Some(Credentials::new("test", "test", None, None, "headwater local")),
            ..Self::default()
        }
    }
}

/// What is missing before AWS can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No region is set.
    #[error("no AWS region is set: set AWS_REGION, or AWS_PROFILE to a profile that has one")]
    NoRegion,
    /// No credentials were found, or their source did not give them.
    #[error(
        "no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({0})"
    )]
    NoCredentials(String),
    /// S3 does not keep a condition of PUT that commits rest on.
    #[error(
        "bucket {bucket} at {place} does not keep {condition}: of two writers at once, one would lose commits that it was \
         told of; use an S3 with conditional writes, as AWS, or LocalStack from 4.0 on"
    )]
    Unconditional {
        /// The bucket.
        bucket: String,
        /// The endpoint.
        place: String,
        /// `If-None-Match` or `If-Match`.
        condition: &'static str,
    },
    /// The store in the bucket has another stream.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// The SDK's clients, set up as the library needs them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients {
    s3: aws_sdk_s3::Client,
    kinesis: aws_sdk_kinesis::Client,
    credentials: SharedCredentialsProvider,
    region: Arc<str>,
    call_timeout: Duration,
    place: Arc<str>,
    /// Whether AWS itself listens there.
    is_aws: bool,
    gone: Arc<Gone>,
}

impl Clients {
    /// The bucket of this name.
    pub fn objects(&self, bucket: impl Into<String>) -> AwsObjects {
        AwsObjects::new(self, bucket.into())
    }

    /// The Kinesis stream of this name.
    pub fn log(&self, stream: impl Into<String>) -> AwsLog {
        AwsLog::new(self, stream.into())
    }

    /// The ports to this bucket and this stream, with the machine's time and chance.
    pub fn ports(&self, bucket: impl Into<String>, stream: impl Into<String>) -> Ports {
        let stream = stream.into();
        let identity = IdentitySource::stored(stream.clone());
        Ports {
            objects: Arc::new(self.objects(bucket)),
            log: Arc::new(self.log(stream)),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            identity,
        }
    }

    /// The ports for a process that writes: with a look at whose they are, one GET, and only where S3 keeps conditions.
    ///
    /// # Errors
    ///
    /// The store in this bucket has another stream, or its S3 does not keep conditions. A bucket that does not answer is asked
    /// again when it is needed.
    pub async fn open(
        &self,
        bucket: impl Into<String>,
        stream: impl Into<String>,
    ) -> Result<Ports, ConnectError> {
        let (bucket, stream) = (bucket.into(), stream.into());
        let ports = self.ports(&*bucket, &*stream);
        let reader = Reader::new(&ports).with_patience(LOOK);
        let (kept, found) = join!(
            async { self.objects(&*bucket).keeps_conditions().await },
            identity::read(&reader, key::IDENTITY)
        );
        kept?;
        match found {
            Ok(Some(identity)) => {
                Contradiction::check(&identity, Some(&stream), None)?;
                return Ok(Ports { identity: IdentitySource::fixed(identity), ..ports });
            }
            Ok(None) => {
                tracing::warn!("the store's bucket has no {}: its records carry no id", key::IDENTITY);
            }
            Err(error) => tracing::warn!(%error, "which store this is will be asked again"),
        }
        Ok(ports)
    }

    /// The S3 client, for what the port has no word for.
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// The Kinesis client, for what the port has no word for.
    pub fn kinesis(&self) -> &aws_sdk_kinesis::Client {
        &self.kinesis
    }

    /// Who asks: for whoever signs requests to something else, as to an API that AWS authorizes.
    pub fn credentials(&self) -> &SharedCredentialsProvider {
        &self.credentials
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// How long a call may take that carries so many bytes.
    fn deadline(&self, bytes: usize) -> Duration {
        self.call_timeout + time_for(bytes)
    }

    /// Waits for an answer until that deadline, and sorts what fails.
    fn ask<T, E>(
        &self,
        bytes: usize,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let deadline = self.deadline(bytes);
        // The SDK's futures are many kilobytes large.
        let call = Box::pin(call);
        async move {
            match timeout(deadline, call).await {
                Ok(answer) => answer.map_err(Failure::new),
                Err(_) => Err(Failure::late(deadline)),
            }
        }
    }
}

fn time_for(bytes: usize) -> Duration {
    Duration::from_millis(bytes as u64 * 1_000 / BYTES_PER_SECOND)
}

/// Finds region and credentials, and makes the clients. Nothing is asked of S3 or Kinesis yet.
pub async fn connect(settings: &Settings) -> Result<Clients, ConnectError> {
    let config = load(settings).await;
    let region = config.region().ok_or(ConnectError::NoRegion)?.to_string();
    let nobody = || ConnectError::NoCredentials("no source of credentials is set up".to_owned());
    let credentials = config.credentials_provider().ok_or_else(nobody)?;
    let found = credentials.provide_credentials().await;
    found.map_err(|error| ConnectError::NoCredentials(failure::chain(&error)))?;

    let place = config.endpoint_url().unwrap_or(&region).into();
    let of_s3 = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|_| settings.endpoint.is_none());
    let is_aws = conditions::is_aws(of_s3.as_deref().or(config.endpoint_url()));
    Ok(Clients {
        s3: s3(&config, settings),
        kinesis: kinesis(&config, settings),
        credentials,
        region: region.into(),
        call_timeout: settings.call_timeout,
        place,
        is_aws,
        gone: Arc::default(),
    })
}

async fn load(settings: &Settings) -> SdkConfig {
    let tls = Provider::Rustls(CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
    let mut loader: ConfigLoader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // Every call has a deadline for the whole of it; a second watch over the pace of a body could only disagree.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    loader.load().await
}

fn s3(config: &SdkConfig, settings: &Settings) -> aws_sdk_s3::Client {
    // A bucket's name as a host name needs AWS's DNS.
    let custom = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let config = aws_sdk_s3::config::Builder::from(config)
        .retry_config(no_retries())
        .timeout_config(timeouts(settings))
        .force_path_style(custom)
        // The default sends checksums as trailers, which break some emulators; the signature covers the body anyway.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    aws_sdk_s3::Client::from_conf(config.build())
}

fn kinesis(config: &SdkConfig, settings: &Settings) -> aws_sdk_kinesis::Client {
    let mut config = aws_sdk_kinesis::config::Builder::from(config);
    if let Some(endpoint) = &settings.kinesis_endpoint {
        config = config.endpoint_url(endpoint);
    }
    let config = config.retry_config(no_retries()).timeout_config(timeouts(settings));
    aws_sdk_kinesis::Client::from_conf(config.build())
}

/// The SDK must not repeat a write on its own: a conditional PUT whose answer was lost would come back as a conflict with
/// itself, and a record could overtake the one before it. Reader, commit protocol and publisher repeat instead, each as
/// its step allows.
fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

/// The SDK's own deadlines, as long as the longest call; without them it waits for ever. The ports end shorter calls
/// sooner.
fn timeouts(settings: &Settings) -> TimeoutConfig {
    let longest = settings.call_timeout + time_for(limits::OBJECT_BYTES);
    TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(longest)
        .operation_attempt_timeout(longest)
        .operation_timeout(longest)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_body_gets_more_time() {
        assert_eq!(time_for(0), Duration::ZERO);
        assert_eq!(time_for(limits::OBJECT_BYTES), Duration::from_secs(16));
    }
}
