//! The tool against the embedded AWS, over HTTP and the real SDK; what a shell sees is asked of the binary itself.
//!
//! Each file is a command; [`world`] is what they run against.

#![allow(unreachable_pub, clippy::expect_used, clippy::unwrap_used, reason = "the modules of one test")]

mod audit;
mod cases;
mod identity;
mod import;
mod parked;
mod rebuild;
mod replay;
mod shell;
mod show;
mod world;
