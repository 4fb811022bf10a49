//! The commit protocol against a world in memory: what a caller is told, and what then stands.
//!
//! Each file is one promise; [`counter`] is the aggregate, [`process`] one process of several on the same world.

#![allow(unreachable_pub, clippy::expect_used, clippy::unwrap_used, reason = "the modules of one test")]

mod answers;
mod claims;
mod conflicts;
mod counted;
mod counter;
mod denied;
mod ids;
mod long;
mod member;
mod order;
mod process;
mod publishing;
mod rate;
mod readable;
mod requests;
mod schemas;
mod snapshots;
mod traced;
mod watermark;
