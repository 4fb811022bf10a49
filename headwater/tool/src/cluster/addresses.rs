//! Where the services are: what a load balancer knows. Clients keep it, and see it change as processes come and go.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use fastrand::Rng;

/// The addresses of every service's processes. Cheap to clone; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Arc<RwLock<BTreeMap<&'static str, Vec<String>>>>);

impl Addresses {
    /// The addresses of a service's processes, as `http://127.0.0.1:8080`.
    pub fn of(&self, service: &str) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned().unwrap_or_default()
    }

    /// One of them; `None` where there is none.
    pub fn pick(&self, service: &str, chance: &mut Rng) -> Option<String> {
        let addresses = self.0.read().unwrap_or_else(PoisonError::into_inner);
        chance.choice(addresses.get(service)?).cloned()
    }

    /// Sets the address of one process; `place` is at most the number of those that are known.
    pub(super) fn set(&self, service: &'static str, place: usize, url: &str) {
        let mut addresses = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let processes = addresses.entry(service).or_default();
        match processes.get_mut(place) {
            Some(known) => url.clone_into(known),
            None => processes.push(url.to_owned()),
        }
    }
}
