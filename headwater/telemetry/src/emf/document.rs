//! Documents of the embedded metric format: one JSON object a line, a value or a list of values beside the metadata that say
//! what is a metric.
//!
//! A document takes [`METRICS`] metrics of [`VALUES`] values each, more than one does is for the next.

use std::collections::VecDeque;

use metrics::Unit;
use serde_json::{Map, Value, json};

/// Where `CloudWatch` shows them.
const NAMESPACE: &str = "Headwater";
/// The one dimension.
const DIMENSION: &str = "Function";
/// Most metrics of a document, by the format's rules.
const METRICS: usize = 100;
/// Most values of a metric in one document, by the format's rules.
const VALUES: usize = 100;

/// What came for one metric.
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) unit: Option<Unit>,
    /// At least one.
    pub(super) values: Vec<Value>,
}

/// The documents that say all of this, none for nothing.
pub(super) fn documents(function: &str, at: i64, measured: Vec<Measured>) -> Vec<Value> {
    let mut left = VecDeque::from(measured);
    let mut documents = Vec::new();
    while !left.is_empty() {
        let now: Vec<Measured> = left.drain(..left.len().min(METRICS)).collect();
        let mut root = Map::from_iter([(DIMENSION.to_owned(), function.into())]);
        let mut definitions = Vec::with_capacity(now.len());
        for Measured { name, unit, mut values } in now {
            let more = values.split_off(values.len().min(VALUES));
            definitions.push(json!({"Name": name, "Unit": unit_name(unit)}));
            let value = if values.len() == 1 { values.pop() } else { None };
            root.insert(name.clone(), value.unwrap_or(Value::Array(values)));
            if !more.is_empty() {
                left.push_back(Measured { name, unit, values: more });
            }
        }
        let metrics = json!([{"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions}]);
        root.insert("_aws".to_owned(), json!({"Timestamp": at, "CloudWatchMetrics": metrics}));
        documents.push(Value::Object(root));
    }
    documents
}

/// What a unit is called there.
fn unit_name(unit: Option<Unit>) -> &'static str {
    match unit {
        Some(Unit::Count) => "Count",
        Some(Unit::Percent) => "Percent",
        Some(Unit::Seconds) => "Seconds",
        Some(Unit::Milliseconds) => "Milliseconds",
        Some(Unit::Microseconds) => "Microseconds",
        Some(Unit::Bytes) => "Bytes",
        Some(Unit::CountPerSecond) => "Count/Second",
        // Its kilobytes are of 1,000 bytes, and it knows no nanoseconds.
        _ => "None",
    }
}
