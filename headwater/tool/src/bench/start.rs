//! `start`: from before a Lambda's process begins until it asks for its first work.
//!
//! The floor is the least function that there is (`producers/service/examples/hello.rs`), built as all others are, and started
//! in turn with them by the same Runtime API, under the same environment variables.

use std::time::Duration;

use localstack::FunctionOptions;

use super::{Bench, Error, Figure, Row, figure::Bound, rounds::rounds};
use crate::cluster::{Cluster, Options, binaries::Binaries};

/// The floor's package and name.
const HELLO: (&str, &str) = ("service", "hello");

/// How often each is started.
const STARTS: usize = 20;

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    bench.say("the binaries");
    tokio::task::spawn_blocking(|| Binaries::ready_with(Some(HELLO))).await??;
    let options = Options { lambdas: false, ..Options::default() };
    let cluster = Cluster::start(options, |step| bench.say(step)).await?;
    let functions = || Binaries::names().map(|name| (name, name));
    for (name, binary) in functions().chain([(HELLO.1, "examples/hello")]) {
        cluster.aws().function(FunctionOptions { name: name.to_owned(), ..cluster.function(binary) });
    }
    let mut figures = Vec::new();
    for (name, _) in functions() {
        bench.say(name);
        let pairs = rounds(bench, STARTS, |_| start(&cluster, name), |_| start(&cluster, HELLO.1)).await?;
        let slowest = pairs.iter().map(|(time, _)| *time).fold(0.0, f64::max);
        figures.push(
            Figure::rounds(Row::Start, name, "ms", &pairs)
                .goal(Bound::AtMost(50.0))
                .ratio_goal(Bound::AtMost(3.0))
                .beside("slowest", slowest, "ms"),
        );
    }
    cluster.stop(Duration::ZERO).await;
    Ok(figures)
}

async fn start(cluster: &Cluster, function: &str) -> Result<f64, Error> {
    Ok(cluster.aws().start_time(function).await?.as_secs_f64() * 1_000.0)
}
