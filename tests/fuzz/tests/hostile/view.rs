//! A view: decoded, folded on, and queried.

use std::sync::Arc;

use consumers::{balance::Balances, credit_limit::CreditLimits};
use headwater::StoreError;
use headwater::{
    Token, Version,
    consume::{Projection, Projector, QueryError},
    format::{key, view::View},
    memory::World,
};
use serde_json::Value;

use crate::{seeds::bank, world::run};

pub(crate) fn holds(document: &[u8]) {
    if let Ok(view) = View::<Value>::decode(document) {
        let written = view.encode().expect("what was read can be written");
        assert_eq!(View::decode(&written).as_ref(), Ok(&view), "it comes back as it was");
    }
    run(async {
        let world = World::new(1);
        bank(&world).await;
        let ports = world.ports();
        is_used(&world, &Projector::new(Balances, &ports), document).await;
        is_used(&world, &Projector::forwarding(CreditLimits, &ports, Arc::clone(&ports.log)), document).await;
    });
}

/// Takes commits in, is queried with a token and without, and taken up again by an operator.
async fn is_used<P: Projection>(world: &World, projector: &Projector<P>, document: &[u8]) {
    let stream = "account/42".parse().expect("a stream");
    let object = key::view(P::NAME, "42");
    world.objects.insert(&object, document.to_vec());
    let readable = View::<P::View>::decode(document).is_ok();
    assert!(projector.project(&world.log.records()).await.is_empty(), "nothing has to come again");
    let token = Token { stream, version: Version::new(5) };
    for token in [None, Some(&token)] {
        match projector.query("42", token).await {
            Ok(_) | Err(QueryError::Parked { .. }) => {}
            Err(QueryError::Store(StoreError::Corrupt { .. })) => {
                assert!(!readable, "a view became unreadable");
            }
            Err(error) => panic!("{error}"),
        }
    }
    match projector.unpark("42", &token.stream).await {
        Ok(_) => {}
        Err(StoreError::Corrupt { .. }) => assert!(!readable, "a view became unreadable"),
        Err(error) => panic!("{error}"),
    }
    let (_, body) = world.objects.all(&object).remove(0);
    assert_eq!(View::<P::View>::decode(&body).is_ok(), readable);
    if let Ok(view) = View::<P::View>::decode(&body) {
        assert!(!view.parked.values().any(|parked| parked.error.contains("the projection panicked")));
    }
}
