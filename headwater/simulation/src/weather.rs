//! Weather: how bad the world is in one run. The seed decides, so that some runs are calm but for one kind of fault, and
//! others have all kinds at once.

use std::time::Duration;

use fastrand::Rng;

/// The chances of a run, in thousandths of all calls where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weather {
    /// A call is slow: seconds instead of milliseconds, there or back.
    pub slow: u16,
    /// It fails before it had an effect, at once or after a while.
    pub lost: u16,
    /// It has its effect, and the answer is lost.
    pub unheard: u16,
    /// It fails, and has its effect up to half a minute later.
    pub late: u16,
    /// It arrives twice, and the second arrival is answered.
    pub twice: u16,
    /// 409, where it is a write.
    pub in_flight: u16,
    /// Throttling: of a call, or of one record of it.
    pub throttled: u16,
    /// The process that calls dies, before the call leaves or while it is on its way.
    pub crash: u16,
    /// A batch is delivered again after it was taken, some of it, or more.
    pub again: u16,
    /// A batch is delivered a second time while it is being worked on.
    pub overlap: u16,
    /// How often a process dies of itself.
    pub deaths: Option<Duration>,
    /// How often shards are split or merged.
    pub reshards: Option<Duration>,
    /// How far clocks are off, at most; they step within that now and then.
    pub skew: Duration,
}

impl Weather {
    /// No faults.
    pub fn calm() -> Self {
        Self {
            slow: 0,
            lost: 0,
            unheard: 0,
            late: 0,
            twice: 0,
            in_flight: 0,
            throttled: 0,
            crash: 0,
            again: 0,
            overlap: 0,
            deaths: None,
            reshards: None,
            skew: Duration::ZERO,
        }
    }

    /// The weather of a seed.
    pub fn drawn(dice: &mut Rng) -> Self {
        // A kind of fault is absent as often as it is there: a bug that needs one of them shows best without the others.
        let mut chance = |most: u16| if dice.bool() { dice.u16(0..=most) } else { 0 };
        let mut weather = Self {
            slow: chance(80),
            lost: chance(60),
            unheard: chance(80),
            late: chance(40),
            twice: chance(40),
            in_flight: chance(60),
            throttled: chance(60),
            crash: chance(25),
            again: chance(200),
            overlap: chance(200),
            ..Self::calm()
        };
        let mut every = |least: u64, most: u64| {
            let drawn = dice.u64(least..=most);
            dice.bool().then(|| Duration::from_secs(drawn))
        };
        weather.deaths = every(2, 20);
        weather.reshards = every(5, 40);
        weather.skew = every(1, 30).unwrap_or_default();
        weather
    }
}
