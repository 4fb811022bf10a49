//! A process is killed after its commit stands, and before anybody was told of it.
//!
//! 1. Two accounts, *touched* and *left*, are opened and take in 100: readers see it.
//! 2. For each a process of its own takes in 7, and is killed (SIGKILL) once the commit stands. With Headwater a proxy holds its
//!    `PutRecords`; with cqrs-es it hangs in the first query's `dispatch`.
//! 3. A healthy process takes in 1 on *touched*.
//! 4. What runs by itself runs: Headwater's relay, which AWS invokes every minute. cqrs-es has nothing that does.
//! 5. What a person may do is done: with cqrs-es a `QueryReplay` of the accounts into new views.
//!
//! After each step it is looked at what the events say, and what readers see.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    bank::{Error, credit, done, open},
    cqrs::{COMMITTED, Shape},
    dynamo,
    effort::Effort,
    ours, postgres,
    proxy::{Hold, Proxy},
    store::{Kind, Pace, Store},
    table::{Cell, Table},
};

/// How long a process may take to come to where it is killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// One that is touched again, and one that is left.
const ACCOUNTS: [&str; 2] = ["touched", "left"];
/// After a person saw to it.
const REPLAYED: &str = "after a replay by hand into new views";

/// What a process is told that shall be killed.
#[derive(Debug, clap::Args)]
pub(crate) struct Victim {
    /// Which store.
    #[arg(long, value_enum)]
    kind: VictimKind,
    /// Where it is.
    #[arg(long)]
    address: String,
    /// Which place of it.
    #[arg(long)]
    place: String,
    /// Which account takes in 7.
    #[arg(long)]
    account: String,
}

/// Which store a victim writes to.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum VictimKind {
    Headwater,
    Dynamo,
    Postgres,
}

impl Victim {
    /// Takes in 7, and hangs.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let kind = match self.kind {
            VictimKind::Headwater => Kind::Headwater,
            VictimKind::Dynamo => Kind::Dynamo(Shape::Hanging),
            VictimKind::Postgres => Kind::Postgres(Shape::Hanging),
        };
        let store = Store { name: "the victim", kind, address: self.address, pace: Pace::Hundreds };
        done(&*store.bank(&self.place).await?, &self.account, credit(7)?).await
    }
}

/// Plays it out.
pub(crate) async fn measure(stores: &[Store], effort: &Effort) -> Result<Table, Error> {
    let mut table = Table::new(
        "crash",
        "Killed between commit and publication: the balance as the events say, and as readers see it",
        &["store", "moment", "touched: events", "touched: seen", "left: events", "left: seen"],
    );
    for store in stores {
        effort.say(&format!("crash: {}", store.name));
        play(&store.shaped(Shape::View), effort, &mut table).await?;
    }
    Ok(table)
}

async fn play(store: &Store, effort: &Effort, table: &mut Table) -> Result<(), Error> {
    let place = effort.place();
    store.create(&place).await?;
    let bank = store.bank(&place).await?;
    for account in ACCOUNTS {
        done(&*bank, account, open()?).await?;
        done(&*bank, account, credit(100)?).await?;
    }
    look(store, &place, &place, "before", table).await?;
    for account in ACCOUNTS {
        kill(store, &place, account).await?;
    }
    look(store, &place, &place, "after the kill", table).await?;
    // Somebody who knows nothing of it, as a process that took the place of the killed one.
    done(&*store.bank(&place).await?, "touched", credit(1)?).await?;
    look(store, &place, &place, "after the next command", table).await?;
    let anew = effort.place();
    let (views, moment) = match store.kind {
        Kind::Headwater => {
            ours::relay(&store.address, &place).await?;
            (&place, "after the relay")
        }
        Kind::Dynamo(_) => {
            store.create(&anew).await?;
            for account in ACCOUNTS {
                dynamo::replay(&store.address, account, &place, &anew).await?;
            }
            (&anew, REPLAYED)
        }
        Kind::Postgres(_) => {
            store.create(&anew).await?;
            for account in ACCOUNTS {
                postgres::replay(&store.address, account, &place, &anew).await?;
            }
            (&anew, REPLAYED)
        }
    };
    look(store, &place, views, moment, table).await
}

/// Writes down what the events of a place say, and what readers see where the views are.
async fn look(store: &Store, place: &str, views: &str, moment: &str, table: &mut Table) -> Result<(), Error> {
    let (bank, readers) = (store.bank(place).await?, store.bank(views).await?);
    let mut row = vec![store.name.into(), moment.into()];
    for account in ACCOUNTS {
        row.push(Cell::money(bank.balance(account).await?));
        row.push(Cell::money(readers.seen(account).await?));
    }
    table.rows.push(row);
    Ok(())
}

/// Lets a process commit, and kills it there.
async fn kill(store: &Store, place: &str, account: &str) -> Result<(), Error> {
    let (kind, proxy) = match store.kind {
        Kind::Headwater => ("headwater", Some(Proxy::start(&store.address, Hold::Publication).await?)),
        Kind::Dynamo(_) => ("dynamo", None),
        Kind::Postgres(_) => ("postgres", None),
    };
    let address = proxy.as_ref().map_or(store.address.as_str(), Proxy::address);
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["victim", "--kind", kind, "--address", address, "--place", place, "--account", account])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    match &proxy {
        Some(proxy) => timeout(PATIENCE, proxy.held()).await??,
        None => timeout(PATIENCE, committed(&mut victim)).await??,
    }
    victim.kill().await?;
    Ok(())
}

/// Waits until a victim says that its commit stands.
async fn committed(victim: &mut Child) -> Result<(), Error> {
    let output = victim.stdout.take().ok_or("the victim has no output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if line == COMMITTED {
            return Ok(());
        }
    }
    Err("the victim ended before its commit stood".into())
}
