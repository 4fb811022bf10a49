//! A snapshot is compared with what its stream's events make.

use headwater::{Aggregate, format::head::Snapshot};

use super::*;
use crate::audit::states::States;

/// What is in a till, by an `evolve` that counts a payment `BY` times.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Till<const BY: i64> {
    sum: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum TillEvent {
    Paid { slip: String },
}

impl<const BY: i64> Aggregate for Till<BY> {
    const KIND: &'static str = "till";
    type Command = String;
    type Event = TillEvent;
    type Rejection = std::convert::Infallible;

    fn decide(&self, slip: &String) -> Result<Vec<TillEvent>, std::convert::Infallible> {
        Ok(vec![TillEvent::Paid { slip: slip.clone() }])
    }

    fn evolve(&mut self, TillEvent::Paid { .. }: &TillEvent) {
        self.sum += BY;
    }
}

/// A till with pages and a snapshot.
async fn paged() -> Lab {
    let lab = Lab::new();
    for _ in 0..100 {
        lab.store.execute::<Till<1>>("1", "x".repeat(2_048), Options::default()).await.expect("executes");
    }
    lab.archive(1_000).await;
    advance(10 * MINUTE).await;
    lab
}

async fn found_by<const BY: i64>(lab: &Lab) -> (Summary, Vec<Finding>) {
    found(&Audit { checks: vec![Box::new(States::<Till<BY>>::default())], ..lab.audit() }).await
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_evolve_is_found() {
    let lab = paged().await;
    let (summary, findings) = found_by::<1>(&lab).await;
    assert_eq!((findings, summary.checked["snapshots of till"]), (Vec::new(), 1));
    let version = lab.head("till/1").snapshot.expect("a snapshot").version;
    let (_, findings) = found_by::<2>(&lab).await;
    let words = format!("the snapshot at {version} is not what its events make: /sum differs");
    assert_eq!(of(&findings, What::Snapshot), [("heads/till/1", words.as_str())]);
    assert_eq!(serde_json::to_value(&findings[0]).expect("JSON")["finding"], "snapshot");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_was_set_is_found() {
    let lab = paged().await;
    let mut head = lab.head("till/1");
    let made = head.snapshot.clone().expect("a snapshot");
    let state = RawValue::from_string(r#"{"sum":777777}"#.to_owned()).expect("JSON");
    let set = Snapshot { state, ..made.clone() };
    head.snapshot = Some(set.clone());
    lab.set_head(&head);
    let version = made.version;
    let (_, findings) = found_by::<1>(&lab).await;
    let words = format!(
        "the snapshot at {version} was not made from these events: loads fold them, the next write replaces it"
    );
    assert_eq!(of(&findings, What::Snapshot), [("heads/till/1", words.as_str())]);
    // As an older version wrote it, unbound.
    head.snapshot = Some(Snapshot { binding: None, ..set });
    lab.set_head(&head);
    let (_, findings) = found_by::<1>(&lab).await;
    let words = format!("the snapshot at {version} is not what its events make: /sum differs");
    assert_eq!(of(&findings, What::Snapshot), [("heads/till/1", words.as_str())]);
}
