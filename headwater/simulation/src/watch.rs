//! The watch: after every effect on S3 and Kinesis the invariants are checked over what stands at that moment.
//!
//! A head that was written is put together with its pages, as a reader would; what stood before must still stand (H1). A
//! record that arrives is compared with what S3 holds at that moment, and with what arrived before. A watermark must be true
//! when it is written.

use std::{collections::BTreeMap, sync::Arc};

use headwater::{
    Claim, Schemas, StreamId, Version,
    format::{
        claim::StoredClaim, commit::Commit, head::Head, key, page::Page, pointer::Pointer, record::Record,
        view::View, watermark::Watermark,
    },
    invariants::{self, History, Invariant, Published, Violation},
    memory,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    ledger::{Entry, Ledger, NAMES},
    report::{Finding, Promise},
};

/// How long after a watermark archivers remember what it has passed, and how late a request may have its effect besides.
const FORGOTTEN: SignedDuration = SignedDuration::from_secs(11 * 60 + 60);

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    streams: BTreeMap<StreamId, Seen>,
    pages: BTreeMap<String, Page>,
    /// How far each view has applied its streams.
    views: BTreeMap<String, BTreeMap<StreamId, Version>>,
    /// Which generations of views serve and are built.
    pointers: BTreeMap<String, Pointer>,
    /// Commits of derived streams as they first arrived.
    derived: BTreeMap<StreamId, Published>,
    /// The name that each ledger has, if it has one.
    names: BTreeMap<StreamId, String>,
    /// Whose each claim is, by its key.
    claims: BTreeMap<String, StreamId>,
    /// How often each name was taken by somebody.
    taken: BTreeMap<String, u64>,
    /// Each watermark that was written, and when, oldest first.
    watermarks: Vec<(Timestamp, Timestamp)>,
}

/// A stream.
#[derive(Debug)]
struct Seen {
    history: History,
    published: Published,
    /// When each version of its head was stored, and which one it was.
    stored: Vec<(Timestamp, Version)>,
}

impl Seen {
    /// A commit that arrives again although the archive may have forgotten it.
    fn once_more(&self, commits: &[Arc<Commit>], forgotten: Option<Timestamp>) -> Option<Finding> {
        let again = commits.iter().find(|commit| {
            let stored = self.stored.iter().find(|(_, version)| *version >= commit.last);
            let before = stored.zip(forgotten).is_some_and(|((stored, _), forgotten)| *stored < forgotten);
            before && self.published.iter().any(|published| published.first == commit.first)
        })?;
        let found = format!("{} is published again, after archivers may have forgotten it", again.first);
        Some(Finding::new(Promise::Invariant(Invariant::H10), &self.history.head.stream, found))
    }
}

impl Watch {
    /// Takes in an object that was written now.
    pub(crate) fn written(&mut self, at: &str, body: &[u8], now: Timestamp) -> Vec<Finding> {
        let broken = if let Some(stream) = key::stream_of_head(at) {
            Head::decode(body)
                .map_err(|error| error.to_string())
                .and_then(|head| self.head(&stream, head, now))
        } else if at == key::WATERMARK {
            Watermark::decode(body).map_err(|error| error.to_string()).map(|mark| self.watermark(&mark, now))
        } else if at.starts_with(key::PAGES) {
            Page::decode(body).map_err(|error| error.to_string()).map(|page| {
                self.pages.insert(at.to_owned(), page);
                Vec::new()
            })
        } else if at.starts_with(key::CLAIMS) {
            StoredClaim::decode(body)
                .map_err(|error| error.to_string())
                .map(|claim| self.claim(at, &claim).into_iter().collect())
        } else if at.starts_with(key::VIEWS) {
            View::<Value>::decode(body).map_err(|error| error.to_string()).map(|view| self.view(at, &view))
        } else if at.starts_with(key::POINTERS) {
            Pointer::decode(body).map_err(|error| error.to_string()).map(|after| {
                let before = self.pointers.insert(at.to_owned(), after).unwrap_or_default();
                invariants::built_then_serving(at, before, after).into_iter().map(Finding::from).collect()
            })
        } else {
            Ok(Vec::new())
        };
        broken.unwrap_or_else(|found| vec![Finding::new(Promise::Format, at, found)])
    }

    /// Forgets an object that was deleted: one that is made there later begins anew. The claim to a name that somebody has
    /// stands (H9).
    pub(crate) fn deleted(&mut self, at: &str) -> Option<Finding> {
        self.views.remove(at);
        self.claims.remove(at);
        let (stream, _) = self.holder(at)?;
        let found = format!("it was deleted, and {stream} has the name");
        Some(Finding::new(Promise::Invariant(Invariant::H9), at, found))
    }

    /// Takes in a claim: nobody else's, while somebody has the name (H9).
    fn claim(&mut self, at: &str, claim: &StoredClaim) -> Option<Finding> {
        self.claims.insert(at.to_owned(), claim.owner.clone());
        let (stream, _) = self.holder(at).filter(|(stream, _)| **stream != claim.owner)?;
        let found = format!("it is {}'s, and {stream} has the name", claim.owner);
        Some(Finding::new(Promise::Invariant(Invariant::H9), at, found))
    }

    /// The ledger that has the name to which the claim at this key is.
    fn holder(&self, at: &str) -> Option<(&StreamId, &String)> {
        let claims = |name: &str| key::claim(&Claim::new(NAMES, name)) == at;
        self.names.iter().find(|(_, name)| at.starts_with(key::CLAIMS) && claims(name))
    }

    /// Takes in a view.
    fn view(&mut self, at: &str, view: &View<Value>) -> Vec<Finding> {
        let before = self.views.insert(at.to_owned(), view.applied.clone()).unwrap_or_default();
        invariants::only_forward(at, &before, &view.applied).into_iter().map(Finding::from).collect()
    }

    /// Takes in a head, together with the pages that it names.
    fn head(&mut self, stream: &StreamId, head: Head, now: Timestamp) -> Result<Vec<Finding>, String> {
        let history = History::join(head, |page| match self.pages.get(page) {
            Some(page) => Ok(page.commits.clone()),
            None => Err(format!("it names the page {page}, which does not stand")),
        })?;
        let mut broken: Vec<Violation> = invariants::one_history(&history);
        broken.extend(invariants::committed_once(&history));
        let nothing = Published::new();
        let seen = self.streams.get(stream);
        if let Some(seen) = seen {
            broken.extend(invariants::only_grown(&seen.history, &history));
        }
        broken.extend(invariants::one_behind(&history, seen.map_or(&nothing, |seen| &seen.published)));
        let mut findings: Vec<Finding> = broken.into_iter().map(Finding::from).collect();
        findings.extend(snapshot(&history)?);
        findings.extend(self.named(stream, &history));
        let before = self.streams.remove(stream).map(|seen| (seen.published, seen.stored));
        let (published, mut stored) = before.unwrap_or_default();
        stored.push((now, history.head.version));
        self.streams.insert(stream.clone(), Seen { history, published, stored });
        Ok(findings)
    }

    /// A name has one ledger (H9), at every moment.
    fn named(&mut self, stream: &StreamId, history: &History) -> Option<Finding> {
        let events = history.commits.iter().rev().flat_map(|commit| commit.events.iter().rev());
        let name =
            events.filter_map(|event| Schemas::FIRST.decode(event).ok()).find_map(|entry| match entry {
                Entry::Named { name } => Some(name),
                _ => None,
            })?;
        if self.names.get(stream) == Some(&name) {
            return None;
        }
        let other = self.names.iter().find(|(other, held)| *other != stream && **held == name);
        let mut found = other.map(|(other, _)| format!("{other} and {stream} are called {name}"));
        let claim = key::claim(&Claim::new(NAMES, name.as_str()));
        if !name.is_empty() && self.claims.get(&claim) != Some(stream) {
            found = Some(format!("{stream} has taken a name to which it has no claim"));
        }
        self.names.remove(stream);
        if !name.is_empty() {
            *self.taken.entry(name.clone()).or_default() += 1;
            self.names.insert(stream.clone(), name.clone());
        }
        found.map(|found| Finding::new(Promise::Invariant(Invariant::H9), name, found))
    }

    /// Whether another ledger has the name now, and how often it was taken by anybody.
    pub(crate) fn held(&self, name: &str, stream: &StreamId) -> (bool, u64) {
        let by_another = self.names.iter().any(|(other, held)| other != stream && held == name);
        (by_another, self.taken.get(name).copied().unwrap_or_default())
    }

    /// Takes in a watermark: all that S3 stored before it has arrived, and none was further.
    fn watermark(&mut self, mark: &Watermark, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        let before = self.watermarks.last().map(|(before, _)| *before);
        self.watermarks.push((mark.through, now));
        if let Some(before) = before.filter(|before| *before > mark.through) {
            let found = format!("the watermark went back from {before} to {}", mark.through);
            findings.push(Finding::new(Promise::Invariant(Invariant::H6), key::WATERMARK, found));
        }
        for seen in self.streams.values() {
            let before = seen.stored.iter().rev().find(|(stored, _)| *stored < mark.through);
            let version = before.map(|(_, version)| *version).unwrap_or_default();
            let broken = invariants::settled(&seen.history, &seen.published, version);
            findings.extend(broken.into_iter().map(Finding::from));
        }
        findings
    }

    /// Takes in a record that arrived now.
    pub(crate) fn arrived(&mut self, data: &[u8], now: Timestamp) -> Vec<Finding> {
        // What is no commit of this store is nobody's promise.
        let Ok(record) = Record::decode_of(data, memory::identity().known()) else { return Vec::new() };
        if record.kind != <Ledger as headwater::Aggregate>::KIND {
            return self.derived(record);
        }
        let stream = record.stream;
        let forgotten = self.forgotten(now);
        let seen = self.streams.get_mut(&stream);
        let mut broken =
            invariants::facts_only(seen.as_ref().map(|seen| &seen.history), &stream, &record.commits);
        let mut findings = Vec::new();
        if let Some(seen) = seen {
            findings.extend(seen.once_more(&record.commits, forgotten));
            seen.published.extend(record.commits);
            broken.extend(invariants::order(&stream, &seen.published));
        }
        findings.extend(broken.into_iter().map(Finding::from));
        findings
    }

    /// What S3 stored before this is not published any more: the archive may have forgotten it.
    fn forgotten(&self, now: Timestamp) -> Option<Timestamp> {
        let passed = |written: Timestamp| now.duration_since(written) > FORGOTTEN;
        let old = self.watermarks.iter().rev().find(|(_, written)| passed(*written));
        old.map(|(through, _)| *through)
    }

    /// A commit that was derived: in order at its first arrival, and the same whenever it comes again.
    fn derived(&mut self, record: Record) -> Vec<Finding> {
        let published = self.derived.entry(record.stream.clone()).or_default();
        let mut findings = Vec::new();
        for commit in record.commits {
            match published.iter().find(|before| before.first == commit.first) {
                Some(before) if *before == commit => {}
                Some(before) => findings.push(Finding::new(
                    Promise::Forwarded,
                    &record.stream,
                    format!("{} was {} and is {}", commit.first, before.id, commit.id),
                )),
                None => published.push(commit),
            }
        }
        findings.extend(invariants::order(&record.stream, published).into_iter().map(Finding::from));
        findings
    }

    /// The streams that are wanted, asked whether all of a stream has arrived: where it has not, whoever made its newest
    /// write is gone, and nobody came by since.
    pub(crate) fn streams(&self, wanted: impl Fn(bool) -> bool) -> Vec<StreamId> {
        let delivered = |seen: &Seen| invariants::delivered(&seen.history, &seen.published).is_empty();
        let streams = self.streams.iter().filter(|(_, seen)| wanted(delivered(seen)));
        streams.map(|(stream, _)| stream.clone()).collect()
    }

    /// How many commits of a derived stream arrived.
    pub(crate) fn told(&self, stream: &StreamId) -> u64 {
        self.derived.get(stream).map_or(0, |published| published.len() as u64)
    }
}

/// The snapshot in a head is the state that its events make.
fn snapshot(history: &History) -> Result<Option<Finding>, String> {
    let Some(snapshot) = &history.head.snapshot else { return Ok(None) };
    let at = snapshot.version;
    let state = crate::history::state(history, at)?;
    let expected = if snapshot.schema == 1 { state } else { Ledger { sum: state.sum * 100, ..state } };
    let stands: Ledger = serde_json::from_str(snapshot.state.get()).map_err(|error| error.to_string())?;
    let found = || format!("of schema {} at {at}: {stands:?} instead of {expected:?}", snapshot.schema);
    Ok((stands != expected).then(|| Finding::new(Promise::Snapshot, &history.head.stream, found())))
}
