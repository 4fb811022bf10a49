//! Deleting where S3 has no conditional DELETE: an empty object says that nothing is there.
//!
//! 1. A conditional DELETE that S3 does not have (501), or does not allow (403), becomes a conditional PUT of no bytes.
//! 2. Who reads an empty object is answered that it is missing; a listing leaves it out. Nothing else is empty: the port refuses
//!    to write no bytes. Heads, pages and segments are never deleted: an empty one is damage, and is read as it is.
//! 3. Who creates is refused by an empty object as by any other. A process that has met one looks (HEAD), and replaces it by
//!    `If-Match`; another one reads after the refusal, and has met one then.
//!
//! A 501 is remembered, so that nobody asks again; a 403 is not, for rights differ by key. Empty objects stay.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::format::key;

/// Whether an object at this key may ever be deleted.
pub(super) fn is_deletable(object: &str) -> bool {
    ![key::HEADS, key::PAGES, key::SEGMENTS].iter().any(|kept| object.starts_with(kept))
}

/// What a process knows of it, for all buckets at one place.
#[derive(Debug, Default)]
pub(super) struct Gone {
    no_delete: AtomicBool,
    met: AtomicBool,
}

impl Gone {
    /// S3 has no conditional DELETE.
    pub(super) fn learn_no_delete(&self) {
        self.no_delete.store(true, Ordering::Relaxed);
    }

    /// Whether S3 is known to have no conditional DELETE.
    pub(super) fn has_no_delete(&self) -> bool {
        self.no_delete.load(Ordering::Relaxed)
    }

    /// An empty object was written or read.
    pub(super) fn meet(&self) {
        self.met.store(true, Ordering::Relaxed);
    }

    /// Whether there may be empty objects.
    pub(super) fn is_met(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }
}
