//! What is asked of AWS, and what AWS takes for it: counted, never timed.
//!
//! 1. `world` is an embedded AWS that counts, and writers with a clock that stands still;
//! 2. `commands`, `loads`, `consumers` and `upkeep` do so many of something there, one after another, and say what was counted:
//!    an [`Item`];
//! 3. [`price`] says what AWS takes for each request, so that an item has a price: a multiple of what was counted;
//! 4. [`page`] makes the tables of `docs/cost.md` of it, which a test compares with what stands.

mod commands;
mod consumers;
mod item;
mod loads;
pub mod page;
pub mod price;
mod upkeep;
mod world;

pub use self::item::{Counted, Item};
use super::{Bench, Error, Figure, Row};

/// Counts everything, always the same.
pub async fn count(say: impl Fn(&str)) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    say("commands");
    items.extend(commands::count().await?);
    say("loads");
    items.extend(loads::count().await?);
    say("views and processes");
    items.extend(consumers::count().await?);
    say("archive and relay");
    items.extend(upkeep::count().await?);
    Ok(items)
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    Ok(count(|what| bench.say(what)).await?.iter().map(figure).collect())
}

fn figure(item: &Item) -> Figure {
    let Counted { puts, gets, lists, records, up, down, .. } = item.counted;
    let per = |counted: u64| counted as f64 / item.units as f64;
    let price = price::dollars(item.s3()) + price::dollars(item.kinesis_on_demand());
    Figure::new(Row::Cost, item.what, price, "dollars a million")
        .beside("PUT", per(puts), "")
        .beside("GET", per(gets), "")
        .beside("LIST", per(lists), "")
        .beside("records", per(records), "")
        .beside("up", per(up), "bytes")
        .beside("down", per(down), "bytes")
}
