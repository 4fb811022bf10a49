//! Hostile input: a target per format and per way in. Each is tried on its kept documents and on mutations of them.
//!
//! A bound of memory has a part for any document (a runtime, a world, what a service sets up) and a part by the document's
//! length, which follows from what a decoder makes of the densest document: `[0,0,0]` becomes 32 bytes a value for two of
//! text, and several copies of what was decoded are alive where it is handed on. Names, lines and stored objects that are
//! only decoded get 64 for a byte, and what goes through a store, a projection or an archiver besides gets 256.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod claim;
mod event;
mod head;
mod http;
mod identity;
mod line;
mod name;
mod page;
mod pointer;
mod quarantine;
mod record;
mod seeds;
mod segment;
mod timer;
mod view;
mod watermark;
mod world;

use fuzz::{hunt, hunt::Memory};

/// Decoded, and written again.
const DECODED: Memory = Memory { at_least: 1 << 20, per_byte: 64 };
/// Decoded, stored and used.
const USED: Memory = Memory { at_least: 8 << 20, per_byte: 256 };

#[test]
fn head() {
    hunt!(head, seeds::heads(), USED, head::holds);
}

#[test]
fn page() {
    hunt!(page, seeds::pages(), USED, page::holds);
}

#[test]
fn record() {
    hunt!(record, seeds::records(), USED, record::holds);
}

#[test]
fn view() {
    hunt!(view, seeds::views(), USED, view::holds);
}

#[test]
fn claim() {
    hunt!(claim, seeds::claims(), USED, claim::holds);
}

#[test]
fn pointer() {
    hunt!(pointer, seeds::pointers(), USED, pointer::holds);
}

#[test]
fn watermark() {
    hunt!(watermark, seeds::watermarks(), USED, watermark::holds);
}

#[test]
fn identity() {
    hunt!(identity, seeds::identities(), USED, identity::holds);
}

#[test]
fn timer() {
    hunt!(timer, seeds::timers(), USED, timer::holds);
}

#[test]
fn segment() {
    hunt!(segment, seeds::segments(), segment::MEMORY, segment::holds);
}

#[test]
fn quarantine() {
    hunt!(quarantine, seeds::quarantined(), DECODED, quarantine::holds);
}

#[test]
fn event() {
    hunt!(event, seeds::events(), USED, event::holds);
}

#[test]
fn line() {
    hunt!(line, seeds::lines(), USED, line::holds);
}

#[test]
fn name() {
    hunt!(name, seeds::names(), DECODED, name::holds);
}

#[test]
fn http() {
    hunt!(http, seeds::requests(), USED, http::holds);
}
