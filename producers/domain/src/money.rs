//! Money in minor units, as cents: whole numbers within bounds, so that no sum of them overflows.
//!
//! The bounds stay below 2^53, so that every amount is exact in JavaScript's numbers too.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Unexpected, Visitor},
};

/// Largest amount of one movement, and largest overdraft limit, in minor units.
pub const MAX_AMOUNT: u64 = 1_000_000_000_000;
/// Largest balance, in minor units; the smallest is the overdraft limit below zero.
pub const MAX_BALANCE: i64 = 1_000_000_000_000_000;

/// A number out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {least} to {most} minor units, not {actual}")]
pub struct OutOfRange {
    /// The least that is allowed.
    pub least: i64,
    /// The most that is allowed.
    pub most: i64,
    /// What it was.
    pub actual: i64,
}

fn within(least: i64, most: i64, actual: i64) -> Result<i64, OutOfRange> {
    if (least..=most).contains(&actual) { Ok(actual) } else { Err(OutOfRange { least, most, actual }) }
}

/// Reads a whole number within a range; whatever else comes is told the range.
struct Units {
    least: i64,
    most: i64,
}

impl Visitor<'_> for Units {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number of {} to {} minor units", self.least, self.most)
    }

    fn visit_i64<E: de::Error>(self, units: i64) -> Result<i64, E> {
        within(self.least, self.most, units).map_err(|_| E::invalid_value(Unexpected::Signed(units), &self))
    }

    fn visit_u64<E: de::Error>(self, units: u64) -> Result<i64, E> {
        let units = i64::try_from(units).map_err(|_| E::invalid_value(Unexpected::Unsigned(units), &self))?;
        self.visit_i64(units)
    }
}

/// What moves: 1 to [`MAX_AMOUNT`] minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "i64")]
pub struct Amount(i64);

/// How far below zero a balance may go: 0 to [`MAX_AMOUNT`] minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "i64")]
pub struct OverdraftLimit(i64);

/// What is there: -[`MAX_AMOUNT`] to [`MAX_BALANCE`] minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "i64")]
pub struct Balance(i64);

/// A number within a range: what the three have in common.
macro_rules! bounded {
    ($name:ident, $least:expr, $most:expr) => {
        impl $name {
            /// The minor units.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = OutOfRange;

            fn try_from(units: i64) -> Result<Self, OutOfRange> {
                within($least, $most, units).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_i64(Units { least: $least, most: $most }).map(Self)
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded!(Amount, 1, MAX_AMOUNT.cast_signed());
bounded!(OverdraftLimit, 0, MAX_AMOUNT.cast_signed());
bounded!(Balance, -MAX_AMOUNT.cast_signed(), MAX_BALANCE);

impl Balance {
    /// The balance after `amount` came in.
    pub fn plus(self, amount: Amount) -> Result<Self, OutOfRange> {
        self.0.saturating_add(amount.0).try_into()
    }

    /// The balance after `amount` went out.
    pub fn minus(self, amount: Amount) -> Result<Self, OutOfRange> {
        self.0.saturating_sub(amount.0).try_into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_what_is_in_range_is_read(units: i64) {
            let json = units.to_string();
            prop_assert_eq!(
                serde_json::from_str::<Amount>(&json).is_ok(),
                units >= 1 && units.cast_unsigned() <= MAX_AMOUNT
            );
        }

        #[test]
        fn a_sum_is_exact_or_refused(balance in -1_000_000_000_000..=MAX_BALANCE, amount in 1..=1_000_000_000_000_i64) {
            let (before, moved) = (Balance::try_from(balance).unwrap(), Amount::try_from(amount).unwrap());
            if let Ok(after) = before.plus(moved) {
                prop_assert_eq!(after.get(), balance + amount);
                prop_assert_eq!(after.minus(moved).unwrap(), before);
            } else {
                prop_assert!(balance + amount > MAX_BALANCE);
            }
        }
    }

    #[test]
    fn the_error_names_the_limits() {
        let error = Amount::try_from(0).expect_err("nothing is no amount");
        assert_eq!(error.to_string(), "must be 1 to 1000000000000 minor units, not 0");
        assert!(OverdraftLimit::try_from(-1).is_err());
        for json in ["0", "-1", "1000000000001", "18446744073709551615", "1e3", "1.5", "\"1\"", "null"] {
            let error = serde_json::from_str::<Amount>(json).expect_err(json).to_string();
            assert!(error.contains("a whole number of 1 to 1000000000000 minor units"), "{error}");
        }
    }
}
