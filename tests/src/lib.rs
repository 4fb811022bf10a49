//! What the end-to-end tests share: a cluster of real processes, and the evidence of what stands in it.
//!
//! The tests are in `tests/tests/`, a file per promise of the pipeline. One [`suite`] of them runs in any [`Place`]: on the
//! embedded AWS, on a stack that was deployed to AWS or to an emulator, and on an emulator in a container.

mod answer;
mod audit;
mod place;
mod rebuild;
pub mod suite;
mod wait;

use std::time::Duration;

use headwater_tool::{
    Connection, Need, Target,
    check::{Found, check},
    cluster::{ARCHIVE, Cluster, Options, STORE, STREAM},
    drive::{Driven, Plan},
};

pub use self::{
    answer::Answer,
    audit::audited,
    place::{Ask, Deployment, Place, Resources, Told},
    rebuild::rebuilt,
    wait::{eventually, until},
};

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A cluster in memory on free ports, with so many processes of each service.
///
/// # Panics
///
/// If it does not start.
#[expect(clippy::expect_used, reason = "a test that cannot start has failed")]
pub async fn cluster(processes: usize) -> Cluster {
    let options = Options { processes, ..Options::default() };
    Cluster::start(options, |_| ()).await.expect("the cluster starts")
}

/// Connects to a cluster's store, as the tool does.
///
/// # Panics
///
/// If the cluster does not answer.
#[expect(clippy::expect_used, reason = "a test that cannot connect has failed")]
pub async fn connect(cluster: &Cluster) -> Connection {
    let target = Target {
        endpoint: Some(cluster.aws().endpoint().parse().expect("an endpoint")),
        data: None,
        store: STORE.to_owned(),
        archive: Some(ARCHIVE.to_owned()),
        stream: Some(STREAM.to_owned()),
        forward: None,
    };
    target.connect(&[Need::Store, Need::Archive, Need::Stream]).await.expect("the cluster answers")
}

/// A plan over a cluster's processes.
pub fn plan(cluster: &Cluster, accounts: usize, seed: u64) -> Plan {
    let request = Duration::from_secs(20);
    Plan { addresses: cluster.addresses(), run: "run".to_owned(), accounts, clients: 48, request, seed }
}

/// Waits until every Lambda has taken in what was published, and checks every invariant over what stands.
///
/// # Panics
///
/// If one is broken, or the Lambdas do not catch up.
#[expect(clippy::expect_used, reason = "a check that cannot be made has failed")]
pub async fn assert_every_invariant(cluster: &Cluster, driven: &Driven) -> Found {
    assert!(cluster.drain(PATIENCE).await, "views and archive catch up");
    let clients = cluster.clients().await.expect("clients");
    let found = check(&clients, driven).await.expect("evidence");
    assert_eq!(found.violations, Vec::<String>::new());
    found
}
