//! Hostile input: whatever bytes a decoder is given, it does not panic, does not hang, and does not allocate beyond its
//! bound; and what it accepts can be used.
//!
//! 1. [`mutate`] makes a document from the bytes that an engine draws: a kept document, changed a few times in ways that
//!    still get past a parser, or the bytes as they are. [`json`] finds the places, [`words`] has what goes there.
//! 2. [`mod@hunt`] hands documents to a target and watches: panics, memory, time.
//! 3. `tests/hostile` has the targets, a file per format, and the corpus.
//!
//! The same targets run under three engines: fixed rounds under plain `cargo test`, bolero's random engine for as long as
//! it is told, and libFuzzer by `cargo bolero`. `docs/fuzzing.md` says how.

pub mod hunt;
pub mod json;
pub mod mutate;
pub mod words;

#[doc(hidden)]
pub use bolero;
