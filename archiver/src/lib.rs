//! The archive: every commit that Kinesis delivered, once and in order, as segments of Parquet on S3.
//!
//! The journey of a batch of one shard's records through the modules:
//!
//! ```text
//!  config    what the function is told, read once
//!  handler   the Lambda's event becomes a batch per shard
//!  archive   what the archive holds already is dropped, what is no commit goes to quarantine,
//!  known       a commit that came before is kept once,
//!  segment     and the rest is encoded, a row per event
//!  chain     the segment becomes the next of its shard's chain, unless somebody was faster
//!  replay    and is read again: every commit once, in version order per stream
//!  rebuild   a projection's views are made of it anew
//! ```
//!
//! The archive is right (H10) because of four rules, each kept in one place:
//!
//! 1. The key of ordinal k + 1 follows from the chain and the shard alone, so that a conditional create excludes
//!    ([`chain`]).
//! 2. Every record that was delivered is covered by a segment, be it without rows, so that the chain says how far the
//!    shard is archived ([`archive`]).
//! 3. What goes to quarantine goes there before the segment that covers it ([`archive`]).
//! 4. Whoever writes ordinal k + 1 knows the commits of the segments before it (`known`).
//!
//! Beside it stands [`relay`], which delivers what a dead writer left behind, and says through when all is delivered; and
//! [`audit`], which compares all that S3 holds of streams with all that is archived.

pub mod archive;
pub mod audit;
pub mod chain;
pub mod config;
pub mod handler;
mod known;
pub mod metric;
pub mod place;
pub mod quarantine;
pub mod rebuild;
pub mod relay;
pub mod replay;
pub mod segment;
pub mod shard;
mod start;
mod watermark;

pub use self::start::start;
