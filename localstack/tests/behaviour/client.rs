//! Clients of the real SDK, and a way to wait for something.

use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_smithy_http_client::Builder;
use aws_smithy_types::retry::RetryConfig;
use localstack::LocalAws;

pub(crate) fn s3(aws: &LocalAws) -> aws_sdk_s3::Client {
    s3_as(aws, "test", "test")
}

pub(crate) fn s3_as(aws: &LocalAws, key: &str, secret: &str) -> aws_sdk_s3::Client {
    s3_at(aws.endpoint(), key, secret)
}

pub(crate) fn s3_at(endpoint: &str, key: &str, secret: &str) -> aws_sdk_s3::Client {
    let config = s3_config(endpoint, key, secret)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// With the SDK's own defaults: chunked uploads with a checksum behind them.
pub(crate) fn s3_by_default(aws: &LocalAws) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(s3_config(aws.endpoint(), "test", "test").build())
}

fn s3_config(endpoint: &str, key: &str, secret: &str) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .http_client(Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        .force_path_style(true)
}

pub(crate) fn kinesis(aws: &LocalAws) -> aws_sdk_kinesis::Client {
    kinesis_as(aws, "test", "test")
}

pub(crate) fn kinesis_as(aws: &LocalAws, key: &str, secret: &str) -> aws_sdk_kinesis::Client {
    kinesis_at(aws.endpoint(), key, secret)
}

pub(crate) fn kinesis_at(endpoint: &str, key: &str, secret: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(aws_sdk_kinesis::config::Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(aws_sdk_kinesis::config::Credentials::new(key, secret, None, None, "test"))
        .http_client(Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts());
    aws_sdk_kinesis::Client::from_conf(config.build())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(20))
        .build()
}

/// Waits until the condition gives something; fails after 20 seconds.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
