//! Evidence: what really stands in S3, Kinesis, the archive and the views, gathered for the invariants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::{
    aggregate::Aggregate,
    claim::Claim,
    consume::{Projection, Rules, generations},
    error::StoreError,
    format::{claim::StoredClaim, commit::Commit, key, record::Record, view::View},
    id::{StreamId, Version},
    invariants::{self, Answer, History, Observation, Published, ViewState, Violation},
    load,
    port::{Arrival, Got, Log, Ports, Shard, Start},
    read::{HeadRead, Reader},
};

/// Streams, views or shards that are read at a time.
const AT_A_TIME: usize = 32;
/// Records that one read asks for.
const RECORDS: usize = 10_000;

/// What stands.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Every stream, from its head and pages.
    pub histories: BTreeMap<StreamId, History>,
    /// What arrived in Kinesis of every stream, in order.
    pub published: BTreeMap<StreamId, Published>,
    /// How many records carried it.
    pub records: u64,
    /// Records that are no commits.
    pub strangers: u64,
    /// What the archive holds of every stream, in order.
    pub archive: BTreeMap<StreamId, Vec<Arc<Commit>>>,
    /// The views.
    pub views: Vec<ViewState>,
    /// Unique values, each with a stream whose state holds it.
    pub holders: Vec<(Claim, StreamId)>,
    /// The owner of each claim, by the claim's key.
    pub claims: BTreeMap<String, StreamId>,
}

impl Evidence {
    /// Reads streams and records. Archive and views are added by [`Self::replayed`] and [`Self::projected`].
    pub async fn gather(ports: &Ports) -> Result<Self, StoreError> {
        Self::gather_of(ports, |_| true).await
    }

    /// As [`Self::gather`], of the streams that are wanted alone: where others write at the same time.
    pub async fn gather_of(ports: &Ports, wanted: impl Fn(&StreamId) -> bool) -> Result<Self, StoreError> {
        let reader = Reader::new(ports);
        let keys = reader.keys(key::HEADS).await?;
        let streams = keys.iter().filter_map(|key| key::stream_of_head(key)).filter(&wanted);
        let histories =
            stream::iter(streams).map(|stream| history(&reader, stream)).buffer_unordered(AT_A_TIME);
        let histories: Vec<History> = histories.try_collect().await?;
        let mut evidence = Self::default();
        evidence
            .histories
            .extend(histories.into_iter().map(|history| (history.head.stream.clone(), history)));
        let ours = ports.identity.now(&reader).await?;
        for arrival in arrivals(&*ports.log).await? {
            match Record::decode_of(&arrival.data, ours) {
                Ok(record) if !wanted(&record.stream) => {}
                Ok(record) => {
                    evidence.records += 1;
                    evidence.published.entry(record.stream).or_default().extend(record.commits);
                }
                Err(_) => evidence.strangers += 1,
            }
        }
        Ok(evidence)
    }

    /// Adds what the archive holds.
    pub fn replayed(&mut self, commits: impl IntoIterator<Item = (StreamId, Arc<Commit>)>) {
        for (stream, commit) in commits {
            self.archive.entry(stream).or_default().push(commit);
        }
    }

    /// Reads every view of a projection that keeps a view per stream, beside the fold of that stream.
    pub async fn projected<P: Projection>(
        &mut self,
        ports: &Ports,
        rules: &Rules<P>,
    ) -> Result<(), StoreError> {
        let reader = Reader::new(ports);
        let serving = generations(&reader, P::NAME).await?.serving;
        let fed = self
            .histories
            .values()
            .filter_map(|history| Some((rules.view_key(&history.head.stream)?, history)));
        let views = stream::iter(fed)
            .map(|(view, history)| view_state(&reader, rules, key::view_in(P::NAME, serving, &view), history))
            .buffer_unordered(AT_A_TIME);
        let views: Vec<ViewState> = views.try_collect().await?;
        self.views.extend(views);
        Ok(())
    }

    /// Folds every stream of `A` for the unique values that it holds, and reads all claims.
    pub async fn claimed<A: Aggregate>(&mut self, ports: &Ports) -> Result<(), StoreError> {
        let of_kind = self.histories.iter().filter(|(stream, _)| stream.kind() == A::KIND);
        for (stream, history) in of_kind {
            let state: A = state(history)?;
            self.holders.extend(state.claims().into_iter().map(|claim| (claim, stream.clone())));
        }
        let reader = Reader::new(ports);
        let keys = reader.keys(key::CLAIMS).await?;
        let reads = stream::iter(keys).map(|key| owner(&reader, key)).buffer_unordered(AT_A_TIME);
        let owners: Vec<Option<(String, StreamId)>> = reads.try_collect().await?;
        self.claims.extend(owners.into_iter().flatten());
        Ok(())
    }

    /// Every violation of H1–H6 and H8–H11 that the evidence shows.
    pub fn violations(&self) -> Vec<Violation> {
        let nothing = Published::new();
        let mut found = Vec::new();
        for (stream, history) in &self.histories {
            let published = self.published.get(stream).unwrap_or(&nothing);
            found.extend(invariants::one_history(history));
            found.extend(invariants::committed_once(history));
            found.extend(invariants::one_behind(history, published));
            found.extend(invariants::delivered(history, published));
        }
        for (stream, published) in &self.published {
            found.extend(invariants::facts_only(self.histories.get(stream), stream, published));
            found.extend(invariants::order(stream, published));
        }
        let copies = self.published.iter().chain(&self.archive);
        let copies = copies.flat_map(|(stream, commits)| commits.iter().map(move |commit| (stream, commit)));
        found.extend(invariants::all_or_nothing(&self.histories, copies));
        found.extend(invariants::unique(&self.holders, &self.claims));
        found.extend(invariants::archived_once(&self.histories, &self.archive));
        found.extend(invariants::applied_once(&self.histories, &self.views));
        found
    }

    /// Every violation of H7 and H8 by what callers were told.
    pub fn told(&self, answers: &[Answer], observations: &[Observation]) -> Vec<Violation> {
        let mut found = invariants::own_writes(observations);
        found.extend(invariants::once(&self.histories, answers));
        found
    }

    /// Events that were committed.
    pub fn events(&self) -> u64 {
        self.histories.values().map(|history| history.head.version.get()).sum()
    }

    /// Commits that were committed.
    pub fn commits(&self) -> u64 {
        self.histories.values().map(|history| history.commits.len() as u64).sum()
    }

    /// Commits that arrived more than once, by help or a retry.
    pub fn repeats(&self) -> u64 {
        let repeats = |published: &Published| {
            let firsts: BTreeSet<Version> = published.iter().map(|commit| commit.first).collect();
            (published.len() - firsts.len()) as u64
        };
        self.published.values().map(repeats).sum()
    }
}

/// The state that all events of a stream make.
pub fn state<A: Aggregate>(history: &History) -> Result<A, StoreError> {
    state_at(history, history.head.version)
}

/// The state that the events of a stream through `version` make, snapshots aside.
pub fn state_at<A: Aggregate>(history: &History, version: Version) -> Result<A, StoreError> {
    let mut state = A::default();
    let commits = history.commits.iter().filter(|commit| commit.last <= version);
    load::evolve(&mut state, &history.head.stream, commits)?;
    Ok(state)
}

/// The claim's key and its owner; `None` where none stands.
pub async fn owner(reader: &Reader, key: String) -> Result<Option<(String, StreamId)>, StoreError> {
    let Got::Found { body, .. } = reader.object(&key, None).await? else { return Ok(None) };
    let claim = StoredClaim::decode(&body).map_err(|error| StoreError::corrupt(&key, &error))?;
    Ok(Some((key, claim.owner)))
}

async fn history(reader: &Reader, stream: StreamId) -> Result<History, StoreError> {
    let HeadRead::Found { head, .. } = reader.head(&stream, None).await? else {
        let reason = "it was listed, and does not stand".to_owned();
        return Err(StoreError::Corrupt { key: key::head(&stream), reason });
    };
    let commits = reader.commits(&head, Version::ZERO).await?;
    Ok(History { head: *head, commits })
}

/// Every record that Kinesis still has; of one key in the order of arrival.
pub async fn arrivals(log: &dyn Log) -> Result<Vec<Arrival>, StoreError> {
    let mut arrivals = Vec::new();
    for shard in parents_first(log.shards().await?) {
        let mut cursor = Some(log.cursor(&shard.id, &Start::Oldest).await?);
        while let Some(place) = cursor {
            let batch = log.read(&place, RECORDS).await?;
            let tip = batch.records.is_empty() && batch.behind.is_zero() && !shard.closed;
            arrivals.extend(batch.records);
            cursor = batch.next.filter(|_| !tip);
        }
    }
    Ok(arrivals)
}

/// The shards, none before one that it came from.
pub fn parents_first(mut shards: Vec<Shard>) -> Vec<Shard> {
    let mut ordered: Vec<Shard> = Vec::new();
    while !shards.is_empty() {
        let left: BTreeSet<String> = shards.iter().map(|shard| shard.id.clone()).collect();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            shards.into_iter().partition(|shard| shard.parents.iter().all(|parent| !left.contains(parent)));
        if ready.is_empty() {
            ordered.extend(waiting);
            return ordered;
        }
        ordered.extend(ready);
        shards = waiting;
    }
    ordered
}

/// A view as it is, and what its stream's history makes from the beginning, without delivery, repeats or parking.
async fn view_state<P: Projection>(
    reader: &Reader,
    rules: &Rules<P>,
    key: String,
    history: &History,
) -> Result<ViewState, StoreError> {
    let stream = &history.head.stream;
    let corrupt = |reason: String| StoreError::Corrupt { key: key.clone(), reason };
    let (applied, state) = match reader.object(&key, None).await? {
        Got::Found { body, .. } => {
            let view = View::<Value>::decode(&body).map_err(|error| corrupt(error.to_string()))?;
            (view.applied(stream), view.state)
        }
        Got::Missing | Got::Unchanged => (Version::ZERO, Value::Null),
    };
    let expected = folded(rules, history, applied).map_err(corrupt)?;
    Ok(ViewState { view: key.clone(), stream: stream.clone(), applied, state, expected })
}

/// The state that a stream's history through `applied` makes of a view that it alone feeds.
///
/// # Errors
///
/// Why a commit cannot be folded.
pub fn folded<P: Projection>(rules: &Rules<P>, history: &History, applied: Version) -> Result<Value, String> {
    let mut expected = P::View::default();
    for commit in history.commits.iter().filter(|commit| commit.last <= applied) {
        rules.apply(&mut expected, &history.head.stream, commit).map_err(|error| error.to_string())?;
    }
    serde_json::to_value(expected).map_err(|error| error.to_string())
}
