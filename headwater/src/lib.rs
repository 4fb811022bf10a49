//! Event sourcing on services that a team on AWS has already: S3 decides, Kinesis delivers, Lambda reacts.
//!
//! The journey of one command through the modules:
//!
//! 1. [`StreamId`], [`Version`] and [`CommitId`] name things; [`limits`] bounds them.
//! 2. [`aggregate`] decides: a command becomes [`event`]s. [`given`] tests it. [`schema`] reads what was written long ago.
//! 3. [`Store`] loads a state ([`mod@read`]), and commits: the head in S3 is replaced by compare-and-swap, the commit is
//!    published to Kinesis, the caller is answered. The steps are in `commit/`, `publish` and `load`.
//! 4. [`mod@format`] is what then stands and travels: heads, pages, records, views.
//! 5. [`consume`] makes views of it, each commit once, whatever is repeated, late or lost.
//! 6. [`invariants`] are the promises, as predicates over what stands, which [`evidence`] gathers.
//! 7. [`metric`] says what is counted on the way, and [`trace`] how one command is followed. [`redact`] keeps data out of
//!    both.
//!
//! The world comes in through [`port`]s: [`aws`] is the real one, [`memory`] one for tests. [`mod@identity`] says which store it
//! is, so that another one's records change nothing.
//!
//! ```
//! use headwater::{Options, Settings, Store, memory};
//! # use headwater::Aggregate;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Default, Serialize, Deserialize)]
//! # struct Counter(u64);
//! # #[derive(Serialize, Deserialize)]
//! # enum Counted { Up }
//! # impl Aggregate for Counter {
//! #     const KIND: &'static str = "counter";
//! #     type Command = ();
//! #     type Event = Counted;
//! #     type Rejection = std::convert::Infallible;
//! #     fn decide(&self, (): &()) -> Result<Vec<Counted>, std::convert::Infallible> { Ok(vec![Counted::Up]) }
//! #     fn evolve(&mut self, Counted::Up: &Counted) { self.0 += 1; }
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let store = Store::new(memory::ports(1), Settings::default());
//! let up = store.execute::<Counter>("42", (), Options::default()).await?;
//! assert_eq!(up.token.to_string(), "counter/42@1");
//! assert_eq!(store.load::<Counter>("42").await?.state.0, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod aggregate;
pub mod aws;
mod claim;
mod commit;
pub mod consume;
mod error;
pub mod event;
pub mod evidence;
pub mod format;
pub mod given;
mod id;
pub mod identity;
pub mod ijson;
pub mod invariants;
pub mod limits;
mod load;
pub mod memory;
pub mod metric;
pub mod port;
pub mod publish;
pub mod read;
mod reason;
pub mod redact;
pub mod schema;
mod store;
pub mod trace;

pub use self::{
    aggregate::Aggregate,
    claim::Claim,
    error::{DeadlinePassed, StoreError},
    event::{EventError, EventText, StoredEvent},
    id::{CommitId, InvalidName, StreamId, Token, Version},
    reason::Reason,
    schema::{Schemas, Upcaster},
    store::{
        Appended, ExecuteError, Executed, Expected, Loaded, OnConflict, Options, Publication, Settings, Store,
    },
};

/// The README, so that what it shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
