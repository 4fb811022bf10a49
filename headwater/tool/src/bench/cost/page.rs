//! The tables of `docs/cost.md`: what a million of each thing costs, what a day costs, and the prices.
//!
//! Requests stand there as they were counted. Bytes are rounded to two digits, and what stands stays where it is within
//! `NO_NEWS` of what was counted: the length of an id, a time or a sequence number is no news, at the edge of a rounding too.

use super::{
    super::Error,
    item::{Counted, Item},
    price::{self, Femtodollars, dollars},
};

/// The line above what is written here.
pub const BEGIN: &str = "<!-- counted: from here on a test writes -->";
/// The line below it.
pub const END: &str = "<!-- counted: up to here -->";

/// How far bytes may be from those that stand, as a part of them.
const NO_NEWS: f64 = 0.05;

/// The page with tables of these items instead of those that stand; an error where it has no place for them.
pub fn page(stands: &str, items: &[Item]) -> Result<String, Error> {
    let (before, rest) = stands.split_once(BEGIN).ok_or_else(|| format!("no line {BEGIN:?}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("no line {END:?}"))?;
    let tables = [million(stands, items), day(items)?, prices()].join("\n\n");
    Ok(format!("{before}{BEGIN}\n\n{tables}\n\n{END}{after}"))
}

fn million(stands: &str, items: &[Item]) -> String {
    let head = "## A million\n\nRequests, records and bytes of one, dollars of a million.\n\n\
        | | PUT | GET | LIST | DELETE | records | bytes up | down | S3 | Kinesis on demand | provisioned |\n\
        |---|---|---|---|---|---|---|---|---|---|---|";
    let rows = items.iter().map(|item| {
        let Counted { puts, gets, lists, deletes, records, up, down, .. } = item.counted;
        let requests = [puts, gets, lists, deletes, records].map(|counted| per(counted, item.units));
        let bytes = [(up, 7), (down, 8)].map(|(bytes, place)| {
            let bytes = bytes as f64 / item.units as f64;
            standing(stands, item.what, place, bytes).unwrap_or_else(|| two_digits(bytes))
        });
        let prices = [item.s3(), item.kinesis_on_demand(), item.kinesis_provisioned()].map(shown);
        let cells = requests.into_iter().chain(bytes).chain(prices).collect::<Vec<_>>().join(" | ");
        format!("| {} | {cells} |", item.what)
    });
    std::iter::once(head.to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
}

/// Days, each a sum of items: how many millions, or passes, of which.
fn day(items: &[Item]) -> Result<String, Error> {
    const MILLION: u128 = 1_000_000;
    /// Passes of the relay in a day.
    const PASSES: u128 = 24 * 60;
    let relay = ("passes of the relay over a thousand heads, idle", PASSES);
    let warm = ("commands, warm", MILLION);
    let archived = ("commits archived, 10,000 in a segment", MILLION);
    let alone = ("commits seen by a projection, each in a batch of its own", 3 * MILLION);
    let together = ("commits seen by a projection, ten of a stream in a batch of 100", 3 * MILLION);
    let days: [(&str, &[_]); 3] = [
        ("nothing, but the relay over a thousand heads", &[relay]),
        (
            "a million commands, archived, in three views, one commit at a time",
            &[warm, archived, alone, relay],
        ),
        (
            "a million commands, archived, in three views, ten of a stream at a time",
            &[warm, archived, together, relay],
        ),
    ];
    let mut lines = vec![
        "## A day\n\nWhat a stream costs by the hour stands in it, of which the bank has two; what Lambda and the API take does \
         not.\n\n| | S3 | Kinesis on demand | together |\n|---|---|---|---|"
            .to_owned(),
    ];
    for (what, parts) in days {
        let (mut s3, mut kinesis) = (0, 2 * 24 * price::ON_DEMAND_HOUR);
        for (name, times) in parts {
            let item = items.iter().find(|item| item.what == *name);
            let item = item.ok_or_else(|| format!("{name:?} was not counted"))?;
            s3 += item.s3() * times / MILLION;
            kinesis += item.kinesis_on_demand() * times / MILLION;
        }
        let [s3, kinesis, all] = [s3, kinesis, s3 + kinesis].map(shown);
        lines.push(format!("| {what} | {s3} | {kinesis} | {all} |"));
    }
    Ok(lines.join("\n"))
}

fn prices() -> String {
    let million = |price: Femtodollars| shown(1_000_000 * price);
    let gigabyte = |price: Femtodollars| format!("{:.3}", dollars((1 << 20) * price));
    let rows = [
        ("a million PUT or LIST of S3 Standard", million(price::PUT)),
        ("a million GET", million(price::GET)),
        ("Kinesis on demand, a GB in; each record counts as whole KB", gigabyte(price::ON_DEMAND_IN)),
        ("a GB out, to each function that reads", gigabyte(price::ON_DEMAND_OUT)),
        ("a stream for an hour", shown(price::ON_DEMAND_HOUR)),
        ("Kinesis provisioned, a million records of up to 25 KB", million(price::PAYLOAD_UNIT)),
        ("a shard for an hour", shown(price::SHARD_HOUR)),
        ("Lambda, a million calls", million(price::INVOCATION)),
        ("a million seconds of 1 GB on arm64", million(price::GIGABYTE_SECOND)),
        ("so a million calls of 50 ms with 512 MB", million(price::INVOCATION + price::GIGABYTE_SECOND / 40)),
        ("a million requests to an HTTP API", million(price::API_REQUEST)),
    ];
    let [s3, kinesis, lambda] = price::SOURCES;
    let head = format!(
        "## Prices\n\nIn dollars, {}, as of {}: [S3]({s3}), [Kinesis]({kinesis}), [Lambda]({lambda}). DELETE is free, and so are \
         bytes between these services within a region.\n\n| | dollars |\n|---|---|",
        price::REGION,
        price::LOOKED_UP,
    );
    let rows = rows.into_iter().map(|(what, price)| format!("| {what} | {price} |"));
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

/// Exactly, where four digits behind the point are enough; a dash for none.
fn per(counted: u64, units: u64) -> String {
    if counted == 0 {
        return "–".to_owned();
    }
    let text = format!("{:.4}", counted as f64 / units as f64);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// In cents; what is less in as many digits as say something.
fn shown(price: Femtodollars) -> String {
    match dollars(price) {
        0.0 => "–".to_owned(),
        small @ ..0.01 => format!("{small:.4}"),
        small @ ..0.1 => format!("{small:.3}"),
        price => format!("{price:.2}"),
    }
}

/// What stands in the row `what` at this place, if so many bytes are no news there.
fn standing(stands: &str, what: &str, place: usize, bytes: f64) -> Option<String> {
    let mut rows = stands.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let row = rows.find(|cells| cells.len() > place && cells.get(1) == Some(&what))?;
    let text = *row.get(place)?;
    let said: f64 = text.replace(',', "").parse().ok()?;
    ((bytes - said).abs() <= NO_NEWS * said).then(|| text.to_owned())
}

/// Rounded to two digits, in groups of three.
fn two_digits(bytes: f64) -> String {
    if bytes < 1.0 {
        return "–".to_owned();
    }
    let unit = 10_f64.powf(bytes.log10().floor() - 1.0).max(1.0);
    let text = format!("{:.0}", (bytes / unit).round() * unit);
    match text.len() {
        ..4 => text,
        length => format!("{},{}", &text[..length - 3], &text[length - 3..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_stays() {
        let stands = format!("By hand.\n\n{BEGIN}\nold\n{END}\n\nMore.\n");
        let item =
            |what| Item { what, units: 3, counted: Counted { puts: 1, gets: 6, ..Counted::default() } };
        let names = [
            "commands, warm",
            "commits archived, 10,000 in a segment",
            "commits seen by a projection, each in a batch of its own",
            "commits seen by a projection, ten of a stream in a batch of 100",
            "passes of the relay over a thousand heads, idle",
        ];
        let items = names.map(item);
        let written = page(&stands, &items).expect("a page");
        assert!(written.starts_with("By hand.\n\n<!--") && written.ends_with("-->\n\nMore.\n"), "{written}");
        let row = "| commands, warm | 0.3333 | 2 | – | – | – | – | – | 2.47 | – | – |";
        assert!(written.contains(row) && !written.contains("\nold\n"), "{written}");
        assert_eq!(page(&written, &items).expect("again"), written);
        page("no place", &items).expect_err("nowhere to write");
    }

    #[test]
    fn a_few_bytes_more_or_less_are_no_news() {
        let row = "| loads | – | 1 | – | – | – | 110 | 5,700 | 0.40 | – | – |";
        assert_eq!(standing(row, "loads", 8, 5_640.0).as_deref(), Some("5,700"));
        assert_eq!(standing(row, "loads", 7, 104.0), None);
        assert_eq!(standing(row, "loads", 8, 5_400.0), None);
        assert_eq!(standing(row, "load", 8, 5_700.0), None);
    }

    #[test]
    fn bytes_are_rounded_to_two_digits() {
        for (bytes, text) in [(0.0, "–"), (7.4, "7"), (994.0, "990"), (995.1, "1,000"), (41_499.0, "41,000")]
        {
            assert_eq!(two_digits(bytes), text);
        }
    }
}
