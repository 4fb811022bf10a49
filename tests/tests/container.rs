//! The suite on an emulator in a container: started for this test, deployed to by `infra/deploy`, and gone at its end.
//!
//! | variable | meaning |
//! |---|---|
//! | `HEADWATER_IMAGE` | the image; `ministackorg/ministack` by default, `localstack/localstack` is another |
//! | `HEADWATER_TAG` | its tag; `MiniStack`'s is one with glibc, which the functions need |
//! | `LOCALSTACK_AUTH_TOKEN` | what `LocalStack` asks for |
//!
//! Where no container engine runs, a note says so, and nothing is tried: the suite has run on the embedded AWS (`bank.rs`), and
//! runs on the emulator's package (`tests/emulator/run`).

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write},
    path::Path,
    process::Stdio,
};

use headwater_tests::{Deployment, PATIENCE, Place, eventually, suite};
use reqwest::Client;
use testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, ImageExt,
    core::{ContainerPort, Mount, client::docker_client_instance},
    runners::AsyncRunner,
};
use tokio::process::Command;

/// The emulator that is taken where nobody says which.
const IMAGE: (&str, &str) = ("ministackorg/ministack", "1.5.33-full");
/// Where an emulator listens in its container.
const PORT: u16 = 4566;
/// Where a container engine listens: `LocalStack` runs functions in containers of their own.
const ENGINE: &str = "/var/run/docker.sock";

/// A variable that is set, and not to nothing.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What is to be started.
fn image() -> ContainerRequest<GenericImage> {
    let name = variable("HEADWATER_IMAGE").unwrap_or_else(|| IMAGE.0.to_owned());
    let known = if name == IMAGE.0 { IMAGE.1 } else { "latest" };
    let tag = variable("HEADWATER_TAG").unwrap_or_else(|| known.to_owned());
    println!("starting {name}:{tag}");
    let request = GenericImage::new(&name, &tag)
        .with_exposed_port(ContainerPort::Tcp(PORT))
        .with_startup_timeout(PATIENCE);
    if name == IMAGE.0 {
        // Functions find S3 and Kinesis by it.
        return request.with_env_var("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{PORT}"));
    }
    let token = variable("LOCALSTACK_AUTH_TOKEN").unwrap_or_default();
    request.with_env_var("LOCALSTACK_AUTH_TOKEN", token).with_mount(Mount::bind_mount(ENGINE, ENGINE))
}

/// Why no container engine is to be had, if so: there is no socket, nobody listens there, or not to this user.
async fn no_engine() -> Option<String> {
    match docker_client_instance().await {
        Ok(engine) => engine.ping().await.err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Deploys the real template with the real packages; its progress is shown.
async fn deploy(endpoint: &str) -> Deployment {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/deploy");
    let mut deploy = Command::new(program);
    deploy.args(["--json", "--endpoint", endpoint]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let told = deploy.kill_on_drop(true).output().await.expect("it starts");
    assert!(told.status.success(), "infra/deploy: {}", told.status);
    let told: BTreeMap<String, String> = serde_json::from_slice(&told.stdout).expect("JSON");
    Deployment::from_lookup(|name| told.get(name).cloned()).expect("a deployment")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bank_keeps_its_promises_on_an_emulator_in_a_container() {
    if let Some(reason) = no_engine().await {
        // Not captured, so that it is seen where the test passes.
        let _ = writeln!(
            io::stderr(),
            "note: no container engine runs here ({reason}), so nothing is tried in a container; tests/emulator/run needs none"
        );
        return;
    }
    let container: ContainerAsync<GenericImage> = image().start().await.expect("the emulator starts");
    let host = container.get_host().await.expect("a host");
    let port = container.get_host_port_ipv4(PORT).await.expect("a port");
    let endpoint = format!("http://{host}:{port}");
    let health = Client::new().get(format!("{endpoint}/_localstack/health"));
    eventually(PATIENCE, async || {
        let health = health.try_clone().expect("a request without a body");
        health.send().await.and_then(reqwest::Response::error_for_status).map(drop)
    })
    .await;
    suite::run(Place::deployed(deploy(&endpoint).await).await).await;
}
