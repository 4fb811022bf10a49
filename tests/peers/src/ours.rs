//! Headwater, as the README shows it: its settings are the defaults.

use std::{sync::Arc, time::Duration};

use archiver::relay::{Relay, Settings as RelaySettings};
use async_trait::async_trait;
use bank::{Account, AccountCommand};
use headwater::{
    Aggregate, ExecuteError, Options, Settings, Store, StoreError, StreamId, Version,
    aws::{self, Clients},
    event::StoredEvent,
    format::record::Record,
    port::{Log, Ports, Start},
    schema::Schemas,
};
use tokio::time::{Instant, sleep};

use crate::bank::{Answer, Bank, Error};

/// Shards of a stream.
const SHARDS: i32 = 2;
/// How long a stream may take to stand, and a relay to pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a bucket and a stream of this place.
pub(crate) async fn create(endpoint: &str, place: &str) -> Result<(), Error> {
    let clients = clients(endpoint).await?;
    for bucket in [place.to_owned(), archive(place)] {
        clients.s3().create_bucket().bucket(bucket).send().await?;
    }
    clients.kinesis().create_stream().stream_name(place).shard_count(SHARDS).send().await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = clients.kinesis().describe_stream_summary().stream_name(place).send().await?;
        let status = answer.stream_description_summary.map(|summary| summary.stream_status);
        if status.as_ref().is_some_and(|status| status.as_str() == "ACTIVE") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the stream {place} does not become active: {status:?}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A process of that bank: connections and a cache of its own.
pub(crate) async fn bank(endpoint: &str, place: &str) -> Result<Arc<dyn Bank>, Error> {
    let ports = clients(endpoint).await?.ports(place, place);
    Ok(Arc::new(Ours { store: Store::new(ports.clone(), Settings::default()), ports }))
}

/// Passes with a relay until it has published something.
pub(crate) async fn relay(endpoint: &str, place: &str) -> Result<(), Error> {
    let clients = clients(endpoint).await?;
    let archive = Arc::new(clients.objects(archive(place)));
    // A minute, less on one machine, which has one clock.
    let settings = RelaySettings { age: Duration::from_secs(1), ..RelaySettings::default() };
    let relay = Relay::new(clients.ports(place, place), archive, place, settings);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = relay.pass().await;
        if report.published > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("the relay published nothing: {report:?}").into());
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn clients(endpoint: &str) -> Result<Clients, Error> {
    Ok(aws::connect(&aws::Settings::local(endpoint)).await?)
}

fn archive(place: &str) -> String {
    format!("{place}-archive")
}

struct Ours {
    store: Store,
    ports: Ports,
}

#[async_trait]
impl Bank for Ours {
    async fn execute(&self, account: &str, command: AccountCommand) -> Result<Answer, Error> {
        match self.store.execute::<Account>(account, command, Options::default()).await {
            Ok(_) => Ok(Answer::Done),
            Err(ExecuteError::Rejected(_)) => Ok(Answer::Rejected),
            Err(ExecuteError::Store(StoreError::Conflict { .. })) => Ok(Answer::Conflict),
            Err(ExecuteError::Store(error)) => Err(error.into()),
        }
    }

    async fn balance(&self, account: &str) -> Result<i64, Error> {
        Ok(self.store.load::<Account>(account).await?.state.balance().get())
    }

    /// By the rule of every consumer: a commit is applied if it begins where the last one ended.
    async fn seen(&self, account: &str) -> Result<i64, Error> {
        let stream = StreamId::new(Account::KIND, account)?;
        let (mut state, mut version) = (Account::default(), Version::ZERO);
        for record in records(&*self.ports.log).await? {
            let ours = record.commits.iter().filter(|_| record.stream == stream);
            for commit in ours {
                if commit.first == version.next() {
                    fold(&mut state, &commit.events)?;
                    version = commit.last;
                }
            }
        }
        Ok(state.balance().get())
    }
}

fn fold(state: &mut Account, events: &[StoredEvent]) -> Result<(), Error> {
    for event in events {
        state.evolve(&Schemas::of::<Account>().decode(event)?);
    }
    Ok(())
}

/// All that the stream holds now.
async fn records(log: &dyn Log) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    for shard in log.shards().await? {
        let mut cursor = Some(log.cursor(&shard.id, &Start::Oldest).await?);
        while let Some(at) = cursor {
            let batch = log.read(&at, 10_000).await?;
            for arrival in &batch.records {
                records.push(Record::decode(&arrival.data)?);
            }
            let more = !batch.behind.is_zero() || !batch.records.is_empty();
            cursor = batch.next.filter(|_| more);
        }
    }
    Ok(records)
}
