//! What AWS takes: list prices, in one place.
//!
//! They are exact in femtodollars, so that an item's price is an exact multiple of what was counted, but for Kinesis on demand:
//! there a GB has 1,048,576 units of 1 KB, and what is left over of a femtodollar is dropped.

/// When the prices were looked up.
pub const LOOKED_UP: &str = "2026-11-25";
/// Where they hold.
pub const REGION: &str = "us-east-1";
/// Where AWS publishes them.
pub const SOURCES: [&str; 3] = [
    "https://aws.amazon.com/s3/pricing/",
    "https://aws.amazon.com/kinesis/data-streams/pricing/",
    "https://aws.amazon.com/lambda/pricing/",
];

/// A millionth of a billionth of a dollar.
pub type Femtodollars = u128;

/// A millionth of a dollar: so much for one of something is as many dollars for a million.
const MICRODOLLAR: Femtodollars = 1_000_000_000;
/// A dollar.
const DOLLAR: Femtodollars = 1_000_000 * MICRODOLLAR;
/// Units of 1 KB in a GB, as Kinesis counts.
const KILOBYTES: Femtodollars = 1 << 20;

/// One PUT or LIST of S3 Standard. A DELETE is free, and so are bytes within a region.
pub const PUT: Femtodollars = 5 * MICRODOLLAR;
/// One GET of S3 Standard.
pub const GET: Femtodollars = MICRODOLLAR * 4 / 10;
/// 1 KB that is written to an on-demand stream: 0.08 dollars a GB. A record is rounded up to whole KB.
pub const ON_DEMAND_IN: Femtodollars = DOLLAR * 8 / 100 / KILOBYTES;
/// 1 KB that a function reads from an on-demand stream: 0.04 dollars a GB.
pub const ON_DEMAND_OUT: Femtodollars = DOLLAR * 4 / 100 / KILOBYTES;
/// An on-demand stream for an hour.
pub const ON_DEMAND_HOUR: Femtodollars = DOLLAR * 4 / 100;
/// 25 KB, or what is left of a record, that is written to a provisioned stream. Reading is free.
pub const PAYLOAD_UNIT: Femtodollars = MICRODOLLAR * 14 / 1_000;
/// A shard of a provisioned stream for an hour.
pub const SHARD_HOUR: Femtodollars = DOLLAR * 15 / 1_000;
/// A call of a Lambda.
pub const INVOCATION: Femtodollars = MICRODOLLAR * 2 / 10;
/// A second of a Lambda on arm64 with 1 GB.
pub const GIGABYTE_SECOND: Femtodollars = MICRODOLLAR * 133_334 / 10_000;
/// A request to an HTTP API.
pub const API_REQUEST: Femtodollars = MICRODOLLAR;

/// In dollars, to be shown.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to be shown")]
pub fn dollars(price: Femtodollars) -> f64 {
    price as f64 / DOLLAR as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_is_what_the_price_lists_say() {
        let million = |price: Femtodollars| format!("{:.3}", dollars(1_000_000 * price));
        assert_eq!([million(PUT), million(GET), million(INVOCATION)], ["5.000", "0.400", "0.200"]);
        assert_eq!([million(PAYLOAD_UNIT), million(GIGABYTE_SECOND)], ["0.014", "13.333"]);
        assert_eq!(format!("{:.6}", dollars(KILOBYTES * ON_DEMAND_IN)), "0.080000");
        assert_eq!(format!("{:.6}", dollars(KILOBYTES * ON_DEMAND_OUT)), "0.040000");
    }
}
