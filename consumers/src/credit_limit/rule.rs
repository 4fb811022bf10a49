//! The rule: who gets money in regularly may borrow a quarter of it.
//!
//! Of the newest [`CREDITS`] credits, a quarter of the sum, rounded down to whole [`STEP`]s, at most [`MOST`]. Fewer than
//! [`REGULAR`] credits are no regularity: nothing. All in minor units, in integers, so that every machine says the same.

use std::collections::VecDeque;

use bank::Amount;

/// How many credits the rule looks at: a year of monthly pay.
pub const CREDITS: usize = 12;
/// How many there must be.
pub const REGULAR: usize = 3;
/// What a limit is a multiple of, in minor units.
pub const STEP: i64 = 1_000;
/// The largest limit, in minor units.
pub const MOST: i64 = 5_000_000;

/// The limit that follows from the newest credits, in minor units.
pub fn limit(credits: &VecDeque<Amount>) -> i64 {
    if credits.len() < REGULAR {
        return 0;
    }
    let newest = credits.iter().rev().take(CREDITS);
    let sum = newest.fold(0_i64, |sum, amount| sum.saturating_add(amount.get()));
    (sum / 4 / STEP * STEP).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(credits: &[i64]) -> i64 {
        limit(&credits.iter().map(|units| Amount::try_from(*units).expect("an amount")).collect())
    }

    #[test]
    fn a_quarter_of_the_newest_twelve_in_whole_steps() {
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[1_000_000, 1_000_000]), 0, "twice is no regularity");
        assert_eq!(of(&[4_000, 4_000, 4_000]), 3_000);
        assert_eq!(of(&[4_000, 4_000, 3_999]), 2_000, "rounded down");
        assert_eq!(of(&[1, 1, 1]), 0);
        let mut many = vec![9_000_000];
        many.extend([4_000; CREDITS]);
        assert_eq!(of(&many), 12_000, "what is older than twelve credits does not count");
        assert_eq!(of(&[1_000_000_000_000; CREDITS]), MOST);
    }
}
