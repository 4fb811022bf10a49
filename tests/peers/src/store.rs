//! What is compared, and how a place of it is made, entered and watched.

use std::sync::Arc;

use crate::{
    bank::{Bank, Error},
    cqrs::Shape,
    dynamo, ours, postgres,
    proxy::{Counted, Hold, Proxy},
    wire::Wire,
};

/// A store of events at an address.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// What it is called in a table.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it is: the URL of an endpoint or of a database.
    pub(crate) address: String,
    /// How much it is given to do.
    pub(crate) pace: Pace,
}

/// How fast a store may be expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Some hundred requests per second, as `MiniStack`.
    Hundreds,
    /// Some thousand.
    Thousands,
}

/// What keeps the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Headwater.
    Headwater,
    /// cqrs-es with dynamo-es.
    Dynamo(Shape),
    /// cqrs-es with postgres-es.
    Postgres(Shape),
}

impl Store {
    /// Makes an empty place of this name.
    pub(crate) async fn create(&self, place: &str) -> Result<(), Error> {
        match self.kind {
            Kind::Headwater => ours::create(&self.address, place).await,
            Kind::Dynamo(_) => dynamo::create(&self.address, place).await,
            Kind::Postgres(_) => postgres::create(&self.address, place).await,
        }
    }

    /// A process that works there.
    pub(crate) async fn bank(&self, place: &str) -> Result<Arc<dyn Bank>, Error> {
        match self.kind {
            Kind::Headwater => ours::bank(&self.address, place).await,
            Kind::Dynamo(shape) => Ok(dynamo::bank(&self.address, place, shape)),
            Kind::Postgres(shape) => Ok(postgres::bank(&self.address, place, shape).await),
        }
    }

    /// The same store in another shape; Headwater has one only.
    pub(crate) fn shaped(&self, shape: Shape) -> Self {
        let kind = match self.kind {
            Kind::Headwater => Kind::Headwater,
            Kind::Dynamo(_) => Kind::Dynamo(shape),
            Kind::Postgres(_) => Kind::Postgres(shape),
        };
        Self { kind, ..self.clone() }
    }

    /// The same store behind a counter.
    pub(crate) async fn counting(&self) -> Result<(Self, Counting), Error> {
        let (address, counting) = match self.kind {
            Kind::Headwater | Kind::Dynamo(_) => {
                let proxy = Proxy::start(&self.address, Hold::Nothing).await?;
                (proxy.address().to_owned(), Counting::Http(proxy))
            }
            Kind::Postgres(_) => {
                let (user, host, database) = parts(&self.address)?;
                let wire = Wire::start(host.to_owned()).await?;
                let port = wire.port();
                (format!("{user}@127.0.0.1:{port}/{database}"), Counting::Postgres(wire))
            }
        };
        Ok((Self { address, ..self.clone() }, counting))
    }
}

/// The parts of `postgresql://user@host:port/database`.
fn parts(url: &str) -> Result<(&str, &str, &str), Error> {
    let (user, rest) = url.split_once('@').ok_or("the database's URL names no user")?;
    let (host, database) = rest.split_once('/').ok_or("the database's URL names no database")?;
    Ok((user, host, database))
}

/// What counts.
pub(crate) enum Counting {
    /// Requests.
    Http(Proxy),
    /// Statements.
    Postgres(Wire),
}

impl Counting {
    /// What went through so far.
    pub(crate) fn counted(&self) -> Counted {
        match self {
            Self::Http(proxy) => proxy.counted(),
            Self::Postgres(wire) => wire.counted(),
        }
    }
}
