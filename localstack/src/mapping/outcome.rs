//! What an answer means under `ReportBatchItemFailures`, as AWS documents it.
//!
//! | the answer | means |
//! |---|---|
//! | empty, `null`, `{}`, no or an empty list of failures | success |
//! | failures that all name records of the batch | the lowest sequence number failed; all before it are done |
//! | a failure with an empty, missing or unknown identifier; no object at all | the whole batch failed |

use serde::Deserialize;

use super::event::Record;

/// How an invocation went for its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every record is done.
    Done,
    /// This record failed, by its place in the batch; those before it are done.
    FailedFrom(usize),
    /// Every record failed.
    Failed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_item_failures: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: Option<String>,
}

/// Reads an answer.
pub(crate) fn outcome(answer: &[u8], batch: &[Record]) -> Outcome {
    if answer.is_empty() {
        return Outcome::Done;
    }
    let Ok(answer) = serde_json::from_slice::<Option<Answer>>(answer) else { return Outcome::Failed };
    let failures = answer.and_then(|answer| answer.batch_item_failures).unwrap_or_default();
    let mut lowest = batch.len();
    for failure in failures {
        let Some(identifier) = failure.item_identifier else { return Outcome::Failed };
        let Some(place) = batch.iter().position(|record| record.sequence == identifier) else {
            return Outcome::Failed;
        };
        lowest = lowest.min(place);
    }
    if lowest == batch.len() { Outcome::Done } else { Outcome::FailedFrom(lowest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::event::Origin;
    use ferrokinesis::types::StoredRecord;

    fn batch() -> Vec<Record> {
        let origin = Origin { shard: "shardId-000000000000", stream_arn: "arn", region: "us-east-1" };
        let stored = StoredRecord {
            partition_key: "key".to_owned(),
            data: String::new(),
            approximate_arrival_timestamp: 0.0,
        };
        ["10", "11", "12"]
            .map(|sequence| Record::new(sequence.to_owned(), stored.clone(), 0, &origin).unwrap())
            .into()
    }

    #[test]
    fn an_answer_means_what_aws_documents() {
        let table = [
            ("", Outcome::Done),
            ("null", Outcome::Done),
            ("{}", Outcome::Done),
            (r#"{"batchItemFailures":null}"#, Outcome::Done),
            (r#"{"batchItemFailures":[]}"#, Outcome::Done),
            (r#"{"batchItemFailures":[{"itemIdentifier":"11"}]}"#, Outcome::FailedFrom(1)),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"12"},{"itemIdentifier":"10"}]}"#,
                Outcome::FailedFrom(0),
            ),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Outcome::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, Outcome::Failed),
            (r#"{"batchItemFailures":[{"bad":"11"}]}"#, Outcome::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":"99"}]}"#, Outcome::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":"12"},{"itemIdentifier":"99"}]}"#, Outcome::Failed),
            (r#""done""#, Outcome::Failed),
            ("no JSON", Outcome::Failed),
        ];
        for (answer, expected) in table {
            assert_eq!(outcome(answer.as_bytes(), &batch()), expected, "{answer}");
        }
    }
}
