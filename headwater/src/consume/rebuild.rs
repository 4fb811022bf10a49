//! Rebuilding: a projection's views are made anew, as its next generation, while the old one goes on serving.
//!
//! 1. [`Projector::rebuild`] begins a generation that nobody has written yet, by compare-and-swap of the pointer. From this
//!    moment on every batch that comes in is written to both.
//! 2. [`Rebuild::take`] takes commits in, as the archive has them. What a batch was faster with is skipped, what is missing
//!    is healed: the version rule holds here as everywhere.
//! 3. [`Rebuild::pass`] looks at the head of every stream, and heals what is behind.
//! 4. [`Rebuild::switch`] lets the new generation serve, by compare-and-swap.
//! 5. [`Rebuild::clean`] deletes what served before. What it can't delete serves nobody, and is left to the next rebuild.
//!
//! Why nothing is missing after 4: a commit reaches the new generation with its batch, if that looked at the pointer after 1.
//! A batch that looked before came in before, so its commits stood in their heads before 1, and 3 reads the heads after. It
//! need not have ended: it may be frozen for an hour, and what it writes then is in the old generation only.
//!
//! Every step may be repeated, and a crash leaves a pointer that somebody else can go on from. A second rebuild begins a
//! generation of its own: the first is then told so, [`RebuildError::TakenOver`], and none of its views ever serves. A
//! generation older than the one that serves is never used again, so nobody who deletes it needs to ask who else is there.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;
use tracing::warn;

use super::{
    decode::view_key, generation::FRESH, project::Projector, projection::Projection, rule::StreamCommit,
    work::Work,
};
use crate::{
    error::StoreError,
    format::{commit::Commit, key, pointer::Pointer},
    id::StreamId,
    port::{Got, Keys},
};

/// Views that a rebuild works on at a time.
const VIEWS_AT_A_TIME: usize = 32;
/// After this long no query goes by the pointer of before.
const UNASKED: Duration = FRESH.saturating_mul(2);

/// Where a rebuild begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With a generation of its own. A rebuild that is under way is taken over: what it has made is thrown away.
    Anew,
    /// With the generation that another rebuild has begun and not ended, by the same projection; else anew.
    Resumed,
}

/// What a clean-up came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleaned {
    /// Views that were deleted.
    pub deleted: u64,
    /// Views that could not be: the next clean-up takes them away.
    pub left: u64,
    /// Why the first of them could not be.
    pub cause: Option<String>,
}

/// Why a rebuild ended early. The old views serve as before, but where it says that this is not known.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another rebuild has begun since.
    #[error("generation {0} will not serve: another rebuild has begun since")]
    TakenOver(u32),
    /// The pointer was not answered for: the new generation may serve.
    #[error("it is not known whether generation {generation} serves: {cause}")]
    Unswitched {
        /// The generation.
        generation: u32,
        /// What was answered last.
        cause: StoreError,
    },
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rebuild that is under way.
pub struct Rebuild<'a, P: Projection> {
    projector: &'a Projector<P>,
    generation: u32,
}

impl<P: Projection> Projector<P> {
    /// Begins to rebuild all views. They must be fed by the same projection meanwhile: deploy first, then rebuild.
    pub async fn rebuild(&self, begin: Begin) -> Result<Rebuild<'_, P>, StoreError> {
        let begun = |pointer: Pointer| match (begin, pointer.building) {
            (Begin::Resumed, Some(_)) => Ok::<_, StoreError>(None),
            _ => Ok(Some(pointer.begun())),
        };
        let Pointer { building, serving, .. } = self.generations.change(begun).await?;
        Ok(Rebuild { projector: self, generation: building.unwrap_or(serving) })
    }
}

impl<P: Projection> Rebuild<'_, P> {
    /// The generation that is being built.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes commits in, those of a stream in version order.
    pub async fn take(
        &self,
        commits: impl IntoIterator<Item = (StreamId, Arc<Commit>)>,
    ) -> Result<(), RebuildError> {
        self.still().await?;
        let mut feeds: BTreeMap<String, Vec<StreamCommit>> = BTreeMap::new();
        for (stream, commit) in commits {
            if let Some(key) = view_key(self.projector.projection(), &stream) {
                feeds.entry(key).or_default().push(StreamCommit { stream, commit });
            }
        }
        let writes = feeds.into_iter().map(|(key, commits)| async move {
            self.projector.write(self.generation, &key, &mut Work::Take(&commits)).await.map(drop)
        });
        Ok(stream::iter(writes).buffer_unordered(VIEWS_AT_A_TIME).try_collect().await?)
    }

    /// Looks at every stream's head, and takes in what the new views don't have. `passed` is told the number of streams now and
    /// then; so is the caller in the end.
    pub async fn pass(&self, passed: impl Fn(u64)) -> Result<u64, RebuildError> {
        let mut streams = 0;
        let mut pages = pin!(self.projector.reader.pages(Keys::under(key::HEADS)));
        while let Some(listed) = pages.try_next().await? {
            self.still().await?;
            let mut views: BTreeMap<String, Vec<StreamId>> = BTreeMap::new();
            for stream in listed.iter().filter_map(|listed| key::stream_of_head(&listed.key)) {
                if let Some(key) = view_key(self.projector.projection(), &stream) {
                    views.entry(key).or_default().push(stream);
                    streams += 1;
                }
            }
            let heals = views.into_iter().map(|(key, streams)| async move {
                self.projector.write(self.generation, &key, &mut Work::Heal(&streams)).await.map(drop)
            });
            stream::iter(heals).buffer_unordered(VIEWS_AT_A_TIME).try_collect::<()>().await?;
            passed(streams);
        }
        Ok(streams)
    }

    /// Lets the new generation serve. Call it after [`Self::pass`] only.
    pub async fn switch(&self) -> Result<(), RebuildError> {
        let generation = self.generation;
        let switched = |pointer: Pointer| match pointer {
            Pointer { building: Some(building), .. } if building == generation => {
                Ok(Some(Pointer::new(generation, None)))
            }
            // An answer was lost, or whoever resumed this rebuild was faster.
            Pointer { serving, .. } if serving == generation => Ok(None),
            _ => Err(RebuildError::TakenOver(generation)),
        };
        let changed: Result<_, RebuildError> = self.projector.generations.change(switched).await;
        match changed {
            Ok(_) => Ok(()),
            Err(RebuildError::Store(cause)) => Err(RebuildError::Unswitched { generation, cause }),
            Err(error) => Err(error),
        }
    }

    /// Deletes the views of all generations before the one that serves, once no query goes by an older pointer. `deleted` is
    /// told the number of views now and then. A view that can't be deleted is left, and does no harm; an error is a listing or a
    /// pointer that can't be read, and leaves the rest. The next clean-up takes away what this one has left.
    pub async fn clean(&self, deleted: impl Fn(u64)) -> Result<Cleaned, RebuildError> {
        sleep(UNASKED).await;
        let serving = self.projector.generations.now().await?.pointer.serving;
        let mut cleaned = Cleaned::default();
        for prefix in key::view_prefixes(P::NAME) {
            let mut pages = pin!(self.projector.reader.pages(Keys::under(prefix)));
            while let Some(listed) = pages.try_next().await? {
                let old = |key: &String| key::view_generation(P::NAME, key).is_some_and(|of| of < serving);
                let old = listed.into_iter().map(|listed| listed.key).filter(old);
                let deletes = old.map(|object| self.delete(object)).collect::<Vec<_>>();
                let mut deletes = stream::iter(deletes).buffer_unordered(VIEWS_AT_A_TIME);
                while let Some(view) = deletes.next().await {
                    match view {
                        Ok(gone) => cleaned.deleted += u64::from(gone),
                        Err(cause) => {
                            cleaned.left += 1;
                            cleaned.cause.get_or_insert(cause);
                        }
                    }
                }
                deleted(cleaned.deleted);
            }
        }
        Ok(cleaned)
    }

    /// Deletes one view, also one that a very late batch has just written; false where none is there any more.
    async fn delete(&self, object: String) -> Result<bool, String> {
        let left = |cause: String| {
            warn!(object, cause, "left an old view");
            format!("{object}: {cause}")
        };
        match self.projector.reader.object(&object, None).await.map_err(|error| left(error.to_string()))? {
            Got::Found { etag, .. } => {
                let deleted = self.projector.objects.delete(&object, &etag).await;
                deleted.map(|()| true).map_err(|error| left(error.to_string()))
            }
            Got::Missing | Got::Unchanged => Ok(false),
        }
    }

    /// Whether the generation is still wanted: one that serves already is.
    async fn still(&self) -> Result<(), RebuildError> {
        let Pointer { serving, building, .. } = self.projector.generations.now().await?.pointer;
        if building == Some(self.generation) || serving == self.generation {
            return Ok(());
        }
        Err(RebuildError::TakenOver(self.generation))
    }
}

impl<P: Projection> std::fmt::Debug for Rebuild<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuild").field("projection", &P::NAME).field("generation", &self.generation).finish()
    }
}
