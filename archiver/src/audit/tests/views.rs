//! Views of several streams, views that nobody feeds, and how far views and processes are behind.

use headwater::consume::{Cause, Process, ReactError, Reactor};

use super::*;

/// All streams of notes in one view.
struct Total;

impl Projection for Total {
    const NAME: &'static str = "total";
    type View = u64;
    type Reads = Event;

    fn key(&self, _: &StreamId) -> Option<String> {
        Some("all".to_owned())
    }

    fn apply(&self, view: &mut u64, _: &Envelope<'_, Event>) -> Result<(), headwater::consume::ApplyError> {
        *view += 1;
        Ok(())
    }
}

/// Reads two kinds, and does nothing.
struct Follows;

#[derive(Deserialize)]
enum Followed {
    Noted,
}

impl Reads for Followed {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[Kind::new("note", &[]), Kind::new("desk", &[])];
}

impl Process for Follows {
    const NAME: &'static str = "follows";
    type Reads = Followed;

    fn settings(&self) -> serde_json::Value {
        json!({"patience": 5})
    }

    async fn react(&self, _: &Store, cause: &Cause<'_, Followed>) -> Result<(), ReactError> {
        let Followed::Noted = cause.event;
        Ok(())
    }
}

const TOTAL: &str = "views/total/all";

async fn shared() -> Lab {
    let lab = Lab::whole().await;
    let projector = Projector::new(Total, &lab.world.ports());
    assert!(projector.project(&lab.world.log.records()).await.is_empty());
    lab
}

async fn found_in_total(lab: &Lab) -> (Summary, Vec<(String, String)>) {
    let audit = Audit { checks: vec![Box::new(Views::new(Rules::of(Total)))], ..lab.audit() };
    let (summary, findings) = found(&audit).await;
    (summary, findings.into_iter().map(|finding| (finding.place, finding.found)).collect())
}

fn total(lab: &Lab) -> View<u64> {
    View::decode(&lab.world.objects.all(TOTAL).remove(0).1).expect("a view")
}

fn set_total(lab: &Lab, view: &View<u64>) {
    lab.world.objects.insert(TOTAL, view.encode().expect("encodes"));
}

fn stream(id: &str) -> StreamId {
    id.parse().expect("a stream")
}

#[tokio::test(start_paused = true)]
async fn a_view_of_several_streams_is_compared_with_all_of_them() {
    let lab = shared().await;
    let (summary, findings) = found_in_total(&lab).await;
    assert_eq!((findings, summary.checked["views of total"]), (Vec::new(), 1));
    assert_eq!(total(&lab).state, 120);

    let whole = total(&lab);
    let mut short = whole.clone();
    short.state = 119;
    set_total(&lab, &short);
    let wrong = "it is not what its events make: the whole of it differs";
    assert_eq!(found_in_total(&lab).await.1, [(TOTAL.to_owned(), wrong.to_owned())]);

    // One stream set back, with what it made: the view is right, and behind in that stream alone.
    let mut behind = whole.clone();
    behind.state = 116;
    behind.applied.insert(stream("note/7"), Version::new(2));
    set_total(&lab, &behind);
    let late = "note/7 is applied through 2, and is at 6";
    let (summary, findings) = found_in_total(&lab).await;
    assert_eq!(findings, [(TOTAL.to_owned(), late.to_owned())]);
    assert_eq!(summary.checked["streams behind in total"], 1);

    // A fact of somebody else's.
    let mut foreign = whole;
    foreign.state = 121;
    foreign.applied.insert(stream("note/foreign"), Version::new(1));
    foreign.applied.insert(stream("desk/1"), Version::new(1));
    set_total(&lab, &foreign);
    let findings = found_in_total(&lab).await.1;
    let words: Vec<&str> = findings.iter().map(|(_, found)| found.as_str()).collect();
    assert_eq!(
        words,
        ["desk/1 is in it, and feeds another view or none", "note/foreign is in it, and has no head"]
    );

    assert!(lab.world.objects.remove(TOTAL));
    let findings = found_in_total(&lab).await.1;
    assert_eq!(findings.len(), 20, "every stream is missing: {findings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_view_that_no_stream_feeds_is_found_and_so_is_a_stranger_in_a_view_of_one() {
    let lab = Lab::whole().await;
    let mut view = View::new(3_u64);
    view.applied.insert(stream("note/99"), Version::new(3));
    lab.world.objects.insert("views/counts/99", view.encode().expect("encodes"));
    let mut view = View::new(9_u64);
    view.applied.insert(stream("note/1"), Version::new(6));
    view.applied.insert(stream("other/1"), Version::new(3));
    lab.world.objects.insert("views/counts/1", view.encode().expect("encodes"));
    let (_, findings) = lab.found().await;
    assert_eq!(
        of(&findings, H11),
        [
            ("views/counts/1", "other/1 is in it, and feeds another view or none"),
            ("views/counts/99", "note/99 is in it, and has no head"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_never_given_one_of_its_kinds_is_found_after_the_grace() {
    let lab = Lab::whole().await;
    lab.append("desk/1").await;
    lab.archive(1).await;
    // Its mapping lets notes through, and no desks.
    let reactor = Reactor::new(Follows, lab.store.clone(), &lab.world.ports());
    let mut arrivals = lab.world.log.records();
    arrivals.retain(|arrival| arrival.key.starts_with("note/"));
    assert!(reactor.react(&arrivals).await.is_empty());
    let audit = || Audit { checks: vec![Box::new(Views::progress(Follows))], ..lab.audit() };
    let (summary, findings) = found(&audit()).await;
    assert_eq!(findings, [], "it is not late yet");
    assert_eq!(summary.checked["streams behind in follows"], 1);
    advance(10 * MINUTE).await;
    let (_, findings) = found(&audit()).await;
    assert_eq!(of(&findings, H11), [("views/follows/desk%2F1", "desk/1 is at 2, and no view exists")]);
    // It goes on in none but that.
    lab.append("note/1").await;
    lab.archive(1).await;
    advance(10 * MINUTE).await;
    let (_, findings) = found(&audit()).await;
    let words = of(&findings, H11);
    assert!(
        words.contains(&("views/follows/note%2F1", "note/1 is applied through 6, and is at 8")),
        "{words:?}"
    );
    assert_eq!(words.len(), 2);
    let unread = lab.world.log.records();
    assert!(reactor.react(&unread).await.is_empty());
    assert_eq!(found(&audit()).await.1, []);
}
