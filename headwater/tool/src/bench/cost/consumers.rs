//! Views, queries and processes.

use std::{collections::BTreeMap, time::Duration};

use bank::{Order, Transfer, TransferCommand};
use consumers::{balance::Balances, transfers::Transfers};
use headwater::{
    Aggregate, Options, Version,
    consume::{Projector, Reactor},
    port::Sequence,
};

use super::{
    super::Error,
    item::{Counted, Item},
    world::{World, credited, names, open},
};

/// Accounts, and commits of each.
const ACCOUNTS: usize = 10;
const COMMITS: usize = 10;
/// Transfers.
const TRANSFERS: usize = 5;

pub(super) async fn count() -> Result<Vec<Item>, Error> {
    let mut items = views().await?;
    items.push(process().await?);
    Ok(items)
}

async fn views() -> Result<Vec<Item>, Error> {
    let world = World::new().await?;
    let (store, ids) = (world.process(), names("a", ACCOUNTS));
    open(&store, &ids).await?;
    let opened = world.records().await?;
    for id in &ids {
        for _ in 0..COMMITS {
            credited(&store, id).await?;
        }
    }
    let credits = world.records().await?.split_off(opened.len());
    let projector = Projector::new(Balances, &world.ports);
    let alone = async {
        for arrival in &opened {
            done(&projector.project(std::slice::from_ref(arrival)).await)?;
        }
        Ok(())
    };
    let what = "commits seen by a projection, each in a batch of its own";
    let alone = world.count(what, opened.len(), alone).await?.reading(&opened);
    let what = "commits seen by a projection, ten of a stream in a batch of 100";
    let together = world.count(what, credits.len(), async { done(&projector.project(&credits).await) });
    let together = together.await?.reading(&credits);
    let queries = async {
        for id in &ids {
            Projector::new(Balances, &world.ports).query(id, None).await?;
        }
        Ok(())
    };
    let queries = world.count("queries, each in a new process", ids.len(), queries).await?;
    Ok(vec![alone, together, queries])
}

/// Transfers from and to accounts that nobody has written for long, until nothing is left to be done.
async fn process() -> Result<Item, Error> {
    let world = World::new().await?;
    let (store, from, to) = (world.process(), names("from", TRANSFERS), names("to", TRANSFERS));
    open(&store, &from).await?;
    open(&store, &to).await?;
    for id in &from {
        credited(&store, id).await?;
    }
    world.settle().await?;
    let begun = world.records().await?.len();
    for (from, to) in from.iter().zip(&to) {
        let zero = Version::ZERO;
        let order = Order {
            from: from.parse()?,
            to: to.parse()?,
            amount: 5.try_into()?,
            reference: None,
            from_version: zero,
            to_version: zero,
        };
        let id = format!("{from}-{to}");
        store.execute::<Transfer>(&id, TransferCommand::Request(order), Options::default()).await?;
    }
    let process = Transfers { expire_after: Duration::from_hours(24) };
    let reactor = Reactor::new(process, world.process(), &world.ports);
    let what = "transfers, from the order to the end";
    let mut item = Item { what, units: TRANSFERS as u64, counted: Counted::default() };
    let mut seen = begun;
    loop {
        let records = world.records().await?.split_off(seen);
        if !records.iter().any(|record| record.key.starts_with(Transfer::KIND)) {
            return Ok(item);
        }
        seen += records.len();
        let step = world.count(what, TRANSFERS, async { done(&reactor.react(&records).await) }).await?;
        item.counted += step.reading(&records).counted;
    }
}

/// Nothing must come again.
fn done(failed: &BTreeMap<String, Sequence>) -> Result<(), Error> {
    if failed.is_empty() { Ok(()) } else { Err(format!("to come again: {failed:?}").into()) }
}
