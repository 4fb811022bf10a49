//! Headwater.
pub mod aggregate;
pub mod aws;
mod commit;
pub mod consume;
mod error;
pub mod event;
pub mod format;
pub mod given;
mod id;
pub mod invariants;
pub mod limits;
mod load;
pub mod memory;
pub mod port;
mod publish;
pub mod read;
mod store;

pub use self::{
    aggregate::Aggregate,
    error::StoreError,
    event::StoredEvent,
    id::{CommitId, InvalidName, StreamId, Token, Version},
    store::{
        Appended, ExecuteError, Executed, Expected, Loaded, OnConflict, Options, Publication, Settings, Store,
    },
};
