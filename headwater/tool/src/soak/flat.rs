//! When memory is called bounded.
//!
//! A process is judged by its own life, if it lived for [`LONG_ENOUGH`]. The first third is left out: caches fill, pools and
//! the allocator find their size. Of the middle and the last third the *medians* are compared: a leak moves a median as much
//! as anything, and a spike, a saw's teeth or a sample that was taken at a bad moment do not. The last median may be above the
//! middle one by [`SLACK`], or by a tenth where that is more: an allocator that takes one more arena is no leak.
//!
//! So a leak is found that adds more than three times the slack over a whole life: 18 MiB for a process of less than 60 MiB.
//! For a process that does 50 commands a second over ten minutes that is 600 bytes for each.

use std::time::Duration;

use serde::Serialize;

/// How long a process must have lived to be judged.
pub const LONG_ENOUGH: Duration = Duration::from_mins(5);
/// How much more memory, in bytes, is no growth.
pub const SLACK: u64 = 6 << 20;
/// The least samples that make a median.
const SAMPLES: usize = 10;

/// The memory of a process at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Since the soak began.
    pub at: Duration,
    /// Resident bytes.
    pub bytes: u64,
}

/// Whether memory is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    /// It is not known: no process lived for long enough.
    NotJudged,
    /// It is.
    Flat,
    /// It is not: from the middle third of a life to the last one the median rose so.
    Grows {
        /// The median of the middle third, in bytes.
        from: u64,
        /// The median of the last third, in bytes.
        to: u64,
    },
}

impl Verdict {
    /// The worse of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rise = |verdict: Self| match verdict {
            Self::NotJudged => (0, 0),
            Self::Flat => (1, 0),
            Self::Grows { from, to } => (2, to - from),
        };
        if rise(other) > rise(self) { other } else { self }
    }
}

/// Judges the samples of one process, in the order of time.
pub fn judge(samples: &[Sample]) -> Verdict {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Verdict::NotJudged };
    let life = last.at.saturating_sub(first.at);
    let third = |number: u32| {
        let (begin, end) = (first.at + life * number / 3, first.at + life * (number + 1) / 3);
        let within = samples.iter().filter(|sample| sample.at >= begin && sample.at <= end);
        median(within.map(|sample| sample.bytes).collect())
    };
    match (third(1), third(2)) {
        (Some(from), Some(to)) if life >= LONG_ENOUGH => {
            if to > from + SLACK.max(from / 10) {
                Verdict::Grows { from, to }
            } else {
                Verdict::Flat
            }
        }
        _ => Verdict::NotJudged,
    }
}

fn median(mut bytes: Vec<u64>) -> Option<u64> {
    bytes.sort_unstable();
    (bytes.len() >= SAMPLES).then(|| bytes[bytes.len() / 2])
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const MIB: f64 = 1_048_576.0;

    /// Ten minutes, a sample every two seconds, of what a process has at a second, in MiB.
    fn judged(seconds: u64, mib: impl Fn(f64) -> f64) -> Verdict {
        let sample = |at: u64| {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "made up"
            )]
            let bytes = (mib(at as f64) * MIB) as u64;
            Sample { at: Duration::from_secs(at), bytes }
        };
        judge(&(0..seconds / 2).map(|tick| sample(tick * 2)).collect::<Vec<_>>())
    }

    fn grows(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Grows { .. })
    }

    #[test]
    fn a_kibibyte_for_each_command_is_found() {
        // 50 commands a second at each process.
        assert!(grows(judged(600, |at| 20.0 + 50.0 * at / 1024.0)));
        assert!(grows(judged(600, |at| 60.0 + 50.0 * at / 1024.0)), "on top of a large cache");
        let mut chance = Rng::with_seed(3);
        let noise: Vec<f64> = (0..600).map(|_| chance.f64() * 10.0).collect();
        let noisy = |at: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made up")]
            let noise = noise[at as usize];
            20.0 + 50.0 * at / 1024.0 + noise
        };
        assert!(grows(judged(600, noisy)), "under noise");
    }

    #[test]
    fn a_leak_that_began_late_is_found() {
        assert!(grows(judged(600, |at| 20.0 + (at - 300.0).max(0.0) / 10.0)));
    }

    #[test]
    fn a_saw_that_comes_back_is_flat() {
        for period in [10.0, 60.0, 97.0] {
            assert_eq!(judged(600, |at| 20.0 + 30.0 * (at % period) / period), Verdict::Flat, "{period}");
        }
    }

    #[test]
    fn noise_a_spike_and_a_cache_that_has_filled_are_flat() {
        let mut chance = Rng::with_seed(5);
        let noise: Vec<f64> = (0..600).map(|_| chance.f64() * 20.0).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made up")]
        let noisy = |at: f64| 20.0 + noise[at as usize];
        assert_eq!(judged(600, noisy), Verdict::Flat);
        assert_eq!(judged(600, |at| if (500.0..530.0).contains(&at) { 400.0 } else { 20.0 }), Verdict::Flat);
        assert_eq!(
            judged(600, |at| 20.0 + at.min(200.0) / 4.0),
            Verdict::Flat,
            "full when the middle begins"
        );
        assert_eq!(judged(600, |at| if at > 350.0 { 24.0 } else { 20.0 }), Verdict::Flat, "one more arena");
        assert_eq!(judged(600, |at| 80.0 - at / 20.0), Verdict::Flat, "shrinks");
    }

    #[test]
    fn a_short_life_is_not_judged() {
        assert_eq!(judged(200, |at| 20.0 + at), Verdict::NotJudged);
        assert_eq!(judge(&[]), Verdict::NotJudged);
        let two = [0, 600].map(|at| Sample { at: Duration::from_secs(at), bytes: at });
        assert_eq!(judge(&two), Verdict::NotJudged);
    }

    #[test]
    fn the_worst_of_a_role_counts() {
        let (small, large) = (Verdict::Grows { from: 1, to: 2 }, Verdict::Grows { from: 1, to: 3 });
        assert_eq!(Verdict::NotJudged.and(Verdict::Flat), Verdict::Flat);
        assert_eq!(small.and(Verdict::Flat), small);
        assert_eq!(small.and(large), large);
    }
}
