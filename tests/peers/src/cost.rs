//! What a command costs: requests and bytes, for an account's life, and as one account grows.
//!
//! Each store is asked through a proxy that counts. Growth is one account that takes in a coin a thousand times; at some
//! points ten commands are counted, and then one more by a new process, which knows nothing of the account yet.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    bank::{Bank, Error, credit, done, life, open},
    cqrs::Shape,
    effort::Effort,
    proxy::Counted,
    store::{Counting, Kind, Store},
    table::{Cell, Table, median},
};

/// Commands that are counted together.
const COUNTED: u32 = 10;

/// Requests and bytes of a command, over an account's life.
pub(crate) async fn life_long(stores: &[Store], effort: &Effort) -> Result<Table, Error> {
    let mut table = Table::new(
        "cost",
        "One command in the mean of an account's first eight: requests (PostgreSQL: statements) and bytes",
        &["store", "requests", "bytes up", "bytes down"],
    );
    for store in stores {
        effort.say(&format!("cost: {}", store.name));
        let place = effort.place();
        store.create(&place).await?;
        let (store, counting) = store.counting().await?;
        let bank = store.bank(&place).await?;
        // Connecting and preparing is no part of a command.
        live(&*bank, "warm").await?;
        let before = counting.counted();
        let accounts = effort.many(50);
        for account in 0..accounts {
            live(&*bank, &format!("a-{account}")).await?;
        }
        let counted = counting.counted().since(before);
        let mut row = vec![store.name.into()];
        row.extend(each(counted, accounts * 8));
        table.rows.push(row);
    }
    Ok(table)
}

async fn live(bank: &dyn Bank, account: &str) -> Result<(), Error> {
    for command in life()? {
        done(bank, account, command).await?;
    }
    Ok(())
}

/// Per command: requests, bytes up, bytes down.
fn each(counted: Counted, commands: u32) -> [Cell; 3] {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let each = |count: u64| Cell::from(count as f64 / f64::from(commands));
    [each(counted.requests), each(counted.up), each(counted.down)]
}

/// Requests and bytes of a command, as its account grows to a thousand events.
pub(crate) async fn growing(stores: &[Store], effort: &Effort) -> Result<Table, Error> {
    let mut table = Table::new(
        "growth",
        "One account grows: a command by the process that has written it all, and one by a new process",
        &[
            "store",
            "events",
            "requests",
            "bytes up",
            "bytes down",
            "ms",
            "new: requests",
            "new: bytes up",
            "new: bytes down",
            "new: ms",
            "balance is right",
        ],
    );
    let with_snapshots = |store: &Store| {
        let name = match store.kind {
            Kind::Headwater => return None,
            Kind::Dynamo(_) => "cqrs-es, DynamoDB (MiniStack), a snapshot every 100",
            Kind::Postgres(_) => "cqrs-es, PostgreSQL, a snapshot every 100",
        };
        Some(Store { name, ..store.shaped(Shape::Snapshots) })
    };
    let shapes = stores.iter().flat_map(|store| [Some(store.clone()), with_snapshots(store)]);
    for store in shapes.flatten() {
        effort.say(&format!("growth: {}", store.name));
        grow(&store, effort, &mut table).await?;
    }
    Ok(table)
}

async fn grow(store: &Store, effort: &Effort, table: &mut Table) -> Result<(), Error> {
    let place = effort.place();
    store.create(&place).await?;
    let (store, counting) = store.counting().await?;
    let bank = store.bank(&place).await?;
    done(&*bank, "a", open()?).await?;
    let mut events = 1;
    for point in [20, effort.many(100), effort.many(500), effort.many(1_000)] {
        while events < point.saturating_sub(COUNTED + 1) {
            done(&*bank, "a", credit(1)?).await?;
            events += 1;
        }
        let (warm, warm_took) = commands(&*bank, &counting, COUNTED).await?;
        let fresh = store.bank(&place).await?;
        // Connecting is no part of a command: another account is asked first.
        fresh.balance("none").await?;
        let (cold, cold_took) = commands(&*fresh, &counting, 1).await?;
        events += COUNTED + 1;
        let right = i64::from(events - 1);
        let balance = bank.balance("a").await?;
        let balance = if balance == right { "yes".to_owned() } else { format!("no: {balance}, not {right}") };
        let mut row = vec![store.name.into(), events.into()];
        row.extend(each(warm, COUNTED));
        row.push(milliseconds(warm_took));
        row.extend(each(cold, 1));
        row.push(milliseconds(cold_took));
        row.push(balance.into());
        table.rows.push(row);
    }
    Ok(())
}

/// So many commands one after another: what they cost, and what one of them took in the median.
async fn commands(bank: &dyn Bank, counting: &Counting, commands: u32) -> Result<(Counted, Duration), Error> {
    let before = counting.counted();
    let mut took = Vec::new();
    for _ in 0..commands {
        let began = Instant::now();
        done(bank, "a", credit(1)?).await?;
        took.push(began.elapsed().as_secs_f64());
    }
    Ok((counting.counted().since(before), Duration::from_secs_f64(median(took))))
}

fn milliseconds(took: Duration) -> Cell {
    (took.as_secs_f64() * 1_000.0).into()
}
