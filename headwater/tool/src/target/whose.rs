//! Whose a stream and an archive are: what the store's `store.json` says, against the command line; and how a store gets one.

use std::sync::Arc;

use headwater::{
    aws::Clients,
    format::{
        identity::{Identity, Names},
        key,
    },
    identity::{self, Contradiction},
    port::{Clock, Entropy, Objects, SystemClock, SystemEntropy},
    read::Reader,
};

use super::{Need, Target, Unreachable, endpoint::Endpoints};

/// The identity of the store, which the command line must not contradict where the store is needed; `None` where it has none.
pub(super) async fn find(
    clients: &Clients,
    target: &Target,
    needs: &[Need],
    endpoints: &Endpoints,
) -> Result<Option<Identity>, Unreachable> {
    let reader = reader(Arc::new(clients.objects(&target.store)));
    let read = identity::read(&reader, key::IDENTITY).await;
    if !needs.contains(&Need::Store) && !needs.contains(&Need::Writes) {
        // Whoever needs no store may be where there is none, or look into another one's archive.
        return Ok(read.ok().flatten());
    }
    let identity = read.map_err(|error| Unreachable::Identity(error.into()))?;
    match &identity {
        Some(identity) => {
            Contradiction::check(identity, target.stream.as_deref(), target.archive.as_deref())?;
        }
        None if needs.contains(&Need::Writes) => {
            return Err(Unreachable::NoStore { name: target.store.clone(), place: endpoints.s3() });
        }
        None => {}
    }
    Ok(identity)
}

/// Makes the bucket of these names a store.
///
/// # Errors
///
/// The stream's archive is another store's, the store consists of something else, or a bucket does not answer.
pub(crate) async fn create(clients: &Clients, names: &Names) -> Result<Identity, Unreachable> {
    let store: Arc<dyn Objects> = Arc::new(clients.objects(&names.store));
    let archive: Arc<dyn Objects> = Arc::new(clients.objects(&names.archive));
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let now = SystemClock.now();
    let made = identity::create(&store, &archive, &entropy, names, now).await;
    made.map_err(Unreachable::Identity)
}

fn reader(objects: Arc<dyn Objects>) -> Reader {
    Reader::of(objects, Arc::new(SystemEntropy))
}
