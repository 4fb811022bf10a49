//! Paging: a long stream's older commits move to a page, first to S3, then out of the head.
//!
//! They are committed already, so a crash between the two is harmless; the page that it leaves behind is adopted by the
//! next writer, with the boundaries that it has.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    error::StoreError,
    format::{commit::Commit, head::Head, key, page::Page},
    port::{Got, ObjectError, Ports, Precondition, backoff},
    read::Reader,
};

/// Moves the overflow of `head` to a page, if there is any. `head` is unchanged where that fails: it stays larger for a
/// while, which costs bytes and breaks nothing.
pub(super) async fn page(
    ports: &Ports,
    reader: &Reader,
    head: &mut Head,
    deadline: Instant,
) -> Result<(), StoreError> {
    if !head.is_overgrown() {
        return Ok(());
    }
    let mut shorter = head.clone();
    let Some(page) = Page::new(head.stream.clone(), shorter.overflow()) else { return Ok(()) };
    let key = key::page(&page.stream, page.first);
    let body = page.encode().map_err(|error| StoreError::corrupt(&key, &error))?;
    let mut pauses = backoff(&*ports.entropy, Duration::from_millis(10), Duration::from_secs(1));
    loop {
        match timeout_at(deadline, ports.objects.put(&key, body.clone(), Precondition::Absent)).await {
            Ok(Ok(_)) => {
                shorter.paged(&page.commits);
                *head = shorter;
                return Ok(());
            }
            Ok(Err(ObjectError::Precondition)) => return adopt(reader, head, &key).await,
            Ok(Err(error @ ObjectError::Refused(_))) => return Err(error.into()),
            Ok(Err(ObjectError::InFlight | ObjectError::Unknown(_))) => {}
            Err(_) => {
                return Err(StoreError::Unavailable(format!("writing {key}: no answer in time").into()));
            }
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
}

/// Takes the page that stands at `key` for what it holds.
async fn adopt(reader: &Reader, head: &mut Head, key: &str) -> Result<(), StoreError> {
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
    head.paged(&held);
    Ok(())
}
