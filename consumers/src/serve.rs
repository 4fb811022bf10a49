//! Serving a projection: batches to its views, requests to its router. Serving a process: batches and ticks to it.

use std::{sync::Arc, time::Duration};

use aws_lambda_events::kinesis::KinesisEvent;
use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use headwater::{
    StreamId,
    aws::check_stream,
    consume::{Process, Projection, Projector, Reactor, Ticked, kinds},
};
use service::{Config, Json, Problem, RunError};
use utoipa::OpenApi;

use crate::account::UnparkOutcome;

/// How long a process waits for Kinesis before it answers. A Lambda is frozen then, and publishes nothing any more; what is
/// left, the next writer or the relay publishes.
const DRAIN: Duration = Duration::from_secs(8);

/// Serves both until the process is told to stop. There is nothing to drain: a batch that did not end comes again.
pub async fn serve<P: Projection>(
    config: &Config,
    projector: Arc<Projector<P>>,
    router: Router,
) -> Result<(), RunError> {
    starting(P::NAME, kinds::<P::Reads>());
    let handler = |event: KinesisEvent| {
        let projector = Arc::clone(&projector);
        async move {
            check_stream(&event, &config.stream)?;
            Ok(projector.handle(event).await?)
        }
    };
    service::run_with_events(config, router, handler, async {}).await
}

/// Serves batches, ticks and the operator until the process is told to stop.
pub async fn serve_process<P: Process>(config: &Config, reactor: Arc<Reactor<P>>) -> Result<(), RunError> {
    starting(P::NAME, kinds::<P::Reads>());
    let handler = |event: KinesisEvent| {
        let reactor = Arc::clone(&reactor);
        async move {
            check_stream(&event, &config.stream)?;
            let answer = reactor.handle(event).await?;
            drain(&reactor).await;
            Ok(answer)
        }
    };
    let tick = || {
        let reactor = Arc::clone(&reactor);
        async move {
            let ticked = reactor.tick().await?;
            drain(&reactor).await;
            Ok(ticked)
        }
    };
    let router = process_router(Arc::clone(&reactor));
    service::run_with_ticks(config, router, handler, tick, drain(&reactor)).await
}

/// Says what is read, to be compared with the filter of the function's mapping.
fn starting(name: &str, kinds: impl Iterator<Item = &'static str>) {
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    tracing::info!(name, kinds, "reads these kinds of streams: its mapping must let them through");
}

async fn drain<P: Process>(reactor: &Reactor<P>) {
    let left = reactor.store().drain(DRAIN).await;
    if left > 0 {
        tracing::warn!(
            process = P::NAME,
            streams = left,
            "not published yet: left to the next writer or the relay"
        );
    }
}

/// Takes a stream up again that the process could not react to, after that was mended. The operator's: put it behind
/// authorization.
#[utoipa::path(post, path = "/unpark/{kind}/{id}", tag = "operation",
    params(("kind" = String, Path, description = "the stream's kind", example = "transfer"),
        ("id" = String, Path, description = "its id")),
    responses((status = 200, body = UnparkOutcome)))]
async fn unpark<P: Process>(
    State(reactor): State<Arc<Reactor<P>>>,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Json<UnparkOutcome>, Problem> {
    let unparked = reactor.unpark(&StreamId::new(&kind, &id)?).await?;
    drain(&reactor).await;
    Ok(Json(unparked.into()))
}

/// Lets the process react to whatever is due: for a place without a schedule.
#[utoipa::path(post, path = "/tick", tag = "operation", responses((status = 200, body = inline(Due))))]
async fn tick<P: Process>(State(reactor): State<Arc<Reactor<P>>>) -> Result<Json<Ticked>, Problem> {
    let ticked = reactor.tick().await?;
    drain(&reactor).await;
    Ok(Json(ticked))
}

/// What came of a tick, for the document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
struct Due {
    /// Timers that were reacted to.
    #[schema(example = 3)]
    done: u64,
    /// Timers that will come again.
    #[schema(example = 0)]
    failed: u64,
}

#[derive(OpenApi)]
#[openapi(info(title = "Process", description = "Events in, commands out"), paths(unpark, tick))]
struct Document;

/// What an operator may ask of a process.
pub fn process_router<P: Process>(reactor: Arc<Reactor<P>>) -> Router {
    let routes =
        Router::new().route("/unpark/{kind}/{id}", post(unpark::<P>)).route("/tick", post(tick::<P>));
    service::app(routes.with_state(reactor), Document::openapi())
}
