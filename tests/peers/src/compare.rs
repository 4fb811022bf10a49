//! All comparisons, one after another.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::{
    archiver,
    bank::Error,
    cost,
    cqrs::Shape,
    crash,
    effort::Effort,
    embedded, speed,
    store::{Kind, Pace, Store},
    table::Table,
    writers,
};

/// What to compare, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// Where `MiniStack` is.
    #[arg(long, value_name = "URL")]
    ministack: String,
    /// The database of a `PostgreSQL` that is nobody's; without it, it is not compared.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// A directory that is removed afterwards by somebody else.
    #[arg(long, value_name = "DIRECTORY")]
    scratch: PathBuf,
    /// A JSON object a row.
    #[arg(long)]
    json: bool,
    /// A little of everything: it shows that all can be compared, and its figures say nothing.
    #[arg(long)]
    brief: bool,
    /// Compare in this only; may be repeated.
    #[arg(long, value_name = "WHAT", value_enum)]
    only: Vec<What>,
    /// The command that runs Python with pyarrow; without it, only Headwater archives.
    #[arg(last = true)]
    python: Vec<String>,
}

/// In what they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Commands per second, and how long one takes.
    Speed,
    /// Requests and bytes of a command.
    Cost,
    /// The same, as an account grows.
    Growth,
    /// Eight writers on one account.
    Writers,
    /// Killed between commit and publication.
    Crash,
    /// Archivers.
    Archiver,
}

impl Compare {
    /// Compares, and shows each table when it is known.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let (_embedded, endpoint) = embedded::start(self.scratch.join("embedded")).await?;
        let (events, all) = self.stores(endpoint);
        let effort = Effort::new(self.brief);
        for what in What::value_variants() {
            if self.only.is_empty() || self.only.contains(what) {
                let table = match what {
                    What::Speed => speed::measure(&all, &effort).await?,
                    What::Cost => cost::life_long(&all, &effort).await?,
                    What::Growth => cost::growing(&events, &effort).await?,
                    What::Writers => writers::measure(&events, &effort).await?,
                    What::Crash => crash::measure(&events, &effort).await?,
                    What::Archiver => {
                        let python = Some(&*self.python).filter(|python| !python.is_empty());
                        archiver::measure(python, &self.scratch, &effort).await?
                    }
                };
                self.show(&table);
            }
        }
        Ok(())
    }

    /// The stores without views, and all.
    fn stores(&self, endpoint: String) -> (Vec<Store>, Vec<Store>) {
        let slow = |name, kind| Store { name, kind, address: self.ministack.clone(), pace: Pace::Hundreds };
        let mut events = vec![
            slow("Headwater (MiniStack)", Kind::Headwater),
            slow("cqrs-es, DynamoDB (MiniStack)", Kind::Dynamo(Shape::Events)),
            Store {
                name: "Headwater (embedded AWS)",
                kind: Kind::Headwater,
                address: endpoint,
                pace: Pace::Thousands,
            },
        ];
        let mut views = vec![slow("cqrs-es, DynamoDB (MiniStack), a view", Kind::Dynamo(Shape::View))];
        if let Some(url) = &self.postgres {
            let fast = |name, kind| Store { name, kind, address: url.clone(), pace: Pace::Thousands };
            events.push(fast("cqrs-es, PostgreSQL", Kind::Postgres(Shape::Events)));
            views.push(fast("cqrs-es, PostgreSQL, a view", Kind::Postgres(Shape::View)));
        }
        (events.clone(), [events, views].concat())
    }

    fn show(&self, table: &Table) {
        if self.json {
            print!("{}", table.json());
        } else {
            println!("{}", table.human());
        }
    }
}
