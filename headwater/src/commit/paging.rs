//! Paging: a long stream's older commits move to a page, first to S3, then out of the head.
//!
//! They are committed already, so a crash between the two is harmless; the page that it leaves behind is adopted by the
//! next writer, with the boundaries that it has.
//!
//! The page's reference in the head says until when its commits were written, by S3: all of them are in the base, so S3's time
//! of that will do. A base that this process wrote itself is read again for it, beside the writing of the page, and not again
//! within [`KNOWN_FOR`].

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

use super::{cache::Known, ids::Ids};

use crate::{
    error::StoreError,
    format::{commit::Commit, head::Head, key, page::Page},
    port::{Got, ObjectError, Ports, Precondition, backoff},
    read::Reader,
};

/// How old the newest time of a page may be, for the next page to say none.
const KNOWN_FOR: SignedDuration = SignedDuration::from_secs(30);
/// How long the base may take to be read: a page without a time is taken to be young, which costs a read.
const PATIENCE: Duration = Duration::from_secs(1);

/// Moves the overflow of `head`, which is to replace `base`, to a page, if there is any; tells what has moved. `head` is
/// unchanged where that fails: it stays larger for a while, which costs bytes and breaks nothing.
pub(super) async fn page(
    ports: &Ports,
    reader: &Reader,
    ids: &Ids,
    base: &Known,
    head: &mut Head,
    deadline: Instant,
) -> Result<Vec<Arc<Commit>>, StoreError> {
    if !head.is_overgrown() {
        return Ok(Vec::new());
    }
    let mut shorter = head.clone();
    let Some(mut page) = Page::new(head.stream.clone(), shorter.overflow()) else { return Ok(Vec::new()) };
    page.attempts.extend(head.attempts.iter().filter(|attempt| attempt.first() <= page.last));
    let (stored, until) = tokio::join!(store(ports, &page, deadline), written_until(reader, ids, base));
    let moved = if stored? {
        page.commits
    } else {
        shorter = head.clone();
        adopt(reader, &mut shorter, &key::page(&page.stream, page.first)).await?
    };
    shorter.paged(&moved);
    if let Some(until) = until {
        shorter.paged_until(until);
    }
    *head = shorter;
    Ok(moved)
}

/// When S3 had stored the newest commits of the base, at the latest; `None` where that is not known, or was told just now.
async fn written_until(reader: &Reader, ids: &Ids, base: &Known) -> Option<Timestamp> {
    if base.modified.is_some() {
        return base.modified;
    }
    let told = base.head.pages.iter().rev().find_map(|page| page.until);
    if let (Some(told), Some(now)) = (told, ids.time.at_least())
        && now.duration_since(told) < KNOWN_FOR
    {
        return None;
    }
    let key = key::head(&base.head.stream);
    match reader.clone().with_patience(PATIENCE).object(&key, None).await {
        // This one or a later one.
        Ok(Got::Found { modified, .. }) => {
            ids.time.learn(modified);
            Some(modified)
        }
        _ => None,
    }
}

/// Writes a page; false where one exists at its key.
async fn store(ports: &Ports, page: &Page, deadline: Instant) -> Result<bool, StoreError> {
    let key = key::page(&page.stream, page.first);
    let body = page.encode().map_err(|error| StoreError::corrupt(&key, &error))?;
    let mut pauses = backoff(&*ports.entropy, Duration::from_millis(10), Duration::from_secs(1));
    loop {
        match timeout_at(deadline, ports.objects.put(&key, body.clone(), Precondition::Absent)).await {
            Ok(Ok(_)) => return Ok(true),
            Ok(Err(ObjectError::Precondition)) => return Ok(false),
            Ok(Err(error @ ObjectError::Refused(_))) => return Err(error.into()),
            Ok(Err(ObjectError::InFlight | ObjectError::Unknown(_))) => {}
            Err(_) => {
                return Err(StoreError::Unavailable(format!("writing {key}: no answer in time").into()));
            }
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
}

/// Takes the page that exists at `key` for what it holds, out of the head.
async fn adopt(reader: &Reader, head: &mut Head, key: &str) -> Result<Vec<Arc<Commit>>, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { key: key.to_owned(), reason };
    let Got::Found { body, .. } = reader.object(key, None).await? else {
        return Err(corrupt("it stands and cannot be read".to_owned()));
    };
    let page = Page::decode(&body).map_err(|error| StoreError::corrupt(key, &error))?;
    let held: Vec<Arc<Commit>> = head.commits.iter().take(page.commits.len()).cloned().collect();
    if held != page.commits || page.last >= head.newest_write {
        return Err(corrupt(format!("its commits {}..={} are not the head's", page.first, page.last)));
    }
    head.commits.drain(..held.len());
    Ok(held)
}
