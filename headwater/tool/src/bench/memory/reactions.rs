//! The processes: 100 records, which is their mapping's batch, as large as fit into one event, and each is reacted to.

use bank::{Account, AccountCommand, Order, OverdraftLimit, Transfer, TransferCommand};
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    Aggregate, Options, Settings, Store, StreamId, Version,
    aws::Clients,
    format::{commit::Meta, identity::Identity, record::Record},
};
use localstack::PAYLOAD_LIMIT;
use serde_json::Value;

use super::{
    super::{
        Bench, Error, Figure,
        batches::{BEGIN, Batch, arrived, batch},
    },
    EVENTS, Function,
};
use crate::cluster::{Cluster, STORE, STREAM};

/// Records of a process's batch.
const RECORDS: usize = 100;
/// What stands around the text that makes a record large, as base64 and JSON, in bytes.
const FRAME: usize = 1_200;
/// Commands under way.
const AT_A_TIME: usize = 16;

pub(super) async fn measure(
    bench: &Bench,
    cluster: &Cluster,
    clients: &Clients,
    ours: Option<&Identity>,
) -> Result<Vec<Figure>, Error> {
    let store = Store::new(clients.ports(STORE, STREAM), Settings::default());
    let holdings =
        process(bench, cluster, "holdings", async |number| Ok(opened(&store, number).await?.of(ours)))
            .await?;
    for account in ["from", "to"] {
        let open =
            AccountCommand::Open { overdraft_limit: OverdraftLimit::try_from(1_000_000)?, holder: None };
        store.execute::<Account>(account, open, Options::default()).await?;
    }
    let transfers = process(bench, cluster, "transfer-process", async |number| {
        Ok(requested(&store, number).await?.of(ours))
    })
    .await?;
    Ok(vec![holdings, transfers])
}

async fn process(
    bench: &Bench,
    cluster: &Cluster,
    binary: &str,
    record: impl AsyncFn(usize) -> Result<Record, Error>,
) -> Result<Figure, Error> {
    let function = Function::register(cluster, binary, "reactions");
    bench.say(&function.name);
    let (each, mut bytes) = (bench.many(RECORDS), 0);
    for event in 0..bench.rounds(EVENTS) {
        let numbers = event * each..(event + 1) * each;
        let records = stream::iter(numbers).map(async |number| {
            let record = record(number).await?;
            Ok::<_, Error>(arrived(number as u64, BEGIN, &record.stream, &record.encode()?))
        });
        let records: Vec<String> = records.buffered(AT_A_TIME).try_collect().await?;
        let Batch { payload, .. } = batch(&records);
        bytes = payload.len();
        function.take_in(cluster, payload).await?;
    }
    function.figure(cluster, format!("{binary}, {each} reactions"), bytes)
}

/// An account that somebody holds, so that a portfolio is told.
async fn opened(store: &Store, number: usize) -> Result<Record, Error> {
    let holder = Some(format!("holder-{number}").parse()?);
    let open = AccountCommand::Open { overdraft_limit: OverdraftLimit::default(), holder };
    executed::<Account>(store, &format!("held-{number}"), open).await
}

/// A transfer, the money of which goes its first step.
async fn requested(store: &Store, number: usize) -> Result<Record, Error> {
    let one = Version::new(1);
    let (from, to) = ("from".parse()?, "to".parse()?);
    let order =
        Order { from, to, amount: 1.try_into()?, reference: None, from_version: one, to_version: one };
    executed::<Transfer>(store, &format!("transfer-{number}"), TransferCommand::Request(order)).await
}

/// Executes a command, and gives the record of what it committed: large by what travels beside.
async fn executed<A: Aggregate>(store: &Store, id: &str, command: A::Command) -> Result<Record, Error> {
    let text = "x".repeat((PAYLOAD_LIMIT / RECORDS - FRAME) * 3 / 4);
    let meta = Meta::from_iter([("text".to_owned(), Value::from(text))]);
    let options = Options { meta, ..Options::default() };
    let executed = store.execute::<A>(id, command, options).await.map_err(|error| error.to_string())?;
    let commit = executed.commit.ok_or("nothing was committed")?;
    Ok(Record::new(StreamId::new(A::KIND, id)?, vec![commit]))
}
