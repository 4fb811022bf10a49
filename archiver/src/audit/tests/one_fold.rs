//! One fold: projector, query, rebuild and audit make the same of types that a projection does not name.

use headwater::{
    StreamId, Token,
    consume::{Begin, Envelope, Kind, Projection, Projector, Reads, Rules},
    evidence::Evidence,
    invariants::Invariant,
};
use serde::Deserialize;

use super::*;

/// What a desk's stream says; the projection below names the second type alone.
const TYPES: [&str; 2] = ["Noted", "Struck"];

/// How often something was struck.
struct Struck;

#[derive(Deserialize)]
enum StruckEvent {
    Struck,
}

impl Reads for StruckEvent {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[Kind::new("desk", &[])];
}

impl Projection for Struck {
    const NAME: &'static str = "struck";
    type View = u64;
    type Reads = StruckEvent;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(
        &self,
        view: &mut u64,
        envelope: &Envelope<'_, StruckEvent>,
    ) -> Result<(), headwater::consume::ApplyError> {
        let StruckEvent::Struck = envelope.event;
        *view += 1;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn types_that_a_projection_does_not_name_count_as_versions_for_all_who_fold_it() {
    let lab = Lab::new();
    let ports = lab.world.ports();
    let stream: StreamId = "desk/1".parse().expect("a stream");
    let events = || {
        let event = |name: &str| StoredEvent::new(name, 1, RawValue::NULL.to_owned()).expect("an event");
        TYPES.map(event).to_vec()
    };
    for _ in 0..3 {
        lab.store.append(&stream, events(), Options::default()).await.expect("appends");
    }
    lab.archive(4).await;
    let projector = Projector::new(Struck, &ports);
    assert!(projector.project(&lab.world.log.records()).await.is_empty());
    advance(10 * MINUTE).await;

    let audit = || Audit { checks: vec![Box::new(Views::new(Rules::of(Struck)))], ..lab.audit() };
    assert_eq!(found(&audit()).await.1, []);
    let mut evidence = Evidence::gather(&ports).await.expect("reads");
    evidence.projected(&ports, &Rules::of(Struck)).await.expect("folds");
    // It holds no archive here.
    let of_views =
        evidence.violations().into_iter().filter(|violation| violation.invariant == Invariant::H11);
    assert_eq!(of_views.collect::<Vec<_>>(), []);

    // A view that is behind folds the rest in the query, and a rebuild makes the same anew.
    lab.store.append(&stream, events(), Options::default()).await.expect("appends");
    let token = Token { stream: stream.clone(), version: Version::new(8) };
    assert_eq!(projector.query("1", Some(&token)).await.expect("a view").state, 4);
    let rebuild = projector.rebuild(Begin::Anew).await.expect("begins");
    rebuild.pass(|_| {}).await.expect("passes");
    rebuild.switch().await.expect("switches");
    lab.archive(1).await;
    advance(10 * MINUTE).await;
    assert_eq!(projector.query("1", None).await.expect("a view").state, 4);
    assert_eq!(found(&audit()).await.1, []);
}
