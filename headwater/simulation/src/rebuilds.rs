//! Rebuilds: now and then somebody makes a projection's views anew, while everything goes on; two at a time perhaps, and each
//! may die, and be begun again or gone on with.

use std::{sync::Arc, time::Duration};

use archiver::{
    chain::ChainError,
    rebuild::{Error, Options, Rebuilt, rebuild},
    replay::Replay,
};
use headwater::{
    StoreError,
    consume::{Begin, Projection, Projector, RebuildError},
};
use tokio::time::sleep;

use crate::{
    ledger::{Board, Copies, Milestones},
    mapping::STREAM,
    process::Process,
    report::{Finding, Promise},
    world::World,
};

/// Rebuilds one projection after the other, in three of four runs.
pub(crate) async fn rebuilds(world: Arc<World>) {
    if world.draw(|dice| dice.u8(0..4)) == 0 {
        return;
    }
    loop {
        sleep(world.time(Duration::from_secs(40))).await;
        let process = Process::start(&world, "rebuilder");
        let begin = if world.draw(fastrand::Rng::bool) { Begin::Anew } else { Begin::Resumed };
        let options = Options { begin, keep: world.draw(|dice| dice.u8(0..4)) == 0 };
        let (name, rebuilt) = tokio::select! {
            biased;
            () = process.life.ended() => continue,
            ended = one(&world, &process, options) => ended,
        };
        match rebuilt {
            Ok(Rebuilt { generation, .. }) => {
                world.note(format_args!("{name}: generation {generation} serves"));
                world.count("rebuilds");
            }
            Err(Error::Rebuild(RebuildError::TakenOver(generation))) => {
                world.note(format_args!("{name}: generation {generation} was taken over"));
                world.count("rebuilds taken over");
            }
            Err(
                Error::Archive(ChainError::Unavailable { .. })
                | Error::Rebuild(
                    RebuildError::Store(StoreError::Unavailable(_))
                    | RebuildError::Unswitched { cause: StoreError::Unavailable(_), .. },
                ),
            ) => {}
            Err(error) => world.find([Finding::new(Promise::Format, name, error.to_string())]),
        }
    }
}

/// Rebuilds a projection that is drawn.
async fn one(world: &World, process: &Process, options: Options) -> (&'static str, Result<Rebuilt, Error>) {
    let ports = &process.ports;
    match world.draw(|dice| dice.u8(0..3)) {
        0 => made(process, Projector::new(Copies { bug: !world.is_mended() }, ports), options).await,
        1 => made(process, Projector::new(Board, ports), options).await,
        _ => {
            made(process, Projector::forwarding(Milestones, ports, Arc::clone(&process.told)), options).await
        }
    }
}

async fn made<P: Projection>(
    process: &Process,
    projector: Projector<P>,
    options: Options,
) -> (&'static str, Result<Rebuilt, Error>) {
    let replay = Replay::new(Arc::clone(&process.archive), Arc::clone(&process.ports.entropy), STREAM);
    (P::NAME, rebuild(&projector, &replay, options, |_| {}).await)
}
