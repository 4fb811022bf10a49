//! What exists and nobody has the code of is named.

use headwater::{
    Aggregate, Claim,
    format::{claim::StoredClaim, commit::Meta, timer::Timer},
};

use super::*;
use crate::audit::{check::Part, states::States, unique::Unique};

/// A note's state: how many events there were.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Note {
    events: u64,
}

impl Aggregate for Note {
    const KIND: &'static str = "note";
    type Command = ();
    type Event = Event;
    type Rejection = std::convert::Infallible;

    fn decide(&self, (): &()) -> Result<Vec<Event>, std::convert::Infallible> {
        Ok(vec![Event::Noted])
    }

    fn evolve(&mut self, _: &Event) {
        self.events += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn what_exists_and_no_check_knows_is_named() {
    let lab = Lab::whole().await;
    let objects = &lab.world.objects;
    let (owner, now) = ("note/1".parse::<StreamId>().expect("a stream"), lab.world.clock.now());
    objects.insert("views/lending@3/a", View::new(1_u64).encode().expect("encodes"));
    objects.insert("projections/shelves", r#"{"format":1,"serving":3,"building":null}"#);
    let timer = Timer::new(owner.clone(), Version::new(1), "late", now, Meta::new());
    objects.insert(&key::timer("reminders", &timer), timer.encode().expect("encodes"));
    let claim = StoredClaim::new(owner, "w".to_owned(), now).encode().expect("encodes");
    objects.insert(&key::claim(&Claim::new("e-mail", "a@b")), claim);

    let views = |name: &str| Part::Views(name.to_owned());
    let of_note = Part::Streams("note".to_owned());
    let unknown = [views("lending"), views("reminders"), views("shelves")];
    let none = Audit { checks: Vec::new(), ..lab.audit() };
    let (summary, findings) = found(&none).await;
    assert_eq!(findings, []);
    let all = [&unknown[..], &[of_note, views("counts"), Part::Claims("e-mail".to_owned())]].concat();
    assert_eq!(summary.unchecked, all.into_iter().collect());

    let known = || -> Vec<Box<dyn Check>> {
        let counts = Views::new(Rules::of(Counts));
        vec![Box::new(counts), Box::new(States::<Note>::default()), Box::new(Unique::<Note>::default())]
    };
    let (summary, findings) = found(&Audit { checks: known(), ..lab.audit() }).await;
    assert_eq!((findings, summary.unchecked), (Vec::new(), unknown.into_iter().collect()));
}

#[tokio::test(start_paused = true)]
async fn an_object_among_the_heads_that_is_none_is_found() {
    let lab = Lab::whole().await;
    lab.world.objects.insert("heads/note/%6f", "another name of o");
    let (_, findings) = lab.found().await;
    assert_eq!(of(&findings, What::Damage), [("heads/note/%6f", "this is no head's key")]);
}
