//! What is remembered of the commits of a shard, so that one that arrives again is kept once.
//!
//! A stream's versions arrive for the first time in their order (H4), so a stream is remembered as the range of versions
//! that came, not commit by commit: what lies in the range came before, and so did what lies below it. A hole in the range
//! (a record that went to quarantine) stays a hole, and what fills it is new.
//!
//! A commit comes again only for a while after it came first (`design.md`, section 7): what did not come since the
//! [horizon](crate::watermark) is forgotten, and beyond [`Known::most`] streams the oldest are.

use std::collections::HashMap;

use headwater::{StreamId, Version};
use jiff::Timestamp;

use crate::segment::Span;

/// The newest commits of a shard.
#[derive(Debug)]
pub(crate) struct Known {
    streams: HashMap<StreamId, Stream>,
    most: usize,
}

/// What came of one stream.
#[derive(Debug)]
struct Stream {
    /// The range that grows.
    newest: (Version, Version),
    /// The ranges before holes, oldest first: almost never any.
    older: Vec<(Version, Version)>,
    /// When its newest commit arrived.
    arrived_at: Timestamp,
}

impl Known {
    /// Remembers at least the newest `most` streams.
    pub(crate) fn new(most: usize) -> Self {
        Self { streams: HashMap::new(), most }
    }

    /// The commit that begins at `first` came before.
    pub(crate) fn holds(&self, stream: &StreamId, first: Version) -> bool {
        let Some(known) = self.streams.get(stream) else { return false };
        let within = |(from, through): &(Version, Version)| *from <= first && first <= *through;
        let oldest = known.older.first().unwrap_or(&known.newest).0;
        first < oldest || within(&known.newest) || known.older.iter().any(within)
    }

    /// Remembers a commit, in any order.
    pub(crate) fn add(&mut self, span: &Span) {
        let range = (span.first, span.last);
        if let Some(known) = self.streams.get_mut(&span.stream) {
            known.arrived_at = known.arrived_at.max(span.arrived_at);
            if known.older.is_empty() && known.newest.1.next() == span.first {
                known.newest.1 = span.last;
            } else {
                known.insert(range);
            }
        } else {
            let known = Stream { newest: range, older: Vec::new(), arrived_at: span.arrived_at };
            self.streams.insert(span.stream.clone(), known);
            self.bound();
        }
    }

    /// Remembers a segment's commits.
    pub(crate) fn extend(&mut self, spans: &[Span]) {
        for span in spans {
            self.add(span);
        }
    }

    /// Forgets the streams of which nothing arrived since `horizon`.
    pub(crate) fn forget(&mut self, horizon: Timestamp) {
        self.streams.retain(|_, known| known.arrived_at >= horizon);
    }

    /// No more streams can be remembered without forgetting others.
    pub(crate) fn is_full(&self) -> bool {
        self.streams.len() >= self.most
    }

    /// Forgets the oldest when there are a quarter too many, so that it is seldom done.
    fn bound(&mut self) {
        if self.streams.len() <= self.most + self.most / 4 {
            return;
        }
        let mut times: Vec<Timestamp> = self.streams.values().map(|known| known.arrived_at).collect();
        let oldest = times.len() - self.most.max(1);
        let (_, horizon, _) = times.select_nth_unstable(oldest);
        let horizon = *horizon;
        self.forget(horizon);
    }
}

impl Stream {
    fn insert(&mut self, range: (Version, Version)) {
        let mut ranges = std::mem::take(&mut self.older);
        ranges.extend([self.newest, range]);
        ranges.sort_unstable();
        for (from, through) in ranges {
            match self.older.last_mut() {
                Some(before) if from <= before.1.next() => before.1 = before.1.max(through),
                _ => self.older.push((from, through)),
            }
        }
        if let Some(newest) = self.older.pop() {
            self.newest = newest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(stream: &str, first: u64, last: u64, second: i64) -> Span {
        Span {
            stream: stream.parse().expect("a stream"),
            first: Version::new(first),
            last: Version::new(last),
            arrived_at: Timestamp::from_second(second).expect("a time"),
        }
    }

    proptest! {
        #[test]
        fn what_came_is_known_and_what_is_yet_to_come_is_not(versions in proptest::collection::vec(1_u64..40, 1..30)) {
            let mut known = Known::new(10);
            for version in &versions {
                known.add(&span("a/1", *version, *version, 0));
            }
            let stream = "a/1".parse().expect("a stream");
            let oldest = versions.iter().min().expect("one");
            for version in 1..50 {
                let came = versions.contains(&version) || version < *oldest;
                prop_assert_eq!(known.holds(&stream, Version::new(version)), came, "{}", version);
            }
        }
    }

    #[test]
    fn the_oldest_streams_are_forgotten_first() {
        let mut known = Known::new(4);
        for second in 0..6 {
            known.add(&span(&format!("a/{second}"), 1, 1, second));
        }
        assert_eq!(known.streams.len(), 4);
        assert!(!known.holds(&"a/1".parse().expect("a stream"), Version::new(1)));
        assert!(known.holds(&"a/2".parse().expect("a stream"), Version::new(1)));
        known.forget(Timestamp::from_second(4).expect("a time"));
        assert_eq!(known.streams.len(), 2);
    }
}
