//! An attempt: which of several equal writes made commits, in a head and in the pages that its commits move to.
//!
//! Written as `[first,"id"]`, for it is beside each write: the version of the first event, and a number that was drawn for
//! that one attempt.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::Version;

/// An attempt that made the commits from a version on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt(Version, #[serde(with = "hex")] u64);

impl Attempt {
    /// The attempt `id`, whose first commit begins at `first`.
    pub fn new(first: Version, id: u64) -> Self {
        Self(first, id)
    }

    /// The version where its first commit begins.
    pub fn first(self) -> Version {
        self.0
    }
}

mod hex {
    //! A number as sixteen digits: JSON's own numbers are exact to 53 bits only.

    use super::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{id:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}
