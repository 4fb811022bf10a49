//! Time and chance: what a simulation replaces, so that a run is a pure function of its seed.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;

/// What time it is.
///
/// # Contract
///
/// Clocks of different processes differ by up to 30 s, and may step back; nothing safe depends on them.
pub trait Clock: Send + Sync + 'static {
    /// Now, in milliseconds.
    fn now(&self) -> Timestamp;
}

/// Fresh ids and jitter.
pub trait Entropy: Send + Sync + 'static {
    /// 128 bits that nobody has drawn before.
    fn bits(&self) -> u128;

    /// A fresh unique id of 32 hexadecimal digits.
    fn unique(&self) -> String {
        format!("{:032x}", self.bits())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port that everybody else goes through")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the port that everybody else goes through")]
    fn bits(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }
}

/// Growing, jittered pauses from `first` up to `most`, without end.
pub fn backoff(
    entropy: &dyn Entropy,
    first: Duration,
    most: Duration,
) -> impl Iterator<Item = Duration> + Send {
    #[expect(clippy::cast_possible_truncation, reason = "any 64 of the 128 bits will do")]
    let seed = entropy.bits() as u64;
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(most)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(seed)
        .build()
}
