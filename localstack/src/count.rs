//! What was asked and answered: requests and bytes per operation and status.
//!
//! Only requests over HTTP count; what the process asks of itself, as an event source mapping's polls, does not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A class of answers: operation and status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// Service and operation, as `s3:PutObject`.
    pub operation: String,
    /// The HTTP status; 0 if the connection was closed without an answer.
    pub status: u16,
}

/// How often, and how many bytes of body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// Bytes of the requests' bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies; those of event streams do not count.
    pub bytes_out: u64,
}

/// A snapshot of every tally.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Class, Tally>);

impl Counts {
    /// Every class with its tally, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Class, &Tally)> {
        self.0.iter()
    }

    /// The tally of one operation over every status.
    pub fn of(&self, operation: &str) -> Tally {
        self.sum(|class| class.operation == operation)
    }

    /// The tally of one operation and status.
    pub fn of_status(&self, operation: &str, status: u16) -> Tally {
        self.sum(|class| class.operation == operation && class.status == status)
    }

    /// The tally of everything.
    pub fn total(&self) -> Tally {
        self.sum(|_| true)
    }

    /// What was added since an earlier snapshot.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        let added = self.0.iter().filter_map(|(class, now)| {
            let before = earlier.0.get(class).copied().unwrap_or_default();
            let tally = Tally {
                requests: now.requests.saturating_sub(before.requests),
                bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
                bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
            };
            (tally.requests > 0).then(|| (class.clone(), tally))
        });
        Counts(added.collect())
    }

    fn sum(&self, wanted: impl Fn(&Class) -> bool) -> Tally {
        self.0.iter().filter(|(class, _)| wanted(class)).fold(Tally::default(), |sum, (_, tally)| Tally {
            requests: sum.requests + tally.requests,
            bytes_in: sum.bytes_in + tally.bytes_in,
            bytes_out: sum.bytes_out + tally.bytes_out,
        })
    }
}

/// The running counts of one port.
#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<Counts>);

impl Counter {
    pub(crate) fn add(&self, operation: &str, status: u16, bytes_in: usize, bytes_out: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = counts.0.entry(Class { operation: operation.to_owned(), status }).or_default();
        tally.requests += 1;
        tally.bytes_in += bytes_in as u64;
        tally.bytes_out += bytes_out as u64;
    }

    pub(crate) fn snapshot(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reset(&self) -> Counts {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_holds_only_what_was_added() {
        let counter = Counter::default();
        counter.add("s3:PutObject", 200, 10, 0);
        let before = counter.snapshot();
        counter.add("s3:PutObject", 412, 10, 5);
        let added = counter.snapshot().since(&before);
        assert_eq!(added.of("s3:PutObject"), Tally { requests: 1, bytes_in: 10, bytes_out: 5 });
        assert_eq!(added.of_status("s3:PutObject", 200), Tally::default());
        assert_eq!(counter.reset().total().requests, 2);
        assert_eq!(counter.snapshot(), Counts::default());
    }
}
