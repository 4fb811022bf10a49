//! Eight writers on one account: as eight processes, which know nothing of one another, and as tasks of one.
//!
//! Each writer takes in a coin again and again. A conflict that it is told of it tries again at once, as a caller must who
//! wants the command done. At the end all coins must be there. The stores are asked through the proxy that counts.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::{
    bank::{Answer, Bank, Error, credit, done, open},
    effort::Effort,
    store::Store,
    table::{Cell, Table},
};

/// Writers.
const WRITERS: u32 = 8;
/// Coins of each.
const COINS: u32 = 25;

/// Measures.
pub(crate) async fn measure(stores: &[Store], effort: &Effort) -> Result<Table, Error> {
    let mut table = Table::new(
        "writers",
        "Eight writers on one account",
        &[
            "store",
            "writers",
            "commands/s",
            "conflicts told to callers",
            "most for one command",
            "swaps lost within",
            "requests per command",
            "lost",
            "told as failed",
        ],
    );
    for store in stores {
        for processes in [WRITERS, 1] {
            effort.say(&format!("writers: {}, {processes} processes", store.name));
            table.rows.push(row(store, processes, effort).await?);
        }
    }
    Ok(table)
}

async fn row(store: &Store, processes: u32, effort: &Effort) -> Result<Vec<Cell>, Error> {
    let place = effort.place();
    store.create(&place).await?;
    let (store, counting) = store.counting().await?;
    let mut banks = Vec::new();
    for _ in 0..processes {
        let bank = store.bank(&place).await?;
        bank.balance("a").await?;
        banks.push(bank);
    }
    let first = banks.first().cloned().ok_or("there is no process")?;
    done(&*first, "a", open()?).await?;
    let coins = effort.many(COINS);
    let before = counting.counted();
    let began = Instant::now();
    let writers = (0..WRITERS).zip(banks.iter().cycle());
    let writers = writers.map(|(_, bank)| tokio::spawn(write(Arc::clone(bank), coins)));
    let mut told = Told::default();
    for writer in try_join_all(writers).await? {
        told.add(writer?);
    }
    let took = began.elapsed().as_secs_f64();
    let counted = counting.counted().since(before);
    let commands = coins * WRITERS;
    let missing = i64::from(told.done) - store.bank(&place).await?.balance("a").await?;
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let requests = counted.requests as f64 / f64::from(commands);
    let writers = if processes == 1 { "8 tasks of one process" } else { "8 processes" };
    Ok(vec![
        store.name.into(),
        writers.into(),
        (f64::from(told.done) / took).into(),
        told.conflicts.into(),
        told.most.into(),
        Cell::count(counted.lost),
        requests.into(),
        Cell::money(missing),
        told.failures().into(),
    ])
}

/// What the callers were told.
#[derive(Debug, Default)]
struct Told {
    done: u32,
    conflicts: u32,
    /// For one command.
    most: u32,
    failures: BTreeMap<String, u32>,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.conflicts += other.conflicts;
        self.most = self.most.max(other.most);
        for (error, times) in other.failures {
            *self.failures.entry(error).or_default() += times;
        }
    }

    fn failures(&self) -> String {
        let failures: Vec<_> =
            self.failures.iter().map(|(error, times)| format!("{times} × {error}")).collect();
        if failures.is_empty() { "0".to_owned() } else { failures.join(", ") }
    }
}

async fn write(bank: Arc<dyn Bank>, coins: u32) -> Result<Told, Error> {
    let mut told = Told::default();
    for _ in 0..coins {
        let mut conflicts = 0;
        loop {
            match bank.execute("a", credit(1)?).await {
                Ok(Answer::Done) => {
                    told.done += 1;
                    break;
                }
                Ok(Answer::Conflict) => conflicts += 1,
                Ok(Answer::Rejected) => return Err("a coin was rejected".into()),
                // It may be done, or not: the caller can't know, and does not try again.
                Err(error) => {
                    *told.failures.entry(error.to_string()).or_default() += 1;
                    break;
                }
            }
        }
        told.conflicts += conflicts;
        told.most = told.most.max(conflicts);
    }
    Ok(told)
}
