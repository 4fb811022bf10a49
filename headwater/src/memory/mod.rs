//! The world in memory: every [port](crate::port) without a network, for tests of a domain and for simulations.
//!
//! [`MemoryObjects`] is S3, [`MemoryLog`] Kinesis with its shards, [`ManualClock`] and [`SeededEntropy`] time and chance;
//! [`World`] holds one of each. They keep the ports' contracts to the letter and yield to other tasks before and after
//! every effect, as a network does, so that tasks race for real. [`FaultyObjects`] and [`FaultyLog`] stand before any
//! port and let its operations fail as a test says.
//!
//! ```
//! use headwater::{memory::World, port::Precondition};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let world = World::new(7);
//! let ports = world.ports();
//! ports.objects.put("heads/account/1", "{}".into(), Precondition::Absent).await?;
//! assert!(ports.objects.put("heads/account/1", "{}".into(), Precondition::Absent).await.is_err());
//! assert_eq!(world.objects.all("heads/").len(), 1);
//! # Ok::<(), headwater::port::ObjectError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fault;
mod log;
mod objects;
mod world;

pub use self::{
    fault::{Call, Fault, Faults, FaultyLog, FaultyObjects, Heard, Journey, Operation},
    log::MemoryLog,
    objects::MemoryObjects,
    world::{ManualClock, SeededEntropy},
};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::{
    format::identity::{Identity, Names, StoreId},
    identity::IdentitySource,
    port::Ports,
};

/// Shards of a [`World`]'s log.
const SHARDS: usize = 4;

/// One of each port, as what it is, so that a test can look behind it.
#[derive(Debug, Clone)]
pub struct World {
    /// The store's bucket.
    pub objects: Arc<MemoryObjects>,
    /// The stream, of four shards.
    pub log: Arc<MemoryLog>,
    /// Follows tokio's time, and can be moved besides.
    pub clock: Arc<ManualClock>,
    /// Chance, drawn from the seed.
    pub entropy: Arc<SeededEntropy>,
}

impl World {
    /// An empty world; under a paused tokio clock and one thread, what happens in it is a function of the seed.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::following_tokio());
        Self {
            objects: Arc::new(MemoryObjects::new(clock.clone())),
            log: Arc::new(MemoryLog::new(clock.clone(), SHARDS)),
            clock,
            entropy: Arc::new(SeededEntropy::new(seed)),
        }
    }

    /// The ports to this world: all of them see the same objects and records.
    pub fn ports(&self) -> Ports {
        Ports {
            objects: self.objects.clone(),
            log: self.log.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            identity: identity(),
        }
    }
}

/// The identity of every store in memory. It takes records without an id too: tests make them by hand.
pub fn identity() -> IdentitySource {
    let name = |name: &str| name.to_owned();
    let names = Names { store: name("memory"), stream: name("memory"), archive: name("memory") };
    let id = StoreId::try_from(name("memory")).unwrap_or_else(|_| unreachable!("it is one word"));
    IdentitySource::fixed(Identity::new(id, Timestamp::UNIX_EPOCH, names, true))
}

/// The ports to a new [`World`].
pub fn ports(seed: u64) -> Ports {
    World::new(seed).ports()
}

/// Locks; what a panicking test left behind is whole, since every change under these locks is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
