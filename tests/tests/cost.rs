//! `docs/cost.md`: what is asked of AWS, counted, and what AWS takes for it.
//!
//! With `UPDATE=1` its tables are written; without, those that stand there must be it.

#![allow(clippy::expect_used, reason = "a test")]

use std::{fs, path::PathBuf};

use headwater_tool::bench::cost::{Item, count, page::page};

/// PUTs, GETs, LISTs, DELETEs and records of all that was done of one thing, and how many that was.
fn requests(items: &[Item], what: &str) -> ([u64; 5], u64) {
    let item = items.iter().find(|item| item.what == what).expect(what);
    let counted = item.counted;
    ([counted.puts, counted.gets, counted.lists, counted.deletes, counted.records], item.units)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_is_counted() {
    let items = count(|_| ()).await.expect("everything is counted");
    let all = |what| requests(&items, what);
    assert_eq!(all("commands, warm"), ([10, 0, 0, 0, 10], 10));
    assert_eq!(all("commands, cold"), ([9, 9, 0, 0, 9], 9));
    assert_eq!(all("commands, warm, 100 at once on one stream"), ([2, 0, 0, 0, 2], 100));
    assert_eq!(all("loads, the stream unchanged since the last"), ([0, 10, 0, 0, 0], 10));
    assert_eq!(all("loads of 10,000 events with a snapshot"), ([0, 10, 0, 0, 0], 10));

    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/cost.md");
    let stands = fs::read_to_string(&file).expect("the page");
    let page = page(&stands, &items).expect("it has a place for the tables");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, page).expect("it is written");
        return;
    }
    assert!(
        stands == page,
        "docs/cost.md is not what is counted: write it by UPDATE=1, and look at the change"
    );
}
