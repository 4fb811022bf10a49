//! How much is done, and what is said meanwhile.

use std::sync::atomic::{AtomicU32, Ordering};

/// How much is to be done.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    brief: bool,
    places: AtomicU32,
}

impl Effort {
    /// All of it, or a little, which shows that all can be measured.
    pub(crate) fn new(brief: bool) -> Self {
        Self { brief, places: AtomicU32::new(0) }
    }

    /// So many of something; in brief a tenth.
    pub(crate) fn many(&self, whole: u32) -> u32 {
        if self.brief { (whole / 10).max(1) } else { whole }
    }

    /// So many rounds; in brief one.
    pub(crate) fn rounds(&self, whole: u32) -> u32 {
        if self.brief { 1 } else { whole }
    }

    /// A name that no place has.
    pub(crate) fn place(&self) -> String {
        format!("place{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    /// Says what is being done.
    #[expect(clippy::unused_self, reason = "progress belongs to the effort, wherever it goes")]
    pub(crate) fn say(&self, what: &str) {
        eprintln!("   {what}");
    }
}
