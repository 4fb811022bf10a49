//! Where the tool speaks to: AWS, something that listens like it, or a directory of one's own.
//!
//! 1. [`Target`] is what the command line and the environment say.
//! 2. [`Target::connect`] finds region and credentials, for an endpoint on this machine without any configuration; with
//!    `--data` it starts the embedded AWS for as long as the command takes.
//! 3. What the command needs is asked for once ([`Need`]), so that a missing bucket is told at once and with what to do
//!    ([`Unreachable`]), and not after retries.

mod probe;
mod unreachable;

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_sdk_s3::config::Credentials;
use clap::Args;
use headwater::{
    aws::{self, Clients, Settings},
    port::{Objects, Ports},
};
use localstack::{LocalAws, Options};
use reqwest::Url;

pub use self::{probe::Need, unreachable::Unreachable};

/// Shards of a stream that `--data` creates.
const SHARDS: u32 = 4;
/// The least time between two reads of a shard: AWS allows five a second, which all readers share.
const AWS_PACE: Duration = Duration::from_secs(1);
/// The same on this machine, where nobody counts.
const LOCAL_PACE: Duration = Duration::from_millis(100);

/// Where the store is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where the store is")]
pub struct Target {
    /// Where S3 and Kinesis listen, as `http://127.0.0.1:4566`. Without it: where the AWS configuration says. On this
    /// machine neither a region nor credentials are needed
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL", value_parser = endpoint)]
    pub endpoint: Option<Url>,
    /// Use the embedded AWS on this directory while the command runs, instead of an endpoint; bucket and stream are
    /// created if missing
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The store's bucket
    #[arg(long, env = "HEADWATER_STORE", value_name = "BUCKET", default_value = "headwater-store")]
    pub store: String,
    /// The archive's bucket
    #[arg(long, env = "HEADWATER_ARCHIVE", value_name = "BUCKET", default_value = "headwater-archive")]
    pub archive: String,
    /// The Kinesis stream
    #[arg(long, env = "HEADWATER_STREAM", value_name = "NAME", default_value = "headwater")]
    pub stream: String,
}

/// A target that answered.
pub struct Connection {
    /// The store's bucket and the stream.
    pub ports: Ports,
    /// The archive's bucket.
    pub archive: Arc<dyn Objects>,
    /// What was asked for.
    pub target: Target,
    /// The least time between two reads of a shard.
    pub pace: Duration,
    /// Stops when it is dropped.
    _embedded: Option<LocalAws>,
}

impl Target {
    /// Connects, and asks for what is needed.
    pub async fn connect(&self, needs: &[Need]) -> Result<Connection, Unreachable> {
        let embedded = self.embedded().await?;
        let local = embedded.is_some() || self.endpoint.as_ref().is_some_and(is_loopback);
        let settings = match (&embedded, &self.endpoint) {
            (Some(aws), _) => Settings::local(aws.endpoint()),
            (None, Some(endpoint)) => configured(endpoint, |name| std::env::var_os(name).is_some()),
            (None, None) => Settings::default(),
        };
        let place = settings.endpoint.clone().unwrap_or_else(|| "AWS".to_owned());
        let clients: Clients = aws::connect(&settings).await.map_err(Unreachable::Configuration)?;
        probe::all(&clients, self, &place, needs).await?;
        Ok(Connection {
            ports: clients.ports(&self.store, &self.stream),
            archive: Arc::new(clients.objects(&self.archive)),
            target: self.clone(),
            pace: if local { LOCAL_PACE } else { AWS_PACE },
            _embedded: embedded,
        })
    }

    async fn embedded(&self) -> Result<Option<LocalAws>, Unreachable> {
        let Some(data) = &self.data else { return Ok(None) };
        let options = Options { port: 0, data: Some(data.clone()), ..Options::default() };
        let aws = LocalAws::start(options).await.map_err(Unreachable::Start)?;
        for bucket in [&self.store, &self.archive] {
            aws.create_bucket(bucket).map_err(Unreachable::Create)?;
        }
        aws.create_stream(&self.stream, SHARDS).await.map_err(Unreachable::Create)?;
        Ok(Some(aws))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("target", &self.target).finish_non_exhaustive()
    }
}

/// How to ask an endpoint. One on this machine needs no configuration: what the environment does not set is made up, so
/// that credentials from a file never go to a process that only listens here.
fn configured(endpoint: &Url, is_set: impl Fn(&str) -> bool) -> Settings {
    let mut settings = Settings {
        endpoint: Some(endpoint.as_str().trim_end_matches('/').to_owned()),
        ..Settings::default()
    };
    let none_of = |names: &[&str]| !names.iter().any(|name| is_set(name));
    if is_loopback(endpoint) {
        if none_of(&["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"]) {
            settings.region = Some("us-east-1".to_owned());
        }
        if none_of(&["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"]) {
            settings.credentials = Some(Credentials::new("local", "local", None, None, "headwater"));
        }
    }
    settings
}

fn is_loopback(endpoint: &Url) -> bool {
    let host = endpoint.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// An endpoint as a command line gives it.
pub(crate) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "an endpoint reads http://host:port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_needs_no_configuration() {
        for text in
            ["http://127.0.0.1:4566", "http://localhost:4566/", "http://[::1]:4566", "http://127.1.2.3"]
        {
            let settings = configured(&endpoint(text).expect("an endpoint"), |_| false);
            assert_eq!(settings.region.as_deref(), Some("us-east-1"), "{text}");
            let credentials = settings.credentials.expect("made up");
            assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("local", "local"));
        }
    }

    #[test]
    fn what_the_environment_says_goes_first() {
        let local = endpoint("http://127.0.0.1:4566").expect("an endpoint");
        let settings = configured(&local, |name| name == "AWS_REGION" || name == "AWS_ACCESS_KEY_ID");
        assert_eq!((settings.region, settings.credentials.is_none()), (None, true));
    }

    #[test]
    fn another_machine_never_gets_made_up_credentials() {
        for text in [
            "https://kinesis.eu-west-1.amazonaws.com",
            "http://10.0.0.7:4566",
            "http://localhost.example.org",
        ] {
            let settings = configured(&endpoint(text).expect("an endpoint"), |_| false);
            assert_eq!((settings.region, settings.credentials.is_none()), (None, true), "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in ["", "127.0.0.1:4566", "ftp://127.0.0.1", "http://"] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
