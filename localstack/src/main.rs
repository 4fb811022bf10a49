//! The local AWS as a program: starts it, creates what is asked for, and runs until Ctrl-C.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use localstack::{DEFAULT_PORT, LocalAws, Options};

/// A local AWS: S3 and Kinesis on one loopback port.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Where to keep everything; without it, in memory only.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A bucket to create; may be repeated.
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// A stream to create; may be repeated.
    #[arg(long = "stream", value_name = "NAME:SHARDS")]
    streams: Vec<Stream>,
}

#[derive(Debug, Clone)]
struct Stream(String, u32);

impl FromStr for Stream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, shards) = text.split_once(':').unwrap_or((text, "1"));
        let shards = shards.parse().map_err(|_| format!("{shards} is no number of shards"))?;
        Ok(Self(name.to_owned(), shards))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let Arguments { port, data, buckets, streams } = Arguments::parse();
    let aws = LocalAws::start(Options { port, data, ..Options::default() }).await?;
    buckets.iter().try_for_each(|name| aws.create_bucket(name))?;
    for Stream(name, shards) in &streams {
        aws.create_stream(name, *shards).await?;
    }
    println!("AWS_ENDPOINT_URL={}", aws.endpoint());
    tokio::signal::ctrl_c().await?;
    aws.shutdown().await;
    Ok(())
}
