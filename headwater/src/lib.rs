//! Headwater.
pub mod aggregate;
mod error;
pub mod event;
pub mod format;
mod id;
pub mod limits;
pub mod memory;
pub mod port;
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
