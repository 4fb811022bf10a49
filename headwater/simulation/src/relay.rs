//! The relay's schedule: a pass again and again, for as long as the world lasts, now and then two at a time; a process goes
//! on with the next pass if it lives.

use std::{sync::Arc, time::Duration};

use archiver::relay::{Relay, Settings};
use tokio::time::sleep;

use crate::{mapping::STREAM, process::Process, world::World};

/// The longest that a pass may take before it is given up.
const TIMEOUT: Duration = Duration::from_mins(3);

/// How a world's relay runs.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// How long after a pass the next one begins.
    pub(crate) every: Duration,
    /// How old a head must be: of S3 there is one clock here, so that any age will do.
    pub(crate) age: Duration,
}

/// An environment that the relay runs in.
struct Environment {
    process: Process,
    relay: Relay,
}

impl Environment {
    fn start(world: &Arc<World>, habits: &Habits) -> Self {
        let process = Process::start(world, "relay");
        let patience = Duration::from_secs(1) + world.time(Duration::from_secs(20));
        let settings = Settings { age: habits.age, patience, ..Settings::default() };
        let relay = Relay::new(process.ports.clone(), Arc::clone(&process.archive), STREAM, settings);
        Self { process, relay }
    }

    /// One pass, or as much of it as there is time and life for. Tells whether the environment is good for another one.
    async fn pass(&self, world: &World) -> bool {
        world.note(format_args!("{} passes", self.process.name));
        let report = tokio::select! {
            biased;
            () = self.process.life.ended() => return false,
            report = self.relay.pass() => report,
            () = sleep(TIMEOUT) => {
                self.process.kill(world);
                return false;
            }
        };
        world.note(format_args!("{} has passed: {report:?}", self.process.name));
        world.count("relay passes");
        for (what, times) in
            [("watermark stayed", u64::from(report.stayed.is_some())), ("relayed", report.published)]
        {
            for _ in 0..times {
                world.count(what);
            }
        }
        true
    }
}

/// Goes on for ever.
pub(crate) async fn passes(world: Arc<World>, habits: Habits) {
    let mut warm: Option<Environment> = None;
    loop {
        sleep(world.time(habits.every)).await;
        if world.happens(world.weather().overlap) {
            let (world, habits) = (Arc::clone(&world), habits.clone());
            tokio::spawn(async move {
                sleep(world.time(Duration::from_secs(5))).await;
                Environment::start(&world, &habits).pass(&world).await;
            });
        }
        let fresh = world.draw(|dice| dice.u8(0..8)) == 0;
        let environment =
            warm.take().filter(|_| !fresh).unwrap_or_else(|| Environment::start(&world, &habits));
        if environment.pass(&world).await {
            warm = Some(environment);
        }
    }
}
