//! What the `headwater` command does: `arguments` is its command line, and picks one of these.
//!
//! The journey of a command through the modules:
//!
//! 1. `target` says where the store is, connects, and asks whether bucket and stream stand;
//! 2. the command does its work: [`adopt`], [`import`], [`read`], [`tail`], [`replay`], [`parked`], [`unpark`],
//!    [`rebuild`], [`audit`];
//! 3. what it finds goes through `output`, for people or as JSON lines;
//! 4. `failure` says what went wrong and what to do next.
//!
//! [`up`], [`demo`] and [`soak`] bring their own store along: [`cluster`] starts everything on this machine, [`drive`] sends
//! commands to it, and [`check`] looks at what then stands. [`mod@bench`] measures how fast it all is.

pub mod adopt;
mod arguments;
pub mod audit;
pub mod bench;
pub mod check;
pub mod cluster;
pub mod demo;
pub mod drive;
mod event;
mod failure;
pub mod import;
mod output;
pub mod parked;
pub mod read;
pub mod rebuild;
pub mod replay;
pub mod simulate;
pub mod soak;
pub mod tail;
mod target;
pub mod unpark;
pub mod up;

pub use self::{
    arguments::Arguments,
    failure::{EXIT_CODES, Failure},
    output::{Line, Output, Paint, exit, log, usage},
    target::{Connection, Need, Target, Unreachable},
};
