//! The pointer: read by whoever writes views, asks them, or rebuilds them. One that cannot be read loses nothing: batches come
//! again, and everybody else is told.

use consumers::balance::Balances;
use headwater::{
    StoreError,
    consume::{Begin, Projection, Projector, QueryError, RebuildError},
    format::{key, pointer::Pointer},
    memory::World,
};

use crate::{seeds::bank, world::run};

pub(crate) fn holds(document: &[u8]) {
    let decoded = Pointer::decode(document).ok();
    if let Some(pointer) = decoded {
        let written = pointer.encode().expect("what was read can be written");
        assert_eq!(Pointer::decode(&written), Ok(pointer), "it comes back as it was");
    }
    run(async {
        let world = World::new(1);
        world.objects.insert(&key::pointer(Balances::NAME), document.to_vec());
        bank(&world).await;
        let projector = Projector::new(Balances, &world.ports());
        let again = projector.project(&world.log.records()).await;
        assert_eq!(again.is_empty(), decoded.is_some(), "what is not taken in comes again");
        match projector.query("42", None).await {
            Ok(view) => assert!(decoded.is_some() && !view.applied.is_empty()),
            Err(QueryError::Store(StoreError::Corrupt { .. })) => assert_eq!(decoded, None),
            Err(error) => panic!("{error}"),
        }
        let Ok(rebuild) = projector.rebuild(Begin::Anew).await else {
            assert!(
                decoded.is_none_or(
                    |pointer| Pointer::decode(&pointer.begun().encode().expect("encodes")).is_err()
                )
            );
            return;
        };
        match rebuild.pass(|_| {}).await {
            Ok(_) => rebuild.switch().await.expect("nobody else rebuilds"),
            // The last generation that there can be.
            Err(RebuildError::Store(StoreError::Corrupt { .. })) => return,
            Err(error) => panic!("{error}"),
        }
        assert!(!projector.query("42", None).await.expect("a view").applied.is_empty());
    });
}
