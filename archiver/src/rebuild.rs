//! Rebuilding a projection from the archive: the steps of [`headwater::consume::Rebuild`], one after the other.
//!
//! ```text
//! 1. begin      a new generation of views, beside the one that serves
//! 2. archive    every commit of the archive goes in, shards side by side, a chunk at a time while the next is read
//! 3. heads      every stream's head is looked at, for what the archive does not have yet
//! 4. switch     the new generation serves
//! 5. clean      the old views are deleted
//! ```
//!
//! What is held in memory is two chunks, beside what a replay holds. The archive may lag, and even lack a commit: step 3 asks
//! the streams themselves.
//!
//! A projection that forwards publishes what it derives once more, to the letter; its consumers know a repeat by its version.
//!
//! A binary that has its own projection rebuilds it so:
//!
//! ```no_run
//! # use std::sync::Arc;
//! use archiver::{rebuild::{Options, rebuild}, replay::Replay};
//! # use headwater::{consume::{Projection, Projector}, port::{Objects, Ports}};
//! # async fn example<P: Projection>(mine: P, ports: Ports, archive: Arc<dyn Objects>) -> Result<(), Box<dyn std::error::Error>> {
//! let projector = Projector::new(mine, &ports);
//! let replay = Replay::new(archive, Arc::clone(&ports.entropy), "headwater").kind("account");
//! let rebuilt = rebuild(&projector, &replay, Options::default(), |progress| println!("{progress:?}")).await?;
//! println!("generation {} serves", rebuilt.generation);
//! # Ok(())
//! # }
//! ```

use std::{pin::pin, sync::Arc};

use futures::{Stream, StreamExt};
use headwater::{
    StreamId,
    consume::{Begin, Projection, Projector, RebuildError},
    format::commit::Commit,
};

use crate::{
    chain::ChainError,
    replay::{Replay, Replayed},
};

/// Bytes of event data in a chunk.
const CHUNK_BYTES: usize = 16 << 20;
/// Commits in a chunk. The more there are, the fewer writes does a view take.
const CHUNK_COMMITS: usize = 20_000;

/// How a projection is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Where to begin.
    pub begin: Begin,
    /// Leave the views that served before where they are.
    pub keep: bool,
}

impl Default for Options {
    /// Anew, and the old views are deleted.
    fn default() -> Self {
        Self { begin: Begin::Anew, keep: false }
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The archive is read.
    Archive {
        /// Segments that were read, some of them ahead.
        segments: u64,
        /// Segments that there were in the beginning.
        of: u64,
        /// Events that the views have taken in or skipped.
        events: u64,
    },
    /// Heads are looked at: so many so far.
    Heads(u64),
    /// The new views serve.
    Switched,
    /// Old views are deleted: so many so far.
    Deleted(u64),
}

/// What was rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt {
    /// The generation that serves now.
    pub generation: u32,
    /// Commits of the archive.
    pub commits: u64,
    /// Their events.
    pub events: u64,
    /// Streams whose heads were looked at.
    pub streams: u64,
    /// Views that were deleted.
    pub deleted: u64,
    /// Old views that could not be deleted, and why: the new ones serve, and the next rebuild takes these away.
    pub left: Option<String>,
}

/// Why a projection was not rebuilt. The old views serve, but for [`RebuildError::Unswitched`], which does not know.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive can't be read.
    #[error(transparent)]
    Archive(#[from] ChainError),
    /// The store could not, or another rebuild was begun.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
}

/// Rebuilds all views of a projection. `replay` may leave out what the projection does not read. Whoever stops this at any
/// point may begin again.
pub async fn rebuild<P: Projection>(
    projector: &Projector<P>,
    replay: &Replay,
    options: Options,
    progress: impl Fn(Progress),
) -> Result<Rebuilt, Error> {
    let rebuild = projector.rebuild(options.begin).await.map_err(RebuildError::from)?;
    let mut rebuilt = Rebuilt { generation: rebuild.generation(), ..Rebuilt::default() };
    let of = replay.segments().await?;
    let (commits, read) = replay.followed();
    let mut commits = pin!(commits);
    let mut chunk = next(&mut commits).await?;
    while let Some(Chunk { commits: taken, events }) = chunk.take() {
        rebuilt.commits += taken.len() as u64;
        rebuilt.events += events;
        let (taken, following) = tokio::join!(rebuild.take(taken), next(&mut commits));
        taken?;
        chunk = following?;
        progress(Progress::Archive { segments: read.segments(), of, events: rebuilt.events });
    }
    rebuilt.streams = rebuild.pass(|streams| progress(Progress::Heads(streams))).await?;
    rebuild.switch().await?;
    progress(Progress::Switched);
    if !options.keep {
        match rebuild.clean(|views| progress(Progress::Deleted(views))).await {
            Ok(cleaned) => {
                rebuilt.deleted = cleaned.deleted;
                rebuilt.left = cleaned.cause.map(|cause| format!("{} ({cause})", cleaned.left));
            }
            Err(error) => rebuilt.left = Some(format!("nobody knows how many ({error})")),
        }
    }
    Ok(rebuilt)
}

/// Commits that are taken in together.
struct Chunk {
    commits: Vec<(StreamId, Arc<Commit>)>,
    events: u64,
}

/// The next commits of the archive; `None` at its end.
async fn next(
    replayed: &mut (impl Stream<Item = Result<Replayed, ChainError>> + Unpin),
) -> Result<Option<Chunk>, ChainError> {
    let (mut chunk, mut bytes) = (Chunk { commits: Vec::new(), events: 0 }, 0);
    while bytes < CHUNK_BYTES && chunk.commits.len() < CHUNK_COMMITS {
        let Some(replayed) = replayed.next().await else { break };
        let Replayed { archived, .. } = replayed?;
        let events = &archived.commit.events;
        bytes += events.iter().map(|event| event.name.len() + event.data.get().len()).sum::<usize>();
        chunk.events += events.len() as u64;
        chunk.commits.push((archived.stream, archived.commit));
    }
    Ok((!chunk.commits.is_empty()).then_some(chunk))
}
