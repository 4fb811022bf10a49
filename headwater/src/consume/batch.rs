//! The batch as Lambda has it: records in, and what must come again out.
//!
//! The answer holds at most one sequence number per shard, the lowest; Lambda sends everything from there on again. What
//! was written meanwhile is skipped then. It never holds an empty identifier, which would fail the whole batch.

use aws_lambda_events::{kinesis::KinesisEvent, streams::KinesisEventResponse};

use super::{project::Projector, projection::Projection};
use crate::{
    aws::{InvalidRecord, arrival},
    port::Arrival,
};

impl<P: Projection> Projector<P> {
    /// Takes in what an event source mapping hands over; the mapping must report batch item failures. A record that did
    /// not come from a mapping fails the call.
    pub async fn handle(&self, event: KinesisEvent) -> Result<KinesisEventResponse, InvalidRecord> {
        let arrivals: Vec<Arrival> = event.records.into_iter().map(arrival).collect::<Result<_, _>>()?;
        let failed = self.project(&arrivals).await;
        let mut response = KinesisEventResponse::default();
        response.set_failures(failed.into_values().map(String::from));
        Ok(response)
    }
}
