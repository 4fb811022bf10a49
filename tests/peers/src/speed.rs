//! Commands on accounts of their own, one and 32 in flight.
//!
//! Rounds go over all stores in turn, so that what the machine does meanwhile meets all of them; every round has a place of
//! its own, because `MiniStack`'s streams become slow as they grow. Each account lives its [`life`]: eight commands.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::{
    bank::{Answer, Bank, Error, LEFT, done, life, open, withdraw},
    effort::Effort,
    store::{Pace, Store},
    table::{Cell, Table, median},
};

/// Rounds.
const ROUNDS: u32 = 3;

/// Measures.
pub(crate) async fn measure(stores: &[Store], effort: &Effort) -> Result<Table, Error> {
    let mut table = Table::new(
        "speed",
        "Commands on accounts of their own: how many in a second, and how long one takes",
        &["store", "in flight", "commands/s", "least", "most", "p50 ms", "p99 ms"],
    );
    for in_flight in [1, 32] {
        let mut figures = Vec::new();
        for _ in stores {
            figures.push((Vec::new(), Histogram::<u64>::new(3)?));
        }
        for round in 0..effort.rounds(ROUNDS) {
            let mut turns: Vec<_> = stores.iter().zip(&mut figures).collect();
            if round % 2 == 1 {
                turns.reverse();
            }
            for (store, (rates, latencies)) in turns {
                effort.say(&format!("speed: {}, {in_flight} in flight, round {}", store.name, round + 1));
                let place = effort.place();
                store.create(&place).await?;
                let bank = store.bank(&place).await?;
                let accounts = effort.many(accounts(store, in_flight));
                rates.push(run(&bank, accounts, in_flight, latencies).await?);
            }
        }
        for (store, (rates, latencies)) in stores.iter().zip(figures) {
            table.rows.push(vec![
                store.name.into(),
                in_flight.into(),
                median(rates.iter().copied()).into(),
                rates.iter().copied().fold(f64::INFINITY, f64::min).into(),
                rates.iter().copied().fold(0.0, f64::max).into(),
                milliseconds(&latencies, 0.5),
                milliseconds(&latencies, 0.99),
            ]);
        }
    }
    Ok(table)
}

/// How many accounts, so that a round takes a second or two.
fn accounts(store: &Store, in_flight: u32) -> u32 {
    match (store.pace, in_flight) {
        (Pace::Hundreds, 1) => 50,
        (Pace::Hundreds, _) => 128,
        (Pace::Thousands, 1) => 400,
        (Pace::Thousands, _) => 1_600,
    }
}

/// One round: so many accounts, and so many of them at a time. Tells commands per second.
async fn run(
    bank: &Arc<dyn Bank>,
    accounts: u32,
    in_flight: u32,
    latencies: &mut Histogram<u64>,
) -> Result<f64, Error> {
    // Connections stand before the clock runs.
    let warm = |number| async move { done(&**bank, &format!("warm-{number}"), open()?).await };
    try_join_all((0..in_flight).map(warm)).await?;
    let next = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let workers: Vec<_> =
        (0..in_flight).map(|_| tokio::spawn(work(Arc::clone(bank), Arc::clone(&next), accounts))).collect();
    let worked = try_join_all(workers).await?;
    let took = began.elapsed().as_secs_f64();
    let mut commands = 0_u32;
    for worker in worked {
        for micros in worker? {
            latencies.record(micros)?;
            commands += 1;
        }
    }
    for account in ["a-0", &format!("a-{}", accounts - 1)] {
        let balance = bank.balance(account).await?;
        if balance != LEFT {
            return Err(format!("{account} has {balance}, not {LEFT}").into());
        }
        // The overdraft rule is everybody's.
        let refused = bank.execute(account, withdraw(LEFT + 51)?).await?;
        if refused != Answer::Rejected {
            return Err(format!("a withdrawal beyond the overdraft was answered by {refused:?}").into());
        }
    }
    Ok(f64::from(commands) / took)
}

/// Lets accounts live until there are no more; tells how long each command took, in microseconds.
async fn work(bank: Arc<dyn Bank>, next: Arc<AtomicU32>, accounts: u32) -> Result<Vec<u64>, Error> {
    let mut latencies = Vec::new();
    loop {
        let account = next.fetch_add(1, Ordering::Relaxed);
        if account >= accounts {
            return Ok(latencies);
        }
        let account = format!("a-{account}");
        for command in life()? {
            let began = Instant::now();
            done(&*bank, &account, command).await?;
            latencies.push(u64::try_from(began.elapsed().as_micros())?);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn milliseconds(latencies: &Histogram<u64>, quantile: f64) -> Cell {
    (latencies.value_at_quantile(quantile) as f64 / 1_000.0).into()
}
