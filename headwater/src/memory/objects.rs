//! S3 in memory: a sorted map, one lock, and an `ETag` that no two writes share.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::task::yield_now;

use crate::{
    limits,
    memory::lock,
    port::{Clock, ETag, Got, Keys, Listed, Listing, ObjectError, Objects, Precondition, Token},
};

/// Objects of one page of a listing.
const LISTED: usize = 1_000;

/// A bucket in memory.
///
/// Like S3 it shows the time of a write in whole seconds when an object is read, in milliseconds when it is listed.
///
/// It lists as badly as S3 may: in an order that has nothing to do with the keys, and every other page, the first among them,
/// is empty.
pub struct MemoryObjects {
    clock: Arc<dyn Clock>,
    page: usize,
    bucket: Mutex<Bucket>,
}

#[derive(Default, Clone)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    writes: u64,
}

#[derive(Clone)]
struct Object {
    body: Bytes,
    etag: ETag,
    modified: Timestamp,
    /// Where it comes in a listing.
    scatter: u64,
}

impl MemoryObjects {
    /// An empty bucket with this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, page: LISTED, bucket: Mutex::default() }
    }

    /// The same with so many objects in a page of a listing (1 at least) instead of 1,000.
    #[must_use]
    pub fn with_pages_of(self, objects: usize) -> Self {
        Self { page: objects.max(1), ..self }
    }

    /// Another bucket with the same objects: from here on each goes its own way.
    #[must_use]
    pub fn copy(&self) -> Self {
        let (clock, bucket) = (Arc::clone(&self.clock), Mutex::new(lock(&self.bucket).clone()));
        Self { clock, page: self.page, bucket }
    }

    /// What stands under `prefix`, in the order of the keys: for looking behind the port.
    pub fn all(&self, prefix: &str) -> Vec<(String, Bytes)> {
        let bucket = lock(&self.bucket);
        let found = bucket.under(prefix).map(|(key, object)| (key.clone(), object.body.clone()));
        found.collect()
    }

    /// Writes without a precondition: for setting up what the library itself would not write.
    pub fn insert(&self, key: &str, body: impl Into<Bytes>) -> ETag {
        lock(&self.bucket).write(key, body.into(), self.clock.now())
    }

    /// Deletes without a precondition; tells whether an object stood there.
    pub fn remove(&self, key: &str) -> bool {
        lock(&self.bucket).objects.remove(key).is_some()
    }

    fn get_now(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        let bucket = lock(&self.bucket);
        let Some(Object { body, etag, modified, .. }) = bucket.objects.get(key) else {
            return Ok(Got::Missing);
        };
        if known == Some(etag) {
            return Ok(Got::Unchanged);
        }
        check_size(key, body.len())?;
        let modified = whole_second(*modified);
        Ok(Got::Found { body: body.clone(), etag: etag.clone(), modified })
    }

    fn put_now(&self, key: &str, body: Bytes, only: &Precondition) -> Result<ETag, ObjectError> {
        check_size(key, body.len())?;
        if body.is_empty() {
            return Err(ObjectError::Refused(
                format!("{key}: an empty object says that nothing is there").into(),
            ));
        }
        if key.is_empty() || key.len() > 1_024 {
            return Err(ObjectError::Refused(
                format!("a key has 1 to 1,024 bytes, not {}", key.len()).into(),
            ));
        }
        let mut bucket = lock(&self.bucket);
        let standing = bucket.objects.get(key).map(|object| &object.etag);
        let holds = match only {
            Precondition::Absent => standing.is_none(),
            Precondition::Matches(etag) => standing == Some(etag),
        };
        if !holds {
            return Err(ObjectError::Precondition);
        }
        Ok(bucket.write(key, body, self.clock.now()))
    }

    fn delete_now(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        let mut bucket = lock(&self.bucket);
        if bucket.objects.get(key).map(|object| &object.etag) != Some(only) {
            return Err(ObjectError::Precondition);
        }
        bucket.objects.remove(key);
        Ok(())
    }

    fn list_now(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        let Some(from) = from else {
            return Ok(Listing { objects: Vec::new(), next: Some(Place::default().token(true)) });
        };
        let (begin, full) = Place::parse(from).ok_or_else(|| ObjectError::Refused("no such token".into()))?;
        if !full {
            return Ok(Listing { objects: Vec::new(), next: Some(begin.token(true)) });
        }
        let bucket = lock(&self.bucket);
        let found = bucket.under(&keys.prefix).filter(|(key, _)| keys.contain(key));
        let place = |key: &str, object: &Object| (object.scatter, key) > (begin.scatter, &begin.key);
        let mut found: Vec<(&String, &Object)> = found.filter(|(key, object)| place(key, object)).collect();
        let more = found.len() > self.page;
        let order = |(one, this): &(&String, &Object), (other, that): &(&String, &Object)| {
            (this.scatter, one).cmp(&(that.scatter, other))
        };
        if more {
            found.select_nth_unstable_by(self.page, order);
            found.truncate(self.page);
        }
        found.sort_unstable_by(order);
        let last = found.last().filter(|_| more);
        let next =
            last.map(|(key, object)| Place { scatter: object.scatter, key: (*key).clone() }.token(false));
        let objects = found.into_iter().map(|(key, object)| Listed {
            key: key.clone(),
            size: object.body.len() as u64,
            modified: object.modified,
        });
        Ok(Listing { objects: objects.collect(), next })
    }
}

impl Bucket {
    fn write(&mut self, key: &str, body: Bytes, modified: Timestamp) -> ETag {
        self.writes += 1;
        let etag = ETag(format!("\"{:032x}\"", self.writes));
        let scatter = scatter(key);
        self.objects.insert(key.to_owned(), Object { body, etag: etag.clone(), modified, scatter });
        etag
    }

    fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Object)> {
        let range = self.objects.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        range.take_while(move |(key, _)| key.starts_with(prefix))
    }
}

/// Where a key comes in a listing: the same in every one, whatever else is there.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    scatter: u64,
    key: String,
}

impl Place {
    /// The token of the page that begins behind it, and whether that page is to have objects.
    fn token(&self, full: bool) -> Token {
        let Self { scatter, key } = self;
        Token(format!("{}{scatter:016x}{key}", if full { '+' } else { '-' }))
    }

    fn parse(Token(token): &Token) -> Option<(Self, bool)> {
        let (scatter, key) = token.get(1..)?.split_at_checked(16)?;
        let place = Self { scatter: u64::from_str_radix(scatter, 16).ok()?, key: key.to_owned() };
        Some((place, token.starts_with('+')))
    }
}

/// FNV-1a.
fn scatter(key: &str) -> u64 {
    let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    key.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Neither read nor written: what the one does, the other could not.
fn check_size(key: &str, bytes: usize) -> Result<(), ObjectError> {
    if bytes > limits::OBJECT_BYTES {
        let most = limits::OBJECT_BYTES;
        return Err(ObjectError::Refused(
            format!("{key} has {bytes} bytes, more than the {most} allowed").into(),
        ));
    }
    Ok(())
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        yield_now().await;
        let now = whole_second(self.clock.now());
        yield_now().await;
        Ok(now)
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        yield_now().await;
        let got = self.get_now(key, known);
        yield_now().await;
        got
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        yield_now().await;
        let put = self.put_now(key, body, &only);
        yield_now().await;
        put
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        yield_now().await;
        let deleted = self.delete_now(key, only);
        yield_now().await;
        deleted
    }

    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        yield_now().await;
        let listing = self.list_now(keys, from);
        yield_now().await;
        listing
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryObjects").finish_non_exhaustive()
    }
}
