//! H11 from outside: views against what their streams' events make, and how far views and processes are behind.
//!
//! ```text
//! 1. before the heads are read: which views do several streams feed
//! 2. with each stream: the view that it alone feeds is compared with the fold of the stream
//! 3. in the end: each view of several streams is compared with the fold of all of them, one stream after the other
//! 4. and each view that exists and that no stream feeds is found
//! ```
//!
//! What is compared is the generation that serves. Where one is found wrong, another generation may have taken its place
//! meanwhile, and is looked at instead.
//!
//! In memory are eight bytes for each view, the names of the streams that share one, and for each comparison one state and
//! the commits of one stream.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use headwater::{
    StoreError, StreamId, Version,
    consume::{ApplyError, Envelope, Process, Projection, Reads, Rules, generations},
    format::{key, view::View},
    invariants::{History, Invariant},
    port::{Got, Ports},
    read::{HeadRead, Reader},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Finding, What,
    check::{Check, Part},
    differ::places,
};

/// No generation: which one serves was not asked yet.
const UNASKED: u32 = u32::MAX;
/// Views of several streams that are looked at at a time.
const VIEWS_AT_A_TIME: usize = 4;

/// The views of a projection.
#[derive(Debug)]
pub struct Views<P: Projection> {
    rules: Rules<P>,
    judged: Judged,
    /// The generation that served when it was last asked for.
    serving: AtomicU32,
    /// The views that streams feed.
    fed: Mutex<Fed>,
    seen: AtomicU64,
    behind: AtomicU64,
    parked: AtomicU64,
}

/// What of a view is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// How far it is, and what it says.
    State,
    /// How far it is: it says nothing.
    Versions,
}

/// Which views are fed, and by whom.
#[derive(Debug, Default)]
struct Fed {
    /// The hash of each view's key.
    keys: HashSet<u64>,
    /// Those of the views that several streams feed.
    shared: HashSet<u64>,
    /// What was seen of the streams that feed those.
    sharing: BTreeMap<String, Vec<Seen>>,
}

/// A stream as its head was.
#[derive(Debug, Clone)]
struct Seen {
    stream: StreamId,
    version: Version,
    /// Nothing of it may be behind any more.
    old: bool,
}

/// How far a process has come: a view of each stream that it reads, which says nothing else.
#[derive(Debug)]
pub struct Progress<P>(P);

/// Nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Nothing {}

impl<P: Process> Projection for Progress<P> {
    const NAME: &'static str = P::NAME;
    type View = Nothing;
    type Reads = P::Reads;

    fn key(&self, stream: &StreamId) -> Option<String> {
        self.0.reads(stream).then(|| stream.as_str().to_owned())
    }

    fn apply(&self, _: &mut Nothing, _: &Envelope<'_, <P::Reads as Reads>::Event>) -> Result<(), ApplyError> {
        Ok(())
    }
}

impl<P: Process> Views<Progress<P>> {
    /// How far a process has come in each stream that it reads.
    pub fn progress(process: P) -> Self {
        Self { judged: Judged::Versions, ..Self::new(Rules::of(Progress(process))) }
    }
}

impl<P: Projection> Views<P> {
    /// The views that these rules make.
    pub fn new(rules: Rules<P>) -> Self {
        let [seen, behind, parked] = [(); 3].map(|()| AtomicU64::new(0));
        let serving = AtomicU32::new(UNASKED);
        Self { rules, judged: Judged::State, serving, fed: Mutex::default(), seen, behind, parked }
    }

    fn fed<T>(&self, of: impl FnOnce(&mut Fed) -> T) -> T {
        of(&mut self.fed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The generation that serves, as it is now.
    async fn ask(&self, reader: &Reader) -> Result<u32, StoreError> {
        let serving = generations(reader, P::NAME).await?.serving;
        self.serving.store(serving, Ordering::Relaxed);
        Ok(serving)
    }

    /// The generation that served a moment ago.
    async fn serving(&self, reader: &Reader) -> Result<u32, StoreError> {
        match self.serving.load(Ordering::Relaxed) {
            UNASKED => self.ask(reader).await,
            serving => Ok(serving),
        }
    }

    /// Looks at a view that one stream feeds; `None` where others are in it too.
    async fn of_one(
        &self,
        reader: &Reader,
        history: &History,
        seen: &Seen,
        (generation, key): (u32, &str),
    ) -> Result<Option<Vec<Finding>>, StoreError> {
        let key = key::view_in(P::NAME, generation, key);
        let view = match read(reader, &key).await? {
            Read::View(view) => view,
            Read::Missing => return Ok(Some(self.missing(&key, seen).into_iter().collect())),
            Read::Corrupt(finding) => return Ok(Some(vec![finding])),
        };
        let stream = &seen.stream;
        if view.applied.keys().chain(view.parked.keys()).any(|other| other != stream) {
            return Ok(None);
        }
        self.seen.fetch_add(1, Ordering::Relaxed);
        let mut findings: Vec<Finding> = self.lag(&view, &key, seen).into_iter().collect();
        let applied = view.applied(stream);
        if applied > seen.version {
            // The stream may have grown since it was read: then there is nothing to compare with.
            findings.extend(ahead(reader, &key, stream, applied).await?);
            return Ok(Some(findings));
        }
        let mut state = P::View::default();
        findings.extend(match self.fold(&mut state, history, applied) {
            Ok(()) => self.unlike(&key, &view, &state),
            Err(reason) => Some(wrong(&key, format!("{stream} cannot be folded: {reason}"))),
        });
        Ok(Some(findings))
    }

    /// Looks at a view that several streams feed.
    async fn of_several(
        &self,
        reader: &Reader,
        sharing: &[Seen],
        (generation, name): (u32, &str),
    ) -> Result<Vec<Finding>, StoreError> {
        let key = key::view_in(P::NAME, generation, name);
        let view = match read(reader, &key).await? {
            Read::View(view) => view,
            Read::Missing => return Ok(sharing.iter().filter_map(|seen| self.missing(&key, seen)).collect()),
            Read::Corrupt(finding) => return Ok(vec![finding]),
        };
        self.seen.fetch_add(1, Ordering::Relaxed);
        let mut findings: Vec<Finding> =
            sharing.iter().filter_map(|seen| self.lag(&view, &key, seen)).collect();
        let (mut state, mut whole) = (P::View::default(), true);
        for (stream, applied) in &view.applied {
            if self.rules.view_key(stream).as_deref() != Some(name) {
                findings.push(wrong(&key, format!("{stream} is in it, and feeds another view or none")));
                whole = false;
                continue;
            }
            // Read behind the view, so it holds all that was applied.
            let HeadRead::Found { head, .. } = reader.head(stream, None).await? else {
                findings.push(wrong(&key, format!("{stream} is in it, and has no head")));
                whole = false;
                continue;
            };
            if *applied > head.version {
                findings.extend(ahead(reader, &key, stream, *applied).await?);
                whole = false;
                continue;
            }
            let commits = reader.commits(&head, Version::ZERO).await?;
            if let Err(reason) = self.fold(&mut state, &History { head: *head, commits }, *applied) {
                findings.push(wrong(&key, format!("{stream} cannot be folded: {reason}")));
                whole = false;
            }
        }
        findings.extend(whole.then(|| self.unlike(&key, &view, &state)).flatten());
        Ok(findings)
    }

    /// Takes a stream's commits through `applied` into a state.
    fn fold(&self, state: &mut P::View, history: &History, applied: Version) -> Result<(), ApplyError> {
        if self.judged == Judged::Versions {
            return Ok(());
        }
        let stream = &history.head.stream;
        let mut applied = history.commits.iter().filter(|commit| commit.last <= applied);
        applied.try_for_each(|commit| self.rules.apply(state, stream, commit))
    }

    /// What of a view is not what its events make. What a process keeps beside how far it is, no event makes.
    fn unlike(&self, key: &str, view: &View<Value>, state: &P::View) -> Option<Finding> {
        if self.judged == Judged::Versions { None } else { unlike(key, view, state) }
    }

    /// How far a stream is behind in a view, where that is a finding; counted where it is none yet.
    fn lag(&self, view: &View<Value>, key: &str, seen: &Seen) -> Option<Finding> {
        let Seen { stream, version, old } = seen;
        let applied = view.applied(stream);
        let parked = view.parked.contains_key(stream);
        self.parked.fetch_add(u64::from(parked), Ordering::Relaxed);
        self.behind.fetch_add(u64::from(applied < *version), Ordering::Relaxed);
        let found = || wrong(key, format!("{stream} is applied through {applied}, and is at {version}"));
        (applied < *version && *old && !parked).then(found)
    }

    /// A stream that should be in a view, and the view does not exist.
    fn missing(&self, key: &str, seen: &Seen) -> Option<Finding> {
        let Seen { stream, version, old } = seen;
        let feeds = *version > Version::ZERO;
        self.behind.fetch_add(u64::from(feeds), Ordering::Relaxed);
        let found = || wrong(key, format!("{stream} is at {version}, and no view exists"));
        (*old && feeds).then(found)
    }

    /// The views that exist and that no stream feeds.
    async fn unfed(&self, reader: &Reader, generation: u32) -> Result<Vec<Finding>, StoreError> {
        let objects = reader.keys(&key::view_in(P::NAME, generation, "")).await?;
        let mut findings = Vec::new();
        for object in objects {
            let name = key::view_key(P::NAME, generation, &object);
            if name.as_ref().is_some_and(|name| self.fed(|fed| fed.keys.contains(&hash(name)))) {
                continue;
            }
            // Its stream may have begun since the heads were listed.
            match name {
                Some(name) => findings.extend(self.of_several(reader, &[], (generation, &name)).await?),
                None => findings.push(Finding::new(What::Damage, object, "this is no view's key")),
            }
        }
        Ok(findings)
    }
}

#[async_trait]
impl<P: Projection> Check for Views<P> {
    fn covers(&self) -> Vec<Part> {
        vec![Part::Views(P::NAME.to_owned())]
    }

    fn begin(&self, streams: &[StreamId]) {
        let mut fed = Fed::default();
        for key in streams.iter().filter_map(|stream| self.rules.view_key(stream)) {
            let hash = hash(&key);
            if !fed.keys.insert(hash) {
                fed.shared.insert(hash);
            }
        }
        self.fed(|before| *before = fed);
    }

    async fn stream(
        &self,
        reader: &Reader,
        history: &History,
        old: bool,
    ) -> Result<Vec<Finding>, StoreError> {
        let stream = &history.head.stream;
        let Some(key) = self.rules.view_key(stream) else { return Ok(Vec::new()) };
        let seen = Seen { stream: stream.clone(), version: history.head.version, old };
        let share = |seen| self.fed(|fed| fed.sharing.entry(key.clone()).or_default().push(seen));
        if self.fed(|fed| fed.shared.contains(&hash(&key))) {
            share(seen);
            return Ok(Vec::new());
        }
        let mut generation = self.serving(reader).await?;
        loop {
            let Some(findings) = self.of_one(reader, history, &seen, (generation, &key)).await? else {
                share(seen);
                return Ok(Vec::new());
            };
            if findings.is_empty() || self.ask(reader).await? == generation {
                return Ok(findings);
            }
            generation = self.serving.load(Ordering::Relaxed);
        }
    }

    async fn end(&self, reader: &Reader, _: Option<&Ports>) -> Result<Vec<Finding>, StoreError> {
        let mut generation = self.ask(reader).await?;
        let sharing = self.fed(|fed| std::mem::take(&mut fed.sharing));
        loop {
            let looks =
                sharing.iter().map(|(key, sharing)| self.of_several(reader, sharing, (generation, key)));
            let looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(VIEWS_AT_A_TIME);
            let mut findings: Vec<Finding> =
                looks.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
            findings.extend(self.unfed(reader, generation).await?);
            if findings.is_empty() || self.ask(reader).await? == generation {
                return Ok(findings);
            }
            generation = self.serving.load(Ordering::Relaxed);
        }
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let count =
            |what: &str, count: &AtomicU64| (format!("{what} {}", P::NAME), count.load(Ordering::Relaxed));
        BTreeMap::from([
            count("views of", &self.seen),
            count("streams behind in", &self.behind),
            count("parked streams of", &self.parked),
        ])
    }
}

/// A view as it is.
enum Read {
    View(View<Value>),
    Missing,
    Corrupt(Finding),
}

async fn read(reader: &Reader, key: &str) -> Result<Read, StoreError> {
    let Got::Found { body, .. } = reader.object(key, None).await? else { return Ok(Read::Missing) };
    Ok(match View::decode(&body) {
        Ok(view) => Read::View(view),
        Err(error) => Read::Corrupt(Finding::new(What::Damage, key, error.to_string())),
    })
}

fn wrong(key: &str, found: String) -> Finding {
    Finding::promise(Invariant::H11, key, found)
}

/// A view that has more of a stream than there is, also when the stream is read again.
async fn ahead(
    reader: &Reader,
    key: &str,
    stream: &StreamId,
    applied: Version,
) -> Result<Option<Finding>, StoreError> {
    let version = match reader.head(stream, None).await? {
        HeadRead::Found { head, .. } => head.version,
        HeadRead::Missing | HeadRead::Unchanged => Version::ZERO,
    };
    let found = || wrong(key, format!("{stream} is applied through {applied}, and is at {version}"));
    Ok((applied > version).then(found))
}

/// A view that is not what its streams' events make.
fn unlike<S: Serialize>(key: &str, view: &View<Value>, state: &S) -> Option<Finding> {
    let expected = serde_json::to_value(state).unwrap_or_default();
    let found = || wrong(key, format!("it is not what its events make: {}", places(&view.state, &expected)));
    (view.state != expected).then(found)
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
