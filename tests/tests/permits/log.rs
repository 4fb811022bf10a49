//! The event log that is imported: a real one where it is at hand, else one of the same shape.
//!
//! 1. `HEADWATER_PERMITS` names the file; set to nothing it asks for the stand-in.
//! 2. Else `../shared/data/permits.jsonl` beside the workspace is taken, if it is there.
//! 3. Else [`stand_in`] makes one, the same each time.
//!
//! What the lines say is read here by plain JSON, not by the code under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use headwater::StreamId;
use headwater_tool::bench::history::{CASES, EVENTS, MOST, stand_in};
use jiff::Timestamp;
use serde_json::Value;

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) at: Timestamp,
    /// Type and data of each event.
    pub(super) events: Vec<(String, Value)>,
}

/// A log as it is imported, and what each case's stream must be afterwards.
#[derive(Debug)]
pub(super) struct EventLog {
    pub(super) text: String,
    pub(super) cases: BTreeMap<StreamId, Vec<Entry>>,
}

impl EventLog {
    /// The real log, or its stand-in.
    pub(super) fn find() -> Self {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/permits.jsonl");
        let file = match env::var_os("HEADWATER_PERMITS") {
            Some(named) => (!named.is_empty()).then(|| PathBuf::from(named)),
            None => beside.is_file().then_some(beside),
        };
        match file {
            Some(file) => {
                let text = fs::read_to_string(&file);
                Self::read(text.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
            }
            None => Self::read(stand_in()),
        }
    }

    fn read(text: String) -> Self {
        let mut cases: BTreeMap<StreamId, Vec<Entry>> = BTreeMap::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect("a line is JSON");
            let word = |field: &str| line[field].as_str().expect("a string").to_owned();
            let events = line["events"].as_array().expect("events").iter();
            let event =
                |event: &Value| (event["type"].as_str().expect("a type").to_owned(), event["data"].clone());
            let entry = Entry {
                id: word("id"),
                at: word("at").parse().expect("a time"),
                events: events.map(event).collect(),
            };
            cases.entry(word("stream").parse().expect("a stream")).or_default().push(entry);
        }
        Self { text, cases }
    }

    /// Lines of the whole log.
    pub(super) fn lines(&self) -> usize {
        self.cases.values().map(Vec::len).sum()
    }
}

#[test]
fn the_stand_in_is_the_same_each_time_and_has_the_shape_of_the_real_log() {
    let log = EventLog::read(stand_in());
    assert_eq!(log.text, stand_in());
    assert_eq!((log.cases.len(), log.lines()), (CASES, EVENTS));
    let longest = log.cases.values().map(Vec::len).max().expect("a case");
    assert!((2..=MOST).contains(&longest), "{longest}");
    for entries in log.cases.values() {
        assert!(entries.is_sorted_by_key(|entry| entry.at));
        assert_eq!(entries.iter().map(|entry| &entry.id).collect::<BTreeSet<_>>().len(), entries.len());
    }
}
