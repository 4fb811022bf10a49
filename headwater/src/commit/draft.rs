//! A draft: the head that a round will try to write, growing with every decision.

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;

use super::{
    cache::{Known, State},
    claim::Claims,
    ids::{Back, Ids},
};
use crate::{
    aggregate::Aggregate,
    claim::Claim,
    error::StoreError,
    format::{attempt::Attempt, commit::Commit, head::Head},
    id::{CommitId, Version},
    limits,
    port::ETag,
    read::Reader,
};

/// The base of a round, and the commits that were decided on top of it.
pub(crate) struct Draft {
    pub(super) base: Known,
    /// The base was read after the commands of this round came in.
    pub(super) fresh: bool,
    pub(super) commits: Vec<Arc<Commit>>,
    /// The state after the commits, if somebody folded it.
    pub(super) state: Option<Arc<dyn State>>,
    /// Claims to values that the drafted commits gain or drop, each as it stands.
    claims: HashMap<Claim, ETag>,
    /// The unique values that the state after the commits holds, where they are others than before.
    held: Vec<Claim>,
    bytes: usize,
    /// Where each commit stands, committed or drafted, once a second one is looked for: a group of hundreds asks as often.
    places: Option<HashMap<CommitId, (Version, Version)>>,
    /// Of the commits that have moved to pages.
    ids: Arc<Ids>,
    /// The first drafted commit has an id that a caller gave: another attempt may make one that is equal.
    given: bool,
}

impl Draft {
    pub(super) fn new(base: Known, fresh: bool, ids: Arc<Ids>) -> Self {
        let state = base.state.clone();
        let bytes = envelope(&base.head);
        Self {
            base,
            fresh,
            commits: Vec::new(),
            state,
            claims: HashMap::new(),
            held: Vec::new(),
            bytes,
            places: None,
            ids,
            given: false,
        }
    }

    /// It stands on nothing that was ever read: only where no stream is expected.
    pub(super) fn is_presumed(&self) -> bool {
        !self.fresh && self.base.etag.is_none()
    }

    /// The version that the next decision stands on.
    pub(super) fn version(&self) -> Version {
        self.commits.last().map_or(self.base.head.version, |commit| commit.last)
    }

    /// The commit that the next decision stands on.
    pub(super) fn newest(&self) -> Option<&Commit> {
        // The newest write never leaves the head.
        self.commits.last().or(self.base.head.commits.last()).map(AsRef::as_ref)
    }

    /// The versions of the newest commit with this id, drafted, or committed as far back as is asked for.
    pub(super) async fn find(
        &mut self,
        reader: &Reader,
        id: &CommitId,
        back: Back,
    ) -> Result<Option<(Version, Version)>, StoreError> {
        let found = match self.place(id) {
            Some(place) => Some(place),
            None => self.ids.find(reader, &self.base, id, back).await?,
        };
        let wanted = |(first, _): &(Version, Version)| !matches!(back, Back::After(after) if *first <= after);
        Ok(found.filter(wanted))
    }

    /// The versions of the newest commit with this id in the head or in the draft.
    fn place(&mut self, id: &CommitId) -> Option<(Version, Version)> {
        let Self { base, commits, places, .. } = self;
        if commits.is_empty() {
            return base.head.find(id);
        }
        places
            .get_or_insert_with(|| {
                let commits = base.head.commits.iter().chain(commits.iter());
                commits.map(|commit| (commit.id.clone(), (commit.first, commit.last))).collect()
            })
            .get(id)
            .copied()
    }

    /// The commit, committed or drafted, that begins at `first`.
    pub(super) async fn commit_at(
        &self,
        reader: &Reader,
        first: Version,
    ) -> Result<Option<Arc<Commit>>, StoreError> {
        match self.commits.iter().find(|commit| commit.first == first) {
            Some(commit) => Ok(Some(Arc::clone(commit))),
            None => reader.commit_at(&self.base.head, first).await,
        }
    }

    /// The bytes that one more commit takes of the record that publishes the round; `None` where it has no room for it.
    ///
    /// A commit that would not fit a record of its own is [`StoreError::Invalid`]: Kinesis would refuse it for ever.
    pub(super) fn room(&self, commit: &Commit) -> Result<Option<usize>, StoreError> {
        let bytes = record_bytes(commit)?;
        let alone = bytes + envelope(&self.base.head);
        if alone > limits::RECORD_BYTES {
            let rule = format!("makes a record of {alone} bytes, the most is {}", limits::RECORD_BYTES);
            return Err(StoreError::Invalid { field: "events", rule });
        }
        Ok((self.bytes + bytes <= limits::RECORD_BYTES).then_some(bytes))
    }

    /// Adds a commit that there is room for; its id was `given`, or drawn for it alone.
    pub(super) fn push(&mut self, commit: Arc<Commit>, bytes: usize, given: bool) {
        self.bytes += bytes;
        self.given = if self.commits.is_empty() { given } else { self.given };
        if let Some(places) = &mut self.places {
            places.insert(commit.id.clone(), (commit.first, commit.last));
        }
        self.commits.push(commit);
    }

    /// Writes the claims to what the next commit gains, `before` and `after` it, and notes those to what it drops.
    pub(super) async fn claim<A: Aggregate>(
        &mut self,
        claims: &Claims,
        before: &[Claim],
        after: Vec<Claim>,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let stream = &self.base.head.stream;
        for gained in after.iter().filter(|claim| !before.contains(claim)) {
            let etag = claims.gain::<A>(stream, gained, deadline).await?;
            self.claims.insert(gained.clone(), etag);
        }
        for dropped in before.iter().filter(|claim| !after.contains(claim)) {
            if !self.claims.contains_key(dropped)
                && let Some(etag) = claims.standing(stream, dropped).await
            {
                self.claims.insert(dropped.clone(), etag);
            }
        }
        self.held = after;
        Ok(())
    }

    /// The claims to values that the drafted commits leave unheld, as they stood before those commits.
    pub(super) fn dropped(&mut self) -> Vec<(Claim, ETag)> {
        let claims = std::mem::take(&mut self.claims).into_iter();
        claims.filter(|(claim, _)| !self.held.contains(claim)).collect()
    }

    /// What tells this attempt of 128 fresh bits from another whose commits are equal to the byte; `None` where none can be,
    /// because the id of the first commit was drawn for it.
    pub(super) fn attempt(&self, bits: u128) -> Option<Attempt> {
        self.given.then(|| Attempt::new(self.base.head.version.next(), (bits >> 64) as u64))
    }

    /// The head with the drafted commits, under a fresh write id.
    pub(super) fn head(&self, write: String, attempt: Option<Attempt>) -> Head {
        let mut head = (*self.base.head).clone();
        head.write = write;
        head.attempts.extend(attempt);
        head.push(self.commits.iter().cloned());
        head
    }
}

/// The most bytes that the record's fields take beside its commits, with its partition key.
fn envelope(head: &Head) -> usize {
    // The stream stands in the record and in the key, and JSON may escape a character sixfold. The store's id has 64 bytes at most.
    208 + 8 * head.stream.as_str().len()
}

/// The most bytes that a commit adds to a record.
fn record_bytes(commit: &Commit) -> Result<usize, StoreError> {
    let invalid = |cause: serde_json::Error| StoreError::Invalid { field: "events", rule: cause.to_string() };
    let types: usize = commit.events.iter().map(|event| 6 * event.name.len() + 3).sum();
    Ok(serde_json::to_vec(commit).map_err(invalid)?.len() + 1 + types)
}
