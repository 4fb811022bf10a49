//! Claims: a unique value has at most one stream whose state holds it (H9).
//!
//! Whoever gains a value writes the claim to it, and commits then:
//!
//! ```text
//! 1. the head that the commit will replace is known                                        lane
//! 2. PUT the claim with a fresh attempt id, If-None-Match: *      nobody has it: go to 6
//! 3. GET the claim
//!      ours, from before              PUT it anew, If-Match        it may have been fenced since
//!      another stream's               load that stream
//!        it holds the value           Taken
//!        not, and the claim is young  it is on its way: look again shortly
//!        not, and it is old           4
//! 4. raise the fence in the owner's head, If-Match: a commit that is still in flight there loses. Its newest write is
//!    published before (`Head::published` says why)
//! 5. PUT the claim as ours, If-Match: lost, and 3 again
//! 6. commit
//! 7. DELETE the claims to the values that were dropped, each If-Match what it was before the commit
//! ```
//!
//! - 2 to 5 come after 1, always: an owner that was fenced has another head, so its commit loses, it decides anew, and
//!   writes its claim anew. Without that, two streams can hold one value.
//! - What 7 deletes was read before the commit. Whoever gains the value again, on top of that commit, writes the claim anew,
//!   and the `DELETE` misses it.
//! - Nothing else is ever deleted, not even the claim of a command that failed: another process that writes the same
//!   stream may count on it. A claim that was left behind frees itself in 4, when somebody wants the value.
//!
//! Time decides only how long a contender is patient. The age of a claim is told by S3's time of it and the contender's
//! clock.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    cache::{Cache, Known},
    help::Help,
};
use crate::{
    aggregate::Aggregate,
    claim::Claim,
    error::StoreError,
    format::{claim::StoredClaim, key},
    id::StreamId,
    load::{self, Folded},
    port::{Clock, ETag, Entropy, Got, ObjectError, Objects, Ports, Precondition, backoff},
    read::Reader,
};

/// How long a command waits for somebody else's claim to become a commit; the commands of its stream wait with it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the claims of dropped values may take to be deleted.
const RELEASE: Duration = Duration::from_secs(5);

/// Writes claims.
pub(crate) struct Claims {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    reader: Reader,
    cache: Arc<Cache>,
    help: Arc<Help>,
    patience: SignedDuration,
}

/// What came of an attempt.
enum Attempt {
    /// The claim is ours.
    Ours(ETag),
    /// Not yet, for this reason.
    Again(String),
}

impl Claims {
    pub(super) fn new(
        ports: &Ports,
        reader: Reader,
        cache: Arc<Cache>,
        help: Arc<Help>,
        patience: Duration,
    ) -> Self {
        Self {
            objects: Arc::clone(&ports.objects),
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
            reader: reader.with_patience(PATIENCE),
            cache,
            help,
            patience: SignedDuration::try_from(patience).unwrap_or(SignedDuration::MAX),
        }
    }

    /// Makes the claim `owner`'s, in an attempt of its own. The head that the commit will replace must be known before.
    pub(super) async fn gain<A: Aggregate>(
        &self,
        owner: &StreamId,
        claim: &Claim,
        deadline: Instant,
    ) -> Result<ETag, StoreError> {
        claim.check()?;
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let key = key::claim(claim);
        let attempt = self.entropy.unique();
        let stored = StoredClaim::new(owner.clone(), attempt.clone(), self.clock.now());
        let body = stored.encode().map_err(|error| StoreError::corrupt(&key, &error))?;
        let mut pauses = backoff(&*self.entropy, Duration::from_millis(20), Duration::from_secs(1));
        // Where nothing has it, or it is ours from before, the second attempt need not wait.
        let (mut only, mut again) = (Precondition::Absent, false);
        loop {
            let reason = match self.put(&key, &body, only, deadline).await? {
                Attempt::Ours(etag) => return Ok(etag),
                Attempt::Again(reason) => reason,
            };
            let mut reason = format!("the claim to a {} was not written: {reason}", claim.set());
            only = Precondition::Absent;
            if let Got::Found { body, etag, modified } = self.reader.object(&key, None).await? {
                let StoredClaim { owner: of, attempt: by, .. } =
                    StoredClaim::decode(&body).map_err(|error| StoreError::corrupt(&key, &error))?;
                if by == attempt {
                    return Ok(etag);
                }
                if of == *owner || self.contest::<A>(claim, &of, modified, deadline).await? {
                    only = Precondition::Matches(etag);
                } else {
                    reason = format!("another stream is about to take the {}: retry shortly", claim.set());
                    again = true;
                }
            }
            if again {
                let pause = pauses.next().unwrap_or_default();
                if Instant::now() + pause >= deadline {
                    return Err(StoreError::Unavailable(reason.into()));
                }
                sleep(pause).await;
            }
            again = true;
        }
    }

    /// Whether another stream's claim may be replaced: its owner does not hold the value, and cannot come to hold it by a
    /// commit that is in flight. [`StoreError::Taken`] where it holds the value.
    async fn contest<A: Aggregate>(
        &self,
        claim: &Claim,
        owner: &StreamId,
        modified: Timestamp,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        let known = self.holder::<A>(claim, owner).await?;
        let age = self.clock.now().duration_since(modified);
        if age < self.patience {
            return Ok(false);
        }
        self.help.publish(&known, deadline).await?;
        let mut head = (*known.head).clone();
        head.raise_fence(self.entropy.unique());
        let key = key::head(owner);
        let body = head.encode().map_err(|error| StoreError::corrupt(&key, &error))?;
        let only = known.etag.clone().map_or(Precondition::Absent, Precondition::Matches);
        match self.put(&key, &body, only, deadline).await? {
            Attempt::Ours(etag) => {
                tracing::info!(stream = %owner, fence = head.fence, set = claim.set(), "fenced: its claim was left behind");
                self.cache.keep(Known { state: known.state, ..Known::new(head, etag, None) });
                Ok(true)
            }
            Attempt::Again(_) => Ok(false),
        }
    }

    /// The owner's newest head, whose state does not hold the value; [`StoreError::Taken`] where it does.
    async fn holder<A: Aggregate>(&self, claim: &Claim, owner: &StreamId) -> Result<Known, StoreError> {
        if owner.kind() != A::KIND {
            let reason = format!("{owner} has it, and a set of unique values belongs to one kind");
            return Err(StoreError::Corrupt { key: key::shown(&key::claim(claim)).into_owned(), reason });
        }
        let known = self.cache.refresh(&self.reader, owner, self.cache.get(owner)).await?;
        let state = match known.state::<A>() {
            Some(state) => state.clone(),
            None => load::fold::<A>(&self.reader, &known.head, known.head.version).await?,
        };
        if load::guard(owner, || state.claims())?.contains(claim) {
            return Err(StoreError::Taken { set: claim.set(), value: claim.value().to_owned() });
        }
        Ok(Known { state: Some(Arc::new(Folded(state))), ..known })
    }

    /// The stream whose state holds the value now, if there is one.
    pub(crate) async fn held_by<A: Aggregate>(&self, claim: &Claim) -> Result<Option<StreamId>, StoreError> {
        claim.check()?;
        let key = key::claim(claim);
        let Got::Found { body, .. } = self.reader.object(&key, None).await? else { return Ok(None) };
        let stored = StoredClaim::decode(&body).map_err(|error| StoreError::corrupt(&key, &error))?;
        match self.holder::<A>(claim, &stored.owner).await {
            Ok(_) => Ok(None),
            Err(StoreError::Taken { .. }) => Ok(Some(stored.owner)),
            Err(error) => Err(error),
        }
    }

    /// The claim of a value that `owner` holds and is about to drop, as it stands before the commit; `None` where it is not
    /// there, or could not be read: then it is left behind, and frees itself.
    pub(super) async fn standing(&self, owner: &StreamId, claim: &Claim) -> Option<ETag> {
        match self.objects.get(&key::claim(claim), None).await {
            Ok(Got::Found { body, etag, .. }) => {
                let owned = StoredClaim::decode(&body).is_ok_and(|stored| stored.owner == *owner);
                owned.then_some(etag)
            }
            _ => None,
        }
    }

    /// Deletes claims to values that a commit has dropped, as far as they are what they were before it.
    pub(super) async fn release(&self, dropped: Vec<(Claim, ETag)>) {
        let deadline = Instant::now() + RELEASE;
        let delete = |(claim, etag): (Claim, ETag)| async move {
            match timeout_at(deadline, self.objects.delete(&key::claim(&claim), &etag)).await {
                Ok(Ok(()) | Err(ObjectError::Precondition)) => {}
                // It frees itself when somebody wants the value.
                other => tracing::debug!(set = claim.set(), ?other, "a claim was left behind"),
            }
        };
        join_all(dropped.into_iter().map(delete)).await;
    }

    /// One conditional write; what is unknown is looked at by the caller.
    async fn put(
        &self,
        key: &str,
        body: &Bytes,
        only: Precondition,
        deadline: Instant,
    ) -> Result<Attempt, StoreError> {
        Ok(match timeout_at(deadline, self.objects.put(key, body.clone(), only)).await {
            Ok(Ok(etag)) => Attempt::Ours(etag),
            Ok(Err(error @ ObjectError::Refused(_))) => return Err(error.into()),
            Ok(Err(error)) => Attempt::Again(error.to_string()),
            Err(_) => Attempt::Again("no answer in time".to_owned()),
        })
    }
}
