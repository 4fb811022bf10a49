//! What the template's mappings let through is what the code reads.

use std::collections::BTreeMap;

use headwater_tool::cluster::mapped;
use serde_json::{Value, json};

use crate::template::Template;

/// A filter that forgets a kind lets a view or a process wait for ever; one that has another only costs invocations.
#[test]
fn every_filter_of_the_template_lets_through_what_its_function_reads() {
    let pattern = |kinds: Vec<&str>| {
        let pattern = json!({"data": {"kind": kinds}});
        if kinds.is_empty() { Vec::new() } else { vec![pattern] }
    };
    let read: BTreeMap<String, Vec<Value>> =
        mapped().into_iter().map(|(function, kinds)| (function.to_owned(), pattern(kinds))).collect();
    assert_eq!(Template::read().filters(), read);
}
