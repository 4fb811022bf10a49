//! What stands: the objects and the records of one moment, with the promises that must hold of it whatever comes next.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use headwater::{
    StreamId,
    format::{commit::Commit, head::Head, key, page::Page, record::Record},
    invariants::{self, History, Published},
    memory::{ManualClock, MemoryObjects},
    port::{Entry, Got, ObjectError, Objects, Precondition},
};

use super::request::{Answer, Request, now};

/// One moment of the world.
pub(super) struct Standing {
    objects: MemoryObjects,
    pub(super) histories: BTreeMap<StreamId, History>,
    pub(super) published: BTreeMap<StreamId, Published>,
}

/// What makes two moments equal: the objects with their `ETag`s, and the records without those that only repeat. A
/// repeat is checked when it arrives, nobody reads it, and no promise is about it.
#[derive(PartialEq, Eq, Hash)]
struct Content {
    objects: Vec<(String, Bytes, String)>,
    records: Vec<Entry>,
}

/// Every moment that was reached.
pub(super) struct Moments {
    places: HashMap<Content, u32>,
    all: Vec<Arc<Standing>>,
    records: Vec<Vec<Entry>>,
    /// What a request does to a moment.
    effects: HashMap<(u32, u32), Effect>,
    /// No precondition is heeded.
    lawless: bool,
}

/// What came of a request.
#[derive(Clone)]
pub(super) struct Effect {
    pub(super) answer: Answer,
    pub(super) after: u32,
}

/// The moment at the beginning of all.
pub(super) const EMPTY: u32 = 0;

impl Moments {
    pub(super) fn new(lawless: bool) -> Self {
        let standing = Standing {
            objects: MemoryObjects::new(Arc::new(ManualClock::standing())),
            histories: BTreeMap::new(),
            published: BTreeMap::new(),
        };
        let content = Content { objects: Vec::new(), records: Vec::new() };
        Self {
            places: HashMap::from([(content, EMPTY)]),
            all: vec![Arc::new(standing)],
            records: vec![Vec::new()],
            effects: HashMap::new(),
            lawless,
        }
    }

    pub(super) fn get(&self, moment: u32) -> &Arc<Standing> {
        &self.all[moment as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// What `request`, of this `name`, does at `moment`; says which promises it breaks.
    pub(super) fn effect(
        &mut self,
        moment: u32,
        name: u32,
        request: &Request,
    ) -> Result<Effect, Vec<String>> {
        if let Some(effect) = self.effects.get(&(moment, name)) {
            return Ok(effect.clone());
        }
        let effect = self.perform(moment, request)?;
        self.effects.insert((moment, name), effect.clone());
        Ok(effect)
    }

    /// Whether a request that is in the air at `moment` can have an effect, then or ever after: no `ETag` comes back, and
    /// heads and pages are never deleted.
    pub(super) fn may_matter(&self, moment: u32, request: &Request) -> bool {
        let standing = self.get(moment);
        match request {
            Request::Get { .. } => false,
            Request::PutRecords(_) => true,
            Request::Put { .. } if self.lawless => true,
            Request::Put { key, only, .. } => match (only, now(standing.objects.get(key, None))) {
                (Precondition::Absent, Ok(Got::Missing)) => true,
                (Precondition::Matches(etag), Ok(Got::Found { etag: stands, .. })) => *etag == stands,
                _ => false,
            },
        }
    }

    fn perform(&mut self, moment: u32, request: &Request) -> Result<Effect, Vec<String>> {
        let before = Arc::clone(self.get(moment));
        match request {
            Request::Get { key, known } => {
                let got = now(before.objects.get(key, known.as_ref()));
                let got = got.map_err(|error| vec![format!("reading {key}: {error}")])?;
                Ok(Effect { answer: Answer::Got(got), after: moment })
            }
            Request::Put { key, body, only } => {
                let objects = before.objects.copy();
                let put = if self.lawless {
                    Ok(objects.insert(key, body.clone()))
                } else {
                    now(objects.put(key, body.clone(), only.clone()))
                };
                if let Err(ObjectError::Unknown(reason) | ObjectError::Refused(reason)) = &put {
                    return Err(vec![format!("writing {key}: {reason}")]);
                }
                let after = if put.is_ok() {
                    let records = self.records[moment as usize].clone();
                    self.enter(&before, objects, records)?
                } else {
                    moment
                };
                Ok(Effect { answer: Answer::Put(put), after })
            }
            Request::PutRecords(entries) => {
                let mut records = self.records[moment as usize].clone();
                records.extend(entries.iter().cloned());
                let after = self.enter(&before, before.objects.copy(), records)?;
                Ok(Effect { answer: Answer::Records(vec![true; entries.len()]), after })
            }
        }
    }

    /// Notes a moment, if all promises hold there.
    fn enter(
        &mut self,
        before: &Standing,
        objects: MemoryObjects,
        records: Vec<Entry>,
    ) -> Result<u32, Vec<String>> {
        let (published, records) = arrivals(records).map_err(|error| vec![error])?;
        let standing =
            Standing { histories: histories(&objects).map_err(|error| vec![error])?, objects, published };
        let violations = broken(before, &standing);
        if !violations.is_empty() {
            return Err(violations);
        }
        let content = Content { objects: content(&standing.objects), records };
        if let Some(place) = self.places.get(&content) {
            return Ok(*place);
        }
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.records.push(content.records.clone());
        self.all.push(Arc::new(standing));
        self.places.insert(content, place);
        Ok(place)
    }
}

fn content(objects: &MemoryObjects) -> Vec<(String, Bytes, String)> {
    let etag = |key: &str| match now(objects.get(key, None)) {
        Ok(Got::Found { etag, .. }) => etag.0,
        _ => String::new(),
    };
    objects.all("").into_iter().map(|(key, body)| (key.clone(), body, etag(&key))).collect()
}

/// The histories of all streams, from heads and pages.
fn histories(objects: &MemoryObjects) -> Result<BTreeMap<StreamId, History>, String> {
    let mut histories = BTreeMap::new();
    for (key, body) in objects.all(key::HEADS) {
        let head = Head::decode(&body).map_err(|error| format!("{key}: {error}"))?;
        let history = History::join(head, |key| {
            let Ok(Got::Found { body, .. }) = now(objects.get(key, None)) else {
                return Err(format!("the head names the page {key}, which does not stand"));
            };
            Ok(Page::decode(&body).map_err(|error| format!("{key}: {error}"))?.commits)
        })?;
        histories.insert(history.head.stream.clone(), history);
    }
    Ok(histories)
}

/// What has arrived of each stream, and the records that were no mere repeats.
fn arrivals(records: Vec<Entry>) -> Result<(BTreeMap<StreamId, Published>, Vec<Entry>), String> {
    let mut published: BTreeMap<StreamId, Published> = BTreeMap::new();
    let mut kept = Vec::new();
    for entry in records {
        let record = Record::decode(&entry.data).map_err(|error| error.to_string())?;
        if entry.key != record.stream.as_str() {
            return Err(format!("a record of {} has the key {}", record.stream, entry.key));
        }
        let arrived = published.entry(record.stream).or_default();
        let repeats = record.commits.iter().all(|commit| arrived.contains(commit));
        arrived.extend(record.commits);
        if !repeats {
            kept.push(entry);
        }
    }
    Ok((published, kept))
}

/// H1 to H5, and that what was committed stands as it stood.
fn broken(before: &Standing, standing: &Standing) -> Vec<String> {
    let mut violations = Vec::new();
    let none = Vec::new();
    for (stream, history) in &standing.histories {
        let published = standing.published.get(stream).unwrap_or(&none);
        violations.extend(invariants::one_history(history));
        violations.extend(invariants::committed_once(history));
        violations.extend(invariants::one_behind(history, published));
        if let Some(before) = before.histories.get(stream) {
            violations.extend(invariants::only_grown(before, history));
        }
    }
    for (stream, published) in &standing.published {
        violations.extend(invariants::facts_only(standing.histories.get(stream), stream, published));
        violations.extend(invariants::order(stream, published));
    }
    let copies = standing.published.iter().flat_map(|(stream, commits): (_, &Vec<Arc<Commit>>)| {
        commits.iter().map(move |commit| (stream, commit))
    });
    violations.extend(invariants::all_or_nothing(&standing.histories, copies));
    violations.iter().map(ToString::to_string).collect()
}
