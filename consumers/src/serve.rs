//! Serving a projection: batches to its views, requests to its router.

use std::sync::Arc;

use aws_lambda_events::kinesis::KinesisEvent;
use axum::Router;
use headwater::consume::{Projection, Projector};
use service::{Config, RunError};

/// Serves both until the process is told to stop. There is nothing to drain: a batch that did not end comes again.
pub async fn serve<P: Projection>(
    config: &Config,
    projector: Arc<Projector<P>>,
    router: Router,
) -> Result<(), RunError> {
    let handler = |event: KinesisEvent| {
        let projector = Arc::clone(&projector);
        async move { Ok(projector.handle(event).await?) }
    };
    service::run_with_events(config, router, handler, async {}).await
}
