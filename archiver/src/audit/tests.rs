//! Each damage, one at a time: found, and called by its name; and a store that goes on meanwhile.

use async_trait::async_trait;
use headwater::{
    Options, Store, StoredEvent,
    consume::{Envelope, Kind, Projection, Projector, Reads, Rules},
    format::{commit::Commit, head::Head, record::Record, view::View, watermark::Watermark},
    memory::{Fault, FaultyObjects, MemoryObjects, Operation, World},
    port::{Arrival, Clock, Entry, Log},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::time::advance;

use super::{views::Views, *};
use crate::{
    archive::{
        Archiver, Bounds,
        lab::{STREAM, bucket},
    },
    segment::{self, Segment},
};

mod coverage;
mod one_fold;
mod states;
mod views;

const MINUTE: Duration = Duration::from_mins(1);

/// What happens.
#[derive(Serialize, Deserialize)]
enum Event {
    Noted,
}

impl Reads for Event {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[Kind::new("note", &[])];
}

/// Counts a stream's events.
struct Counts;

impl Projection for Counts {
    const NAME: &'static str = "counts";
    type View = u64;
    type Reads = Event;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut u64, _: &Envelope<'_, Event>) -> Result<(), headwater::consume::ApplyError> {
        *view += 1;
        Ok(())
    }
}

/// A check that counts, and finds one stream.
struct Named(&'static str);

#[async_trait]
impl Check for Named {
    async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
        let stream = &history.head.stream;
        let found = || Finding::new(What::Domain, stream, "by name");
        Ok((stream.as_str() == self.0).then(found).into_iter().collect())
    }
}

/// Meets something corrupt once every stream was looked at.
struct Corrupt;

#[async_trait]
impl Check for Corrupt {
    async fn stream(&self, _: &Reader, _: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }

    async fn end(&self, _: &Reader, _: Option<&Ports>) -> Result<Vec<Finding>, StoreError> {
        Err(StoreError::Corrupt { key: "heads/note/5".to_owned(), reason: "no JSON".to_owned() })
    }
}

struct Told(Vec<Finding>);

impl Listener for Told {
    fn begins(&mut self, _: &str, _: Option<u64>) {}
    fn step(&mut self) {}
    fn found(&mut self, finding: &Finding) {
        self.0.push(finding.clone());
    }
}

struct Lab {
    world: World,
    segments: Arc<MemoryObjects>,
    store: Store,
}

impl Lab {
    fn new() -> Self {
        let world = World::new(1);
        let (segments, store) = (bucket(&world), Store::new(world.ports(), headwater::Settings::default()));
        Self { world, segments, store }
    }

    /// A store of 20 streams with 3 commits each, all of it archived and projected, some minutes ago.
    async fn whole() -> Self {
        let lab = Self::new();
        for _ in 0..3 {
            for number in 0..20 {
                lab.append(&format!("note/{number}")).await;
            }
        }
        lab.archive(4).await;
        lab.project().await;
        advance(10 * MINUTE).await;
        lab
    }

    async fn append(&self, stream: &str) {
        let event = StoredEvent::new("Noted", 1, RawValue::NULL.to_owned()).expect("an event");
        let stream = stream.parse().expect("a stream");
        self.store.append(&stream, vec![event.clone(), event], Options::default()).await.expect("appends");
    }

    /// Archives what has arrived, a segment for each `records` records.
    async fn archive(&self, records: usize) {
        let bounds = Bounds { records, ..Bounds::default() };
        let archiver = Archiver::new(self.world.ports(), self.segments.clone(), STREAM, bounds);
        let mut shards: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
        for arrival in self.world.log.records() {
            shards.entry(arrival.shard.clone()).or_default().push(arrival);
        }
        for (shard, batch) in shards {
            archiver.archive(&shard, &batch).await.expect("archives");
        }
    }

    async fn project(&self) {
        let projector = Projector::new(Counts, &self.world.ports());
        assert!(projector.project(&self.world.log.records()).await.is_empty());
    }

    fn audit(&self) -> Audit {
        Audit {
            ports: self.world.ports(),
            archive: self.segments.clone(),
            stream: STREAM.to_owned(),
            grace: SignedDuration::from_mins(5),
            checks: vec![Box::new(Views::new(Rules::of(Counts)))],
            repair: false,
        }
    }

    async fn found(&self) -> (Summary, Vec<Finding>) {
        found(&self.audit()).await
    }

    /// Keys of segments, oldest first, of the shard that has most.
    fn chain(&self) -> Vec<String> {
        let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, _) in self.segments.all("archive/") {
            shards.entry(key.split("/dt=").next().expect("a shard").to_owned()).or_default().push(key);
        }
        shards.into_values().max_by_key(Vec::len).expect("a chain")
    }

    fn segment(&self, key: &str) -> Segment {
        Segment::open(self.segments.all(key).remove(0).1).expect("a segment")
    }

    fn head(&self, stream: &str) -> Head {
        Head::decode(&self.world.objects.all(&format!("heads/{stream}")).remove(0).1).expect("a head")
    }

    /// Sets a head without being asked.
    fn set_head(&self, head: &Head) {
        self.world.objects.insert(&key::head(&head.stream), head.encode().expect("encodes"));
    }
}

async fn found(audit: &Audit) -> (Summary, Vec<Finding>) {
    let mut told = Told(Vec::new());
    let summary = audit.run(&mut told).await.expect("audits");
    assert_eq!(summary.findings, told.0.iter().filter(|finding| !finding.repaired).count() as u64);
    (summary, told.0)
}

/// The findings of one kind, where and what.
fn of(findings: &[Finding], what: What) -> Vec<(&str, &str)> {
    let wanted = findings.iter().filter(|finding| finding.finding == what);
    wanted.map(|finding| (finding.place.as_str(), finding.found.as_str())).collect()
}

const H3: What = What::Promise(Invariant::H3);
const H6: What = What::Promise(Invariant::H6);
const H10: What = What::Promise(Invariant::H10);
const H11: What = What::Promise(Invariant::H11);

#[tokio::test(start_paused = true)]
async fn in_a_whole_store_nothing_is_found() {
    let lab = Lab::whole().await;
    let (summary, findings) = lab.found().await;
    assert_eq!(findings, []);
    assert_eq!((summary.streams, summary.commits, summary.archived), (20, 60, 60));
    assert_eq!((summary.waiting, summary.unpublished, summary.checked["views of counts"]), (0, 0, 20));
    // What is behind is none for a while: a commit that is not archived, one that is in no record, a view.
    lab.append("note/1").await;
    let mut head = lab.head("note/2");
    head.push([Arc::new(Commit {
        first: Version::new(7),
        last: Version::new(8),
        ..(*head.commits[0]).clone()
    })]);
    let mut fresh = head.commits.pop().expect("a commit");
    Arc::make_mut(&mut fresh).id = "fresh".parse().expect("an id");
    head.commits.push(fresh);
    lab.set_head(&head);
    let (summary, findings) = lab.found().await;
    assert_eq!(findings, []);
    assert_eq!((summary.waiting, summary.unpublished), (1, 1));
    advance(10 * MINUTE).await;
    let (_, findings) = lab.found().await;
    assert_eq!(of(&findings, H10).len(), 1, "{findings:?}");
    assert_eq!(of(&findings, H6), [("note/2", "versions 7..=8: in S3, and in no record")]);
    assert_eq!(of(&findings, H11).len(), 2);
    assert_eq!(findings.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_is_missing_or_corrupt_is_named_and_what_it_held_as_well() {
    for (damage, reason) in [("removed", "the segment is missing"), ("corrupt", "not a segment")] {
        let lab = Lab::whole().await;
        let key = lab.chain()[1].clone();
        let held = lab.segment(&key).commits().expect("commits").len();
        match damage {
            "removed" => assert!(lab.segments.remove(&key)),
            _ => drop(lab.segments.insert(&key, "no segment")),
        }
        let (summary, findings) = lab.found().await;
        let damaged = of(&findings, What::Damage);
        assert_eq!(damaged.len(), 1, "{findings:?}");
        assert!(damaged[0].0 == key && (damage == "corrupt" || damaged[0].1 == reason), "{damaged:?}");
        let lost: Vec<_> = of(&findings, H10);
        assert!(lost.iter().all(|(_, found)| found.contains("not in the archive")), "{lost:?}");
        assert_eq!((summary.archived, lost.len()), (60 - held as u64, held), "the audit goes on behind it");
        assert_eq!(findings.len(), 1 + held);
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_segment_of_a_chain_shows_by_what_is_not_archived() {
    let lab = Lab::whole().await;
    let key = lab.chain().pop().expect("a segment");
    let held = lab.segment(&key).commits().expect("commits").len();
    assert!(lab.segments.remove(&key));
    let (summary, findings) = lab.found().await;
    assert_eq!((of(&findings, H10).len(), summary.waiting), (held, held as u64), "{findings:?}");
    // Without a watermark it is not known whether they were ever published.
    lab.world.log.trim(Timestamp::MAX);
    assert_eq!(of(&lab.found().await.1, H6).len(), held);
    let mark = Watermark::new(lab.world.clock.now()).encode().expect("encodes");
    lab.world.objects.insert(key::WATERMARK, mark);
    let (_, findings) = found(&Audit { repair: true, ..lab.audit() }).await;
    assert_eq!((of(&findings, H10).len(), findings.len()), (held, held), "Kinesis has forgotten them");
    // Several in a row, and the oldest.
    let chain = lab.chain();
    assert!(lab.segments.remove(&chain[0]) && lab.segments.remove(&chain[1]));
    let (_, findings) = lab.found().await;
    assert_eq!(of(&findings, What::Damage), [(chain[2].as_str(), "ordinals 1..=2 are missing before it")]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_archived_twice_or_in_other_words_is_named_with_its_segment() {
    let lab = Lab::whole().await;
    let key = lab.chain()[1].clone();
    let segment = lab.segment(&key);
    let whole = segment.commits().expect("commits");
    let twice: Vec<_> = [&whole[..1], &whole[..]].concat();
    let body = segment::encode(segment.footer(), &twice).expect("encodes");
    lab.segments.insert(&key, body);
    let (_, findings) = lab.found().await;
    let (place, words) = of(&findings, H10)[0];
    assert!(findings.len() == 1 && place == whole[0].stream.as_str(), "{findings:?}");
    assert!(words.contains(&key) && words.contains("was archived before"), "{words}");

    let mut changed = whole.clone();
    Arc::make_mut(&mut changed[0].commit).id = "another".parse().expect("an id");
    lab.segments.insert(&key, segment::encode(segment.footer(), &changed).expect("encodes"));
    let (_, findings) = lab.found().await;
    assert!(of(&findings, H10)[0].1.contains("in other words"), "{findings:?}");

    let mut swapped = lab.segment(&lab.chain()[0]).commits().expect("commits");
    let (stream, foreign) = ("note/none".parse().expect("a stream"), &mut swapped[0]);
    foreign.stream = stream;
    let first = lab.segment(&lab.chain()[0]);
    lab.segments.insert(&lab.chain()[0], segment::encode(first.footer(), &swapped).expect("encodes"));
    let (_, findings) = lab.found().await;
    assert!(
        findings.iter().any(|it| it.place == "note/none" && it.found.contains("no head")),
        "{findings:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_with_a_commit_taken_out_is_named() {
    let lab = Lab::whole().await;
    // The newest: then the archive holds more than the head.
    let mut head = lab.head("note/7");
    head.commits.pop();
    (head.version, head.newest_write) = (Version::new(4), Version::new(3));
    lab.set_head(&head);
    let (_, findings) = lab.found().await;
    let h10 = of(&findings, H10);
    assert!(
        h10.len() == 1 && h10[0].0 == "note/7" && h10[0].1.contains("does not stand in S3"),
        "{findings:?}"
    );
    assert_eq!(of(&findings, H11).len(), 1, "a view is ahead of it");
    // One in the middle: the head contradicts itself.
    let mut head = lab.head("note/8");
    head.commits.remove(1);
    lab.set_head(&head);
    let (_, findings) = lab.found().await;
    assert_eq!(of(&findings, What::Damage)[0].0, "heads/note/8");
    assert_eq!(findings.len(), 3, "nothing else is said of a stream that can't be read: {findings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_view_that_is_set_back_or_changed_is_named() {
    let lab = Lab::whole().await;
    let mut view = View::new(4_u64);
    view.applied.insert("note/1".parse().expect("a stream"), Version::new(4));
    lab.world.objects.insert("views/counts/1", view.encode().expect("encodes"));
    view.state = 7;
    view.applied = BTreeMap::from([("note/2".parse().expect("a stream"), Version::new(6))]);
    lab.world.objects.insert("views/counts/2", view.encode().expect("encodes"));
    assert!(lab.world.objects.remove("views/counts/3"));
    lab.world.objects.insert("views/counts/4", "no view");
    let (_, findings) = lab.found().await;
    let mut h11 = of(&findings, H11);
    h11.sort_unstable();
    assert_eq!(
        h11,
        [
            ("views/counts/1", "note/1 is applied through 4, and is at 6"),
            ("views/counts/2", "it is not what its events make: the whole of it differs"),
            ("views/counts/3", "note/3 is at 6, and no view exists"),
        ]
    );
    assert_eq!(of(&findings, What::Damage)[0].0, "views/counts/4");
    assert_eq!(findings.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_views_that_serve_are_looked_at_and_those_before_them_are_not() {
    let lab = Lab::whole().await;
    for (key, body) in lab.world.objects.all("views/counts/") {
        lab.world.objects.insert(&key.replace("counts/", "counts@3/"), body);
        lab.world.objects.insert(&key, "what nobody feeds any more");
    }
    lab.world.objects.insert("projections/counts", r#"{"format":1,"serving":3,"building":null}"#);
    assert_eq!(lab.found().await.1, []);
    assert!(lab.world.objects.remove("views/counts@3/5"));
    let (_, findings) = lab.found().await;
    assert_eq!(of(&findings, H11), [("views/counts@3/5", "note/5 is at 6, and no view exists")]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_s3_does_not_hold_is_named() {
    let lab = Lab::whole().await;
    let mut commit = (*lab.head("note/1").commits[2]).clone();
    (commit.first, commit.last) = (Version::new(7), Version::new(8));
    let record = Record::new("note/1".parse().expect("a stream"), vec![Arc::new(commit)]);
    let entry = Entry { key: "note/1".to_owned(), data: record.encode().expect("encodes") };
    lab.world.log.put(&[entry]).await.expect("puts").remove(0).expect("taken");
    let (_, findings) = lab.found().await;
    assert!(of(&findings, H3)[0].1.contains("does not stand in S3") && findings.len() == 1, "{findings:?}");
}

#[tokio::test(start_paused = true)]
async fn repair_publishes_what_is_in_no_record_and_then_nothing_is_found() {
    for damaged in [false, true] {
        let lab = Lab::whole().await;
        let mut head = lab.head("note/1");
        let mut commit = (*head.commits[2]).clone();
        (commit.id, commit.first, commit.last) =
            ("left".parse().expect("an id"), Version::new(7), Version::new(8));
        head.push([Arc::new(commit)]);
        lab.set_head(&head);
        advance(10 * MINUTE).await;
        if damaged {
            lab.segments.remove(&lab.chain()[0]);
        }
        let records = lab.world.log.records().len();
        let (summary, findings) = found(&Audit { repair: true, ..lab.audit() }).await;
        if damaged {
            let h10 = of(&findings, H10);
            assert!(
                h10.iter().any(|(place, found)| *place == "note/1" && found.contains("7..=8")),
                "{h10:?}"
            );
            assert_eq!(
                (summary.repaired, lab.world.log.records().len()),
                (0, records),
                "it may be in the segment"
            );
            continue;
        }
        let h6 = of(&findings, H6);
        assert_eq!(h6.len(), 1, "{findings:?}");
        assert!(h6[0].1.ends_with("published now"), "{h6:?}");
        assert_eq!((summary.repaired, summary.findings), (1, 1), "the view is behind");
        lab.archive(4).await;
        lab.project().await;
        assert_eq!(lab.found().await.1, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_on_meanwhile_is_none_the_worse_for_it() {
    let lab = Arc::new(Lab::whole().await);
    let [left, _] = lab.world.log.split("shardId-000000000000").expect("splits");
    lab.append("note/1").await;
    lab.archive(1).await;
    // Between the heads and the archive streams grow and begin, all of it is archived, and a shard is split again.
    let faulty = FaultyObjects::new(lab.segments.clone());
    let meanwhile = Arc::clone(&lab);
    faulty.faults().gate(move |call| {
        let (lab, left) = (Arc::clone(&meanwhile), left.clone());
        async move {
            if (call.operation, call.number) == (Operation::List, 1) {
                for number in 0..30 {
                    lab.append(&format!("note/{number}")).await;
                }
                lab.archive(2).await;
                lab.world.log.split(&left).expect("splits");
                for number in 0..40 {
                    lab.append(&format!("note/{number}")).await;
                }
            }
            Fault::None
        }
    });
    let (summary, findings) = found(&Audit { archive: Arc::new(faulty), ..lab.audit() }).await;
    assert_eq!(findings, []);
    assert_eq!((summary.streams, summary.waiting, summary.unpublished), (20, 40, 0));
}

#[tokio::test(start_paused = true)]
async fn a_domains_own_checks_are_asked_of_every_stream() {
    let lab = Lab::whole().await;
    let audit = Audit { checks: vec![Box::new(Named("note/5"))], ..lab.audit() };
    let (_, findings) = found(&audit).await;
    assert_eq!(of(&findings, What::Domain), [("note/5", "by name")]);
    let json = serde_json::to_value(&findings[0]).expect("JSON");
    assert_eq!(json, serde_json::json!({"finding": "domain", "place": "note/5", "found": "by name"}));
}

#[tokio::test(start_paused = true)]
async fn what_a_check_meets_corrupt_in_the_end_is_a_finding_and_the_audit_goes_on() {
    let lab = Lab::whole().await;
    let audit = Audit { checks: vec![Box::new(Corrupt), Box::new(Named("note/5"))], ..lab.audit() };
    let (summary, findings) = found(&audit).await;
    assert_eq!(of(&findings, What::Damage), [("heads/note/5", "no JSON")]);
    assert_eq!(of(&findings, What::Domain), [("note/5", "by name")]);
    assert_eq!((summary.streams, summary.findings), (20, 2));
}
