//! `headwater bench`, with a hundredth of the work: every row can be measured, and says what it is. Figures are not judged.

#![allow(clippy::expect_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use headwater_tool::cluster::binaries::Binaries;
use serde_json::Value;

/// The rows, and those of them that stand beside a floor.
const ROWS: [&str; 11] = [
    "append",
    "hot",
    "archive",
    "replay",
    "project",
    "import",
    "growth",
    "memory",
    "start",
    "end-to-end",
    "cost",
];
const FLOORS: [&str; 8] = ["append", "hot", "archive", "replay", "project", "import", "growth", "start"];

#[test]
fn every_row_is_measured() {
    let binary = Binaries::ready().expect("the binaries").path("headwater");
    let mut bench = Command::new(binary);
    // As a shell starts it: where cargo starts it, it builds the services first, here with other features than the tests.
    bench.args(["bench", "--brief", "--json"]).env_remove("CARGO_MANIFEST_DIR").stderr(Stdio::inherit());
    let bench = bench.output().expect("it runs");
    assert!(bench.status.success(), "{}", bench.status);
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in String::from_utf8(bench.stdout).expect("UTF-8").lines() {
        let figure: Value = serde_json::from_str(line).expect("a figure a line");
        rows.entry(figure["row"].as_str().expect("a row").to_owned()).or_default().push(figure);
    }
    for row in ROWS {
        for figure in rows.get(row).unwrap_or_else(|| panic!("{row} is missing")) {
            let value = figure["value"].as_f64().expect("a number");
            assert!(value.is_finite() && value >= 0.0, "{figure}");
            assert!(figure["what"].is_string() && figure["unit"].is_string(), "{figure}");
            assert_eq!(figure["ratio"].is_object(), FLOORS.contains(&row), "{figure}");
            assert_eq!(figure["floor"].is_f64(), FLOORS.contains(&row), "{figure}");
        }
    }
    assert_eq!(rows.len(), ROWS.len(), "{:?}", rows.keys());
}
