//! How every binary of Headwater starts, and tells what it does.
//!
//! 1. [`start()`] begins the logs and the runtime, and says in one line what went wrong, if it did.
//! 2. `logs`: JSON lines on stderr, so that stdout stays for what a caller reads.
//!
//! The library itself only emits: this crate is for binaries, and nothing in it is needed by whoever brings their own.

mod logs;
mod start;

pub use self::start::{BoxError, Threads, start};
