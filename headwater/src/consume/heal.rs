//! Healing: what delivery lost is read from the stream's head, and from its pages.
//!
//! 1. Every gap of a plan is one read of a head; a view's heads are read at the same time, each at most once per batch.
//! 2. The commits after the view's version take the gap's place in the plan; the records that showed the gap need nothing
//!    more, since the head was read after they were published.
//! 3. A head or page that cannot be read as one parks the stream, and so does a head that is shorter than its records say:
//!    a record that S3 does not hold is no fact (H3). What the head has is applied before. `unpark` then goes by the head.
//!
//! A head that is not answered is a failure of the world: [`StoreError::Unavailable`], [`StoreError::Denied`].

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};

use super::rule::{Planned, Step, StreamCommit, Verdict, judge, overlap};
use crate::{
    error::StoreError,
    format::commit::Commit,
    id::{StreamId, Version},
    read::{HeadRead, Reader},
};

/// Heads that one view reads at a time.
const HEADS_AT_A_TIME: usize = 8;

/// What the heads of a view's streams had, for as long as one batch takes.
#[derive(Debug, Default)]
pub(super) struct Heads(HashMap<StreamId, Tail>);

/// The commits of a stream after `after`.
#[derive(Debug, Clone)]
struct Tail {
    after: Version,
    /// The head's version and the commits; or why they cannot be read as such.
    found: Result<(Version, Vec<Arc<Commit>>), String>,
}

impl Heads {
    /// Puts the missing commits into the gaps of a plan.
    pub(super) async fn heal(
        &mut self,
        reader: &Reader,
        planned: Vec<Planned>,
    ) -> Result<Vec<Step>, StoreError> {
        let wanted: Vec<_> = planned.iter().filter_map(|step| self.wanted(step)).collect();
        let reads = wanted.into_iter().map(|(stream, after)| async move {
            let tail = read(reader, &stream, after).await?;
            Ok::<_, StoreError>((stream, tail))
        });
        let tails: Vec<_> = stream::iter(reads).buffered(HEADS_AT_A_TIME).try_collect().await?;
        self.0.extend(tails);

        let mut steps = Vec::with_capacity(planned.len());
        for planned in planned {
            match planned {
                Planned::Step(step) => steps.push(step),
                Planned::Heal { stream, after, claimed } => self.fill(&stream, after, claimed, &mut steps),
            }
        }
        Ok(steps)
    }

    /// The version that a stream's head told, if it was read.
    pub(super) fn version(&self, stream: &StreamId) -> Option<Version> {
        self.0.get(stream)?.found.as_ref().ok().map(|(version, _)| *version)
    }

    /// The head that a step needs and that is not here yet, or not from early enough on.
    fn wanted(&self, planned: &Planned) -> Option<(StreamId, Version)> {
        let Planned::Heal { stream, after, .. } = planned else { return None };
        let here = self.0.get(stream).is_some_and(|tail| tail.after <= *after);
        (!here).then(|| (stream.clone(), *after))
    }

    /// The steps that take a stream from `after` to its head.
    fn fill(&self, stream: &StreamId, after: Version, claimed: Version, steps: &mut Vec<Step>) {
        let park = |version: Version, error: String| Step::Park { stream: stream.clone(), version, error };
        let Some(tail) = self.0.get(stream) else { return };
        let commits = match &tail.found {
            Ok((_, commits)) => commits,
            Err(reason) => return steps.push(park(after.next(), reason.clone())),
        };
        let mut applied = after;
        for commit in commits {
            match judge(applied, commit.first, commit.last) {
                Verdict::Skip => {}
                Verdict::Apply => {
                    applied = commit.last;
                    steps.push(Step::Apply(StreamCommit {
                        stream: stream.clone(),
                        commit: Arc::clone(commit),
                    }));
                }
                Verdict::Gap | Verdict::Overlap => {
                    return steps.push(overlap(stream.clone(), applied, commit));
                }
            }
        }
        if applied < claimed {
            let error = format!("a record tells of version {claimed}, and the head ends at {applied} (H3)");
            steps.push(park(applied.next(), error));
        }
    }
}

/// Reads what a stream has after a version.
async fn read(reader: &Reader, stream: &StreamId, after: Version) -> Result<Tail, StoreError> {
    let found = match reader.head(stream, None).await {
        Ok(HeadRead::Found { head, .. }) => {
            reader.commits(&head, after).await.map(|commits| (head.version, commits))
        }
        Ok(HeadRead::Missing | HeadRead::Unchanged) => Ok((Version::ZERO, Vec::new())),
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => Ok(Tail { after, found: Ok(found) }),
        Err(StoreError::Corrupt { key, reason }) => {
            Ok(Tail { after, found: Err(format!("{key} is corrupt: {reason}")) })
        }
        Err(error) => Err(error),
    }
}
