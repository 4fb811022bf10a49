//! The trace of a run: every call, every effect and every answer, in order, with the simulated time. Two runs of one seed
//! have the same trace, byte for byte.

use std::fmt::Write;

use tokio::time::Instant;

/// What happened so far.
#[derive(Debug)]
pub(crate) struct Trace {
    began: Instant,
    text: String,
}

impl Trace {
    /// An empty trace that begins now.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), text: String::new() }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let elapsed = self.began.elapsed();
        // A String takes every write.
        let _ = writeln!(self.text, "{:>10.6} {line}", elapsed.as_secs_f64());
    }

    /// How long the run has gone on, in simulated time.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// A number that stands for bytes: FNV-1a.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
