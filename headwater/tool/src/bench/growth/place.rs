//! A store of its own, and what one of many requests and bytes it takes.

use headwater::{Settings, Store, aws::Clients};
use jiff::Timestamp;
use localstack::LocalAws;
use tokio::time::Instant;

use super::super::{
    Error, Figure,
    bare::{STORE, STREAM, local, verified},
};

/// A store.
pub(super) struct Place {
    pub(super) aws: LocalAws,
    pub(super) clients: Clients,
}

/// What one of some took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    pub(super) milliseconds: f64,
    pub(super) requests: f64,
    pub(super) up: f64,
    pub(super) down: f64,
}

impl Place {
    /// An empty store, whose relay has verified all that will be written.
    pub(super) async fn new() -> Result<Self, Error> {
        let (aws, clients) = local().await?;
        verified(&clients.objects(STORE), Timestamp::constant(4_000_000_000, 0)).await?;
        Ok(Self { aws, clients })
    }

    /// A process that knows nothing yet.
    pub(super) fn process(&self) -> Store {
        Store::new(self.clients.ports(STORE, STREAM), Settings::default())
    }

    /// Does so many of something, one after another.
    pub(super) async fn took(
        &self,
        count: usize,
        work: impl Future<Output = Result<(), Error>>,
    ) -> Result<Took, Error> {
        self.aws.reset_counts();
        let began = Instant::now();
        work.await?;
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        let all = self.aws.counts().total();
        let one = |all: u64| all as f64 / count as f64;
        Ok(Took {
            milliseconds: milliseconds / count as f64,
            requests: one(all.requests),
            up: one(all.bytes_in),
            down: one(all.bytes_out),
        })
    }
}

impl Took {
    /// A figure with requests and bytes beside it, and those of the floor.
    pub(super) fn beside(self, figure: Figure, floor: Self) -> Figure {
        figure
            .beside("requests", self.requests, "")
            .beside("at the floor", floor.requests, "")
            .beside("up", self.up, "bytes")
            .beside("at the floor", floor.up, "bytes")
            .beside("down", self.down, "bytes")
            .beside("at the floor", floor.down, "bytes")
    }
}
