//! Querying: a view as it stands, or at least as new as the asker's own write (H7).
//!
//! 1. Read the view: one GET. Which generation serves is asked every few seconds.
//! 2. Without a token that is the answer; somebody else's newest write may be missing for a moment.
//! 3. A token names a stream and a version. A view that is behind it folds the stream's missing commits in the request, in
//!    memory, and writes nothing: that is the consumers' part.
//! 4. The answer is never older than the token. Where it cannot be that new, because the stream is parked, it is an error.

use super::{
    fold::{Base, fold},
    heal::Heads,
    project::Projector,
    projection::Projection,
    rule::Planned,
};
use crate::{
    error::StoreError,
    format::{
        key,
        view::{Parked, View},
    },
    id::{StreamId, Token, check_segment},
    limits,
    port::Precondition,
};

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The asker's own write is not in the view, and is not coming before somebody mends the projection and unparks the
    /// stream.
    #[error("{stream} is parked in this view at version {}: {}", parked.version, parked.error)]
    Parked {
        /// The stream.
        stream: StreamId,
        /// Where and why it stands still.
        parked: Parked,
    },
    /// The store could not; [`StoreError::Invalid`] where the token is not one for this view.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<P: Projection> Projector<P> {
    /// The view `key`, with the versions that it reflects and the streams that are parked in it; no versions at all where
    /// nothing has fed it yet. With a token it reflects at least that write.
    pub async fn query(&self, key: &str, token: Option<&Token>) -> Result<View<P::View>, QueryError> {
        check_segment("view key", key, limits::VIEW_KEY_BYTES).map_err(StoreError::from)?;
        if let Some(token) = token
            && self.rules.view_key(&token.stream).as_deref() != Some(key)
        {
            return Err(invalid(format!("is of {}, which does not feed this view", token.stream)));
        }
        let (mut view, base) = self.serving(key).await?;
        let Some(Token { stream, version }) = token else { return Ok(view) };
        if view.applied(stream) < *version && !view.parked.contains_key(stream) {
            let after = view.applied(stream);
            let planned = vec![Planned::Heal { stream: stream.clone(), after, claimed: after }];
            let mut heads = Heads::default();
            let steps = heads.heal(&self.reader, planned).await?;
            if let Some(newest) = heads.version(stream).filter(|newest| newest < version) {
                return Err(invalid(format!("tells of version {version}, and {stream} is at {newest}")));
            }
            fold(&self.rules, &mut view, base, &steps, self.clock.now())?;
        }
        match view.parked.get(stream) {
            Some(parked) if view.applied(stream) < *version => {
                Err(QueryError::Parked { stream: stream.clone(), parked: parked.clone() })
            }
            _ => Ok(view),
        }
    }

    /// Reads the view that serves. By an older pointer the view of an older generation is read, which stands for long enough;
    /// only where that took long, or nothing stands, it is looked at again.
    async fn serving(&self, key: &str) -> Result<(View<P::View>, Base<P::View>), StoreError> {
        let mut known = self.generations.lately().await?;
        loop {
            let serving = known.pointer.serving;
            let (view, base, only) = self.read(&key::view_in(P::NAME, serving, key)).await?;
            if known.is_fresh() && only != Precondition::Absent {
                return Ok((view, base));
            }
            known = self.generations.now().await?;
            if known.pointer.serving == serving {
                return Ok((view, base));
            }
        }
    }
}

fn invalid(rule: String) -> QueryError {
    StoreError::Invalid { field: "token", rule }.into()
}
