//! An event of Lambda: whatever an event source mapping hands over, as the archiver and the projections get it.

use std::sync::Arc;

use aws_lambda_events::kinesis::KinesisEvent;
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::{consume::Projector, memory::World};
use serde_json::Value;

use crate::world::{archiver, replay, run};

pub(crate) fn holds(document: &[u8]) {
    if !times_are_plausible(document) {
        return;
    }
    let Ok(event) = serde_json::from_slice::<KinesisEvent>(document) else { return };
    run(async move {
        let world = World::new(1);
        let (bucket, archiver) = archiver(&world);
        if let Ok(response) = archiver::handler::handle(&archiver, event.clone()).await {
            assert!(response.batch_item_failures.is_empty(), "nothing has to come again");
            replay(&world, &bucket).await.expect("replays");
        }
        let ports = world.ports();
        let balances = Projector::new(Balances, &ports).handle(event.clone()).await;
        let limits = Projector::forwarding(CreditLimits, &ports, Arc::clone(&ports.log)).handle(event).await;
        for response in [balances, limits].into_iter().flatten() {
            assert!(response.batch_item_failures.is_empty(), "nothing has to come again");
        }
    });
}

/// The events' own crate overflows on a fraction of a second with more digits than nanoseconds have, which panics only
/// where overflow is checked: in tests, not in what is deployed, and Lambda writes three digits.
fn times_are_plausible(document: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(document) else { return true };
    let records = event["Records"].as_array().into_iter().flatten();
    let mut times = records.map(|record| match &record["kinesis"]["approximateArrivalTimestamp"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    times.all(|time| {
        time.len() <= 20 && !time.contains(['e', 'E']) && time.split('.').nth(1).is_none_or(|f| f.len() <= 9)
    })
}
