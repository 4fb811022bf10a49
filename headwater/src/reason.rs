//! What lies behind an error.

use std::{
    error::Error,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// The error that another one comes from, or words where there is none. It is cheap to clone, and derefs to the error, so
/// that it can be downcast.
///
/// Two are equal where they say the same.
///
/// ```
/// use headwater::Reason;
/// use std::io;
///
/// let reason = Reason::new("reading heads/a", io::Error::from(io::ErrorKind::TimedOut));
/// assert_eq!(reason.to_string(), "reading heads/a: timed out");
/// assert!(reason.source().is_some_and(|source| source.is::<io::Error>()));
/// ```
#[derive(Clone)]
pub struct Reason(Arc<dyn Error + Send + Sync>);

/// An error in other words.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Worded {
    words: String,
    source: Reason,
}

impl Reason {
    /// This error, with what was being done.
    pub fn new(doing: impl fmt::Display, source: impl Into<Self>) -> Self {
        let source = source.into();
        Self::worded(format!("{doing}: {source}"), source)
    }

    /// This error in words that say all of it.
    pub(crate) fn worded(words: String, source: impl Into<Self>) -> Self {
        Self(Arc::new(Worded { words, source: source.into() }))
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Reason {
    fn from(error: E) -> Self {
        Self(error.into().into())
    }
}

impl Deref for Reason {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Reason {}

impl Hash for Reason {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().hash(state);
    }
}
