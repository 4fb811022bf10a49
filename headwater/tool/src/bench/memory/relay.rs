//! The relay: a pass over a store of many heads, of which nothing is published.

use std::{sync::Arc, time::Duration};

use archiver::relay::Report;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{Settings, Store, aws::Clients, port::Ports};
use tokio::time::{Instant, sleep};

use super::{
    super::{Bench, Error, Figure, append::open},
    Function,
};
use crate::cluster::{Cluster, STORE, STREAM};

/// Heads that it finds.
const HEADS: usize = 5_000;
/// A stream that the relay does not know: what is published there is not published for it.
const ELSEWHERE: &str = "elsewhere";
/// How long it may take until all heads are old enough, and published.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn measure(bench: &Bench, cluster: &Cluster, clients: &Clients) -> Result<Figure, Error> {
    let heads = bench.many(HEADS);
    bench.say(format!("{heads} heads"));
    cluster.aws().create_stream(ELSEWHERE, 1).await?;
    let ports = Ports { log: Arc::new(clients.log(ELSEWHERE)), ..clients.ports(STORE, STREAM) };
    let store = Store::new(ports, Settings::default());
    let opened = (0..heads).map(|number| {
        let store = store.clone();
        async move { open(&store, &format!("unpublished-{number}")).await }
    });
    stream::iter(opened).buffer_unordered(256).try_collect::<()>().await?;
    let function = Function::register_with(cluster, "relay", "heads", &[("HEADWATER_RELAY_AGE", "1")]);
    let (deadline, mut published) = (Instant::now() + PATIENCE, 0);
    loop {
        let report: Report = serde_json::from_slice(&function.invoke(cluster, b"{}".to_vec()).await?)?;
        published += report.published;
        if published >= heads as u64 {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("the relay published {published} of {heads} heads: {report:?}").into());
        }
        sleep(Duration::from_millis(200)).await;
    }
    function.figure(cluster, format!("relay, {heads} heads"), 2)
}
