//! The bank on cqrs-es, as its documentation shows: an aggregate whose `handle` writes events to a sink, and a view.
//!
//! The domain is the same one, wrapped, so that all stores decide alike and store the same events.

use async_trait::async_trait;
use bank::{Account, AccountCommand, AccountEvent, AccountRejection};
use cqrs_es::{
    Aggregate, AggregateError, CqrsFramework, DomainEvent, EventEnvelope, EventStore, Query, View,
    event_sink::EventSink,
    persist::{EventStoreAggregateContext, PersistedEventRepository, PersistedEventStore, ViewRepository},
};
use headwater::Aggregate as _;
use serde::{Deserialize, Serialize};

use crate::bank::{Answer, Bank, Error};

/// The account as cqrs-es wants it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CqrsAccount(Account);

/// Its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Event(AccountEvent);

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        let name = match self.0 {
            AccountEvent::Opened { .. } => "Opened",
            AccountEvent::Credited { .. } => "Credited",
            AccountEvent::Withdrawn { .. } => "Withdrawn",
            AccountEvent::Declined { .. } => "Declined",
            AccountEvent::Closed => "Closed",
        };
        name.to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for CqrsAccount {
    const TYPE: &'static str = "account";

    type Command = AccountCommand;
    type Event = Event;
    type Error = AccountRejection;
    type Services = ();

    async fn handle(
        &mut self,
        command: AccountCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), AccountRejection> {
        for event in self.0.decide(&command)? {
            sink.write(Event(event), self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        self.0.evolve(&event.0);
    }
}

/// The view: an account's balance.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Balance {
    balance: i64,
}

impl View<CqrsAccount> for Balance {
    fn update(&mut self, event: &EventEnvelope<CqrsAccount>) {
        match &event.payload.0 {
            AccountEvent::Credited { amount, .. } => self.balance += amount.get(),
            AccountEvent::Withdrawn { amount, .. } => self.balance -= amount.get(),
            AccountEvent::Opened { .. } | AccountEvent::Declined { .. } | AccountEvent::Closed => {}
        }
    }
}

/// How a bank on cqrs-es is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Events only: nobody is told of them.
    Events,
    /// Events, and a view that every command updates before it is answered.
    View,
    /// Events, and a snapshot every hundred.
    Snapshots,
    /// As `View`, by a process that hangs between the commit and the view, for ever: to be killed there.
    Hanging,
}

/// A store of this shape.
pub(crate) fn store<R: PersistedEventRepository>(
    repository: R,
    shape: Shape,
) -> PersistedEventStore<R, CqrsAccount> {
    match shape {
        Shape::Snapshots => PersistedEventStore::new_snapshot_store(repository, 100),
        Shape::Events | Shape::View | Shape::Hanging => PersistedEventStore::new_event_store(repository),
    }
}

/// The queries of this shape, `view` among them if it has one.
pub(crate) fn queries(
    shape: Shape,
    view: impl Query<CqrsAccount> + 'static,
) -> Vec<Box<dyn Query<CqrsAccount>>> {
    match shape {
        Shape::Events | Shape::Snapshots => Vec::new(),
        Shape::View => vec![Box::new(view)],
        Shape::Hanging => vec![Box::new(Hang), Box::new(view)],
    }
}

/// Says that the commit stands, and goes no further.
struct Hang;

#[async_trait]
impl Query<CqrsAccount> for Hang {
    async fn dispatch(&self, _: &str, _: &[EventEnvelope<CqrsAccount>]) {
        println!("{COMMITTED}");
        std::future::pending::<()>().await;
    }
}

/// What a hanging process prints when its commit stands.
pub(crate) const COMMITTED: &str = "committed";

/// A bank on cqrs-es.
pub(crate) struct Cqrs<R: PersistedEventRepository, V> {
    pub(crate) framework: CqrsFramework<CqrsAccount, PersistedEventStore<R, CqrsAccount>>,
    pub(crate) store: PersistedEventStore<R, CqrsAccount>,
    pub(crate) views: V,
}

#[async_trait]
impl<R, V> Bank for Cqrs<R, V>
where
    R: PersistedEventRepository + Send + Sync,
    V: ViewRepository<Balance, CqrsAccount>,
{
    async fn execute(&self, account: &str, command: AccountCommand) -> Result<Answer, Error> {
        match self.framework.execute(account, command).await {
            Ok(()) => Ok(Answer::Done),
            Err(AggregateError::UserError(_)) => Ok(Answer::Rejected),
            Err(AggregateError::AggregateConflict) => Ok(Answer::Conflict),
            Err(error) => Err(error.to_string().into()),
        }
    }

    async fn balance(&self, account: &str) -> Result<i64, Error> {
        let loaded: EventStoreAggregateContext<CqrsAccount> =
            self.store.load_aggregate(account).await.map_err(|error| error.to_string())?;
        Ok(loaded.aggregate.0.balance().get())
    }

    async fn seen(&self, account: &str) -> Result<i64, Error> {
        let view = self.views.load(account).await.map_err(|error| error.to_string())?;
        Ok(view.map_or(0, |view| view.balance))
    }
}
