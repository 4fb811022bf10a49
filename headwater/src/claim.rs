//! A claim: a value that at most one stream's state may hold, as a username.

use std::fmt;

use crate::{
    id::{InvalidName, check_segment},
    limits,
};

/// A value of a set of unique values.
///
/// A set belongs to one kind of aggregate. What counts as the same value is the aggregate's to say: usernames that differ
/// in case only are one value if the aggregate claims them in lower case.
///
/// ```
/// use headwater::Claim;
///
/// let claim = Claim::new("username", "ann");
/// assert_eq!(claim.to_string(), "username ann");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    set: &'static str,
    value: String,
}

impl Claim {
    /// The value `value` of the set `set`.
    ///
    /// A set's name has at most [`limits::CLAIM_SET_BYTES`], a value at most [`limits::CLAIM_VALUE_BYTES`]; whoever gains
    /// one beyond that is told [`StoreError::Invalid`](crate::StoreError::Invalid).
    pub fn new(set: &'static str, value: impl Into<String>) -> Self {
        Self { set, value: value.into() }
    }

    /// The set.
    pub fn set(&self) -> &'static str {
        self.set
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    pub(crate) fn check(&self) -> Result<(), InvalidName> {
        check_segment("claim's set", self.set, limits::CLAIM_SET_BYTES)?;
        check_segment("claim's value", &self.value, limits::CLAIM_VALUE_BYTES)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.set, self.value)
    }
}
