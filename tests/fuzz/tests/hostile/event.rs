//! An event of Lambda: whatever an event source mapping hands over, as the archiver and the projections get it.

use std::sync::Arc;

use aws_lambda_events::kinesis::KinesisEvent;
use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::{consume::Projector, memory::World};

use crate::world::{archiver, replay, run};

pub(crate) fn holds(document: &[u8]) {
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
