//! The real tool's `rebuild`, on a cluster.

use std::process::Stdio;

use headwater_tool::cluster::{CREDIT_LIMITS, Cluster, binaries::Binaries};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::PATIENCE;

/// Rebuilds a projection by the real tool; tells the generation that serves then.
///
/// # Panics
///
/// If it does not end well in time.
#[expect(clippy::expect_used, reason = "a test that cannot rebuild has failed")]
pub async fn rebuilt(cluster: &Cluster, projection: &str, more: &[&str]) -> u64 {
    let binary = Binaries::ready().expect("the binaries").path("headwater");
    let mut command = Command::new(binary);
    command
        .args(["rebuild", projection, "--json"])
        .args(more)
        .env("AWS_ENDPOINT_URL", cluster.aws().endpoint());
    command.env("HEADWATER_FORWARD", CREDIT_LIMITS).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PATIENCE, command.output()).await.expect("it ends in time").expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let told: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(told["projection"], projection);
    told["generation"].as_u64().expect("a generation")
}
