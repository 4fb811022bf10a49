//! Work: what is to be done to a view, and the steps that it takes from the view as it was read.

use super::rule::{Planned, StreamCommit, plan};
use crate::{
    format::view::View,
    id::{StreamId, Version},
};

/// What to do to a view.
pub(super) enum Work<'a> {
    /// Take these commits in.
    Take(&'a [StreamCommit]),
    /// Take in all that the heads of these streams have.
    Heal(&'a [StreamId]),
    /// Take the mark off this stream and go on with it; tells whether there was one.
    Unpark { stream: &'a StreamId, marked: bool },
}

impl Work<'_> {
    /// The steps from the view as it was read; `None` where there is no mark to take off.
    pub(super) fn plan<S>(&mut self, view: &mut View<S>) -> Option<Vec<Planned>> {
        match self {
            Self::Take(commits) => Some(plan(view, commits)),
            Self::Heal(streams) => {
                let free = streams.iter().filter(|stream| !view.parked.contains_key(stream));
                let heal = |stream: &StreamId| {
                    let after = view.applied(stream);
                    Planned::Heal { stream: stream.clone(), after, claimed: Version::ZERO }
                };
                Some(free.map(heal).collect())
            }
            Self::Unpark { stream, marked } => {
                // In a later round the mark may be off already, by a write whose answer was lost.
                *marked |= view.parked.remove(*stream).is_some();
                let after = view.applied(stream);
                marked.then(|| vec![Planned::Heal { stream: stream.clone(), after, claimed: Version::ZERO }])
            }
        }
    }
}
