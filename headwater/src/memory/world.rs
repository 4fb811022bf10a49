//! Time that a test moves, and chance that a seed decides.

use std::{sync::Mutex, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::{
    memory::lock,
    port::{Clock, Entropy},
};

/// Where a new clock begins: 2026-01-01T00:00:00Z, in seconds since 1970.
const BEGINNING: i64 = 1_767_225_600;

/// A clock that goes where it is told; both kinds begin at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct ManualClock {
    follows: Option<Instant>,
    set_to: Mutex<Timestamp>,
}

impl ManualClock {
    /// A clock that stands still until it is moved.
    pub fn standing() -> Self {
        Self { follows: None, set_to: Mutex::new(Timestamp::constant(BEGINNING, 0)) }
    }

    /// A clock that goes on with tokio's time: it stands still where that is paused, and jumps with its jumps.
    pub fn following_tokio() -> Self {
        Self { follows: Some(Instant::now()), ..Self::standing() }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.shift(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
    }

    /// Moves the clock on, or back, as clocks may step.
    pub fn shift(&self, by: SignedDuration) {
        let mut set_to = lock(&self.set_to);
        *set_to = set_to.saturating_add(by).unwrap_or(*set_to);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::standing()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.follows.map_or(Duration::ZERO, |since| since.elapsed());
        let set_to = *lock(&self.set_to);
        let now = set_to.saturating_add(elapsed).unwrap_or(set_to);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// Chance that is a function of its seed and of how often it was asked.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<fastrand::Rng>);

impl SeededEntropy {
    /// The chance of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn bits(&self) -> u128 {
        lock(&self.0).u128(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_follows_the_paused_time_and_can_be_moved() {
        let (following, standing) = (ManualClock::following_tokio(), ManualClock::standing());
        let begin = following.now();
        assert_eq!(begin.to_string(), "2026-01-01T00:00:00Z");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(following.now().duration_since(begin), SignedDuration::from_secs(3));
        assert_eq!(standing.now(), begin);
        for clock in [&following, &standing] {
            let before = clock.now();
            clock.advance(Duration::from_millis(5));
            clock.shift(SignedDuration::from_millis(-2));
            assert_eq!(clock.now().duration_since(before), SignedDuration::from_millis(3));
        }
    }

    #[test]
    fn equal_seeds_draw_equal_ids() {
        let draw = |seed| {
            let entropy = SeededEntropy::new(seed);
            [entropy.unique(), entropy.unique()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
    }
}
