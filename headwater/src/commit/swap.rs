//! The swap: the one conditional PUT that decides, and what to make of an answer that is none.
//!
//! | answer | what is true | what is done |
//! |---|---|---|
//! | the new `ETag` | our commits stand | [`Swap::Done`] |
//! | 409 | this attempt did nothing | the same PUT again |
//! | 412 | somebody else's write stands, or ours, whose answer was lost | read the head |
//! | time-out, 5xx | unknown | read the head; unchanged: the same PUT again |
//! | refused | this attempt did nothing | [`Swap::Refused`], unless an earlier attempt is still unknown |
//!
//! Whose write stands is told by the commit at our first version: no other commit can ever have it (H1). Once the head
//! has moved on, an attempt that is still under way cannot succeed any more, because no `ETag` comes back.
//!
//! Another write can be equal to the byte, where callers give the ids: so it is the attempt, stored beside the commits, that
//! says whose it is ([decision 4](../../../docs/decisions/0004-whose-write-stands.md)). Where an older version wrote on top,
//! which stores no attempts, a 412 alone says that what stands is not ours.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::cache::Known;
use crate::{
    error::StoreError,
    format::{attempt::Attempt, commit::Commit},
    port::{ObjectError, Ports, Precondition, backoff},
    read::{HeadRead, Reader},
    reason::Reason,
};

/// How a swap ended.
pub(super) enum Swap {
    /// Our commits stand; this is the newest head, where it was read.
    Done(crate::port::ETag, Option<Known>),
    /// Somebody else's write stands instead; this is the newest head.
    Lost(Known),
    /// Whether our commits stand could not be learned.
    Unknown(Reason),
    /// It cannot be done; nothing happened.
    Refused(StoreError),
}

/// Replaces the head `base` by `body`, which holds `commits` on top of it.
pub(super) async fn swap(
    ports: &Ports,
    reader: &Reader,
    base: &Known,
    (key, body): (&str, &Bytes),
    commits: &[Arc<Commit>],
    attempt: Option<Attempt>,
    deadline: Instant,
) -> Swap {
    let only = || base.etag.clone().map_or(Precondition::Absent, Precondition::Matches);
    let mut pauses = backoff(&*ports.entropy, Duration::from_millis(10), Duration::from_secs(1));
    let mut unknown = None;
    loop {
        match timeout_at(deadline, ports.objects.put(key, body.clone(), only())).await {
            Ok(Ok(etag)) => return Swap::Done(etag, None),
            Ok(Err(ObjectError::InFlight)) => {}
            Ok(Err(error @ ObjectError::Refused(_))) => return refused(error.into(), unknown),
            Ok(Err(error @ (ObjectError::Precondition | ObjectError::Unknown(_)))) => {
                if let ObjectError::Unknown(reason) = error {
                    unknown = Some(reason);
                }
                match timeout_at(deadline, settle(reader, base, commits, attempt, unknown.is_some())).await {
                    Ok(Ok(Some(end))) => return end,
                    Ok(Ok(None)) => {}
                    Ok(Err(error @ StoreError::Corrupt { .. })) => return refused(error, unknown),
                    Ok(Err(error)) => return Swap::Unknown(error.into()),
                    Err(_) => return Swap::Unknown("the head could not be read in time".into()),
                }
            }
            Err(_) => return Swap::Unknown(unknown.unwrap_or_else(|| "no answer in time".into())),
        }
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= deadline {
            let busy = "other writes of the head were in flight until the deadline";
            return refused(StoreError::Unavailable(busy.into()), unknown);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Refused, unless an earlier attempt may have succeeded, or may yet.
fn refused(error: StoreError, unknown: Option<Reason>) -> Swap {
    match unknown {
        Some(reason) => Swap::Unknown(Reason::new(format_args!("{reason}, then"), error)),
        None => Swap::Refused(error),
    }
}

/// Whose write stands; `None` where the head is still the base. `unknown`: a write of ours has no known end.
async fn settle(
    reader: &Reader,
    base: &Known,
    commits: &[Arc<Commit>],
    attempt: Option<Attempt>,
    unknown: bool,
) -> Result<Option<Swap>, StoreError> {
    let stream = &base.head.stream;
    let (head, etag, modified) = match reader.head(stream, base.etag.as_ref()).await? {
        HeadRead::Unchanged => return Ok(None),
        HeadRead::Missing if base.etag.is_none() => return Ok(None),
        HeadRead::Missing => {
            let key = crate::format::key::head(stream);
            return Err(StoreError::Corrupt { key, reason: "the head was deleted".to_owned() });
        }
        HeadRead::Found { head, etag, modified } => (head, etag, modified),
    };
    let first = base.head.version.next();
    let ours = match (reader.written_at(&head, first).await?, attempt) {
        (Some((commit, _)), _) if Some(&commit) != commits.first() => false,
        (Some((_, Some(theirs))), Some(attempt)) => theirs == attempt,
        // The id of our first commit was drawn for it, or nothing says which attempt it was.
        (Some((_, None)), attempt) if attempt.is_none() || unknown => {
            reader.commits(&head, base.head.version).await?.starts_with(commits)
        }
        _ => false,
    };
    let known = Known::of_read(*head, etag.clone(), modified);
    Ok(Some(if ours { Swap::Done(etag, Some(known)) } else { Swap::Lost(known) }))
}
