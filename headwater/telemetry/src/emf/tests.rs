//! What a recorder writes, against the rules of the embedded metric format.

use metrics::{counter, describe_counter, describe_histogram, gauge, histogram, with_local_recorder};
use serde_json::json;

use super::*;

/// The units that the format knows, as far as they are used.
const UNITS: [&str; 8] =
    ["Count", "Percent", "Seconds", "Milliseconds", "Microseconds", "Bytes", "Count/Second", "None"];

/// Checks a document by the rules of the format's specification.
fn check(document: &Value) {
    let root = document.as_object().expect("the root is an object");
    assert!(document.to_string().len() <= 1 << 20, "an event of a log takes 1 MiB");
    let aws = root["_aws"].as_object().expect("the metadata are an object");
    assert_eq!(aws.keys().collect::<Vec<_>>(), ["CloudWatchMetrics", "Timestamp"]);
    assert!(aws["Timestamp"].is_i64(), "milliseconds since 1970");
    for directive in aws["CloudWatchMetrics"].as_array().expect("an array of directives") {
        let directive = directive.as_object().expect("a directive is an object");
        assert_eq!(directive.keys().collect::<Vec<_>>(), ["Dimensions", "Metrics", "Namespace"]);
        let namespace = directive["Namespace"].as_str().expect("a namespace is text");
        assert!((1..=1024).contains(&namespace.len()));
        for set in directive["Dimensions"].as_array().expect("an array of sets") {
            let set = set.as_array().expect("a set is an array");
            assert!(set.len() <= 30);
            for dimension in set {
                let value = root[dimension.as_str().expect("a name")].as_str().expect("a dimension is text");
                assert!((1..=1024).contains(&value.len()));
            }
        }
        let metrics = directive["Metrics"].as_array().expect("an array of definitions");
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            let metric = metric.as_object().expect("a definition is an object");
            assert_eq!(metric.keys().collect::<Vec<_>>(), ["Name", "Unit"]);
            assert!(UNITS.contains(&metric["Unit"].as_str().expect("a unit is text")));
            match &root[metric["Name"].as_str().expect("a name is text")] {
                Value::Number(_) => {}
                Value::Array(values) => {
                    assert!((1..=100).contains(&values.len()));
                    assert!(values.iter().all(Value::is_number), "{values:?}");
                }
                other => panic!("no metric: {other}"),
            }
        }
    }
}

fn taken(emf: &Emf) -> Vec<Value> {
    let documents = emf.take(1_795_289_400_123);
    documents.iter().for_each(check);
    documents
}

#[test]
fn one_document_says_what_came_since_the_last() {
    let emf = Emf::new("credit".to_owned());
    with_local_recorder(&emf, || {
        describe_counter!("Commits", Unit::Count, "commits");
        describe_histogram!("RecordBytes", Unit::Bytes, "sizes");
        counter!("Commits").increment(2);
        counter!("Commits").increment(1);
        counter!("Conflicts").increment(0);
        histogram!("RecordBytes").record(412.0);
        histogram!("RecordBytes").record(f64::NAN);
        histogram!("Lag").record(1.5);
        histogram!("Lag").record(2.0);
        gauge!("Streams").increment(7.0);
    });
    let expected = json!({
        "_aws": {
            "Timestamp": 1_795_289_400_123_i64,
            "CloudWatchMetrics": [{
                "Namespace": "Headwater",
                "Dimensions": [["Function"]],
                "Metrics": [
                    {"Name": "Commits", "Unit": "Count"},
                    {"Name": "Lag", "Unit": "None"},
                    {"Name": "RecordBytes", "Unit": "Bytes"},
                    {"Name": "Streams", "Unit": "None"},
                ],
            }],
        },
        "Function": "credit", "Commits": 3, "Lag": [1.5, 2.0], "RecordBytes": 412.0, "Streams": 7.0,
    });
    assert_eq!(taken(&emf), [expected]);
    assert_eq!(taken(&emf), [] as [Value; 0], "nothing came since");
    with_local_recorder(&emf, || counter!("Commits").increment(1));
    assert_eq!(taken(&emf)[0]["Commits"], 1);
}

#[test]
fn no_value_is_lost_where_a_document_is_full() {
    let emf = Emf::new("credit".to_owned());
    with_local_recorder(&emf, || {
        (0..250_u32).for_each(|value| histogram!("Lag").record(value));
        (0..120).for_each(|number| counter!(format!("Own{number}")).increment(1));
    });
    let documents = taken(&emf);
    let lags = documents.iter().filter_map(|document| document["Lag"].as_array());
    let lags: Vec<f64> = lags.flatten().filter_map(Value::as_f64).collect();
    assert_eq!(lags, (0..250).map(f64::from).collect::<Vec<_>>());
    let own = documents.iter().filter_map(Value::as_object);
    assert_eq!(own.flat_map(|document| document.keys()).filter(|name| name.starts_with("Own")).count(), 120);
    assert_eq!(documents.len(), 3);
}

#[test]
fn a_name_has_one_kind() {
    let emf = Emf::new("credit".to_owned());
    with_local_recorder(&emf, || {
        counter!("Commits").increment(1);
        histogram!("Commits").record(9);
        gauge!("Commits").set(9);
    });
    assert_eq!(taken(&emf)[0]["Commits"], 1);
}
