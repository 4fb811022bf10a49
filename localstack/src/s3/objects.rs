//! What the buckets hold, and who may overwrite it.
//!
//! Every write and its condition are judged under the lock of the bucket, and the file is written under it as
//! well: a reader never sees what a restart would not bring back. No lock is held across an `await`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::checksum::Given;
use super::files::Files;
use crate::aws::Stored;

/// What a write or a delete asks of the object that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Whatever stands.
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match` with an `ETag`, without quotes.
    Matches(String),
}

/// Why S3 says no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the specified bucket does not exist")]
    NoSuchBucket,
    #[error("the bucket exists already and is yours")]
    BucketAlreadyOwnedByYou,
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    #[error("the specified key does not exist")]
    NoSuchKey,
    #[error("at least one of the preconditions did not hold")]
    PreconditionFailed,
    #[error(
        "the specified upload does not exist: it may have been completed or aborted, or this AWS was started again"
    )]
    NoSuchUpload,
    #[error("one or more of the specified parts were not found, or are others")]
    InvalidPart,
    #[error("the parts are not in the order of their numbers")]
    InvalidPartOrder,
    #[error("the number of a part must be 1 to 10,000")]
    InvalidPartNumber,
    #[error("a part that is not the last is smaller than 5 MiB")]
    EntityTooSmall,
    #[error("the XML names no parts")]
    MalformedXml,
    #[error("the data directory refused the write")]
    Disk(#[from] io::Error),
}

/// One object. Cheap to clone: the bytes are shared.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// Microseconds since 1970, unique in this process and never earlier than any that was loaded.
    pub(crate) written: u64,
    pub(crate) attributes: Attributes,
}

/// What a writer says about an object beside its bytes; lost at a restart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) metadata: Option<std::collections::HashMap<String, String>>,
    /// What its bytes were compared with when they came.
    pub(crate) checksum: Option<Given>,
}

impl Object {
    pub(crate) fn etag(&self) -> String {
        format!("{:032x}", self.written)
    }

    pub(crate) fn modified(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.written)
    }
}

pub(crate) type Objects = BTreeMap<String, Object>;

pub(crate) struct Bucket {
    pub(crate) created: SystemTime,
    objects: RwLock<Objects>,
}

impl Bucket {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every bucket of this account.
pub(crate) struct Buckets {
    named: RwLock<BTreeMap<String, Arc<Bucket>>>,
    files: Option<Files>,
    newest: AtomicU64,
}

impl Buckets {
    /// Opens the directory, or nothing at all, and reads what it holds.
    pub(crate) fn open(directory: Option<PathBuf>) -> io::Result<Self> {
        let files = directory.map(Files::open).transpose()?;
        let mut buckets = BTreeMap::new();
        let mut newest = 0;
        for stored in files.as_ref().map(Files::load).transpose()?.unwrap_or_default() {
            newest = stored.objects.values().map(|object| object.written).fold(newest, u64::max);
            let bucket = Bucket { created: stored.created, objects: RwLock::new(stored.objects) };
            buckets.insert(stored.name, Arc::new(bucket));
        }
        Ok(Self { named: RwLock::new(buckets), files, newest: AtomicU64::new(newest) })
    }

    pub(crate) fn stored(&self) -> Stored {
        let buckets = self.named.read().unwrap_or_else(PoisonError::into_inner);
        buckets.values().fold(Stored::default(), |stored, bucket| {
            let objects = bucket.read();
            let bytes: usize = objects.values().map(|object| object.bytes.len()).sum();
            Stored { objects: stored.objects + objects.len() as u64, bytes: stored.bytes + bytes as u64 }
        })
    }

    pub(crate) fn create(&self, name: &str) -> Result<(), Refusal> {
        let mut buckets = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if buckets.contains_key(name) {
            return Err(Refusal::BucketAlreadyOwnedByYou);
        }
        if let Some(files) = &self.files {
            files.create_bucket(name)?;
        }
        let bucket = Bucket { created: SystemTime::now(), objects: RwLock::default() };
        buckets.insert(name.to_owned(), Arc::new(bucket));
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Refusal> {
        let mut buckets = self.named.write().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get(name).ok_or(Refusal::NoSuchBucket)?;
        if !bucket.read().is_empty() {
            return Err(Refusal::BucketNotEmpty);
        }
        if let Some(files) = &self.files {
            files.remove_bucket(name)?;
        }
        buckets.remove(name);
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<(String, Arc<Bucket>)> {
        let buckets = self.named.read().unwrap_or_else(PoisonError::into_inner);
        buckets.iter().map(|(name, bucket)| (name.clone(), Arc::clone(bucket))).collect()
    }

    pub(crate) fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Refusal> {
        let buckets = self.named.read().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).cloned().ok_or(Refusal::NoSuchBucket)
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Result<Object, Refusal> {
        self.bucket(bucket)?.read().get(key).cloned().ok_or(Refusal::NoSuchKey)
    }

    pub(crate) fn put(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
        bytes: Bytes,
        attributes: Attributes,
    ) -> Result<Object, Refusal> {
        let found = self.bucket(bucket)?;
        let mut objects = found.write();
        judge(objects.get(key), condition)?;
        let object = Object { bytes, written: self.tick(), attributes };
        if let Some(files) = &self.files {
            files.write(bucket, key, &object)?;
        }
        objects.insert(key.to_owned(), object.clone());
        Ok(object)
    }

    /// Deletes the object. Without a condition a missing object is no error, as on AWS.
    pub(crate) fn delete(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), Refusal> {
        let found = self.bucket(bucket)?;
        let mut objects = found.write();
        judge(objects.get(key), condition)?;
        if objects.contains_key(key)
            && let Some(files) = &self.files
        {
            files.remove(bucket, key)?;
        }
        objects.remove(key);
        Ok(())
    }

    fn tick(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let before = self.newest.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |newest| {
            Some(now.max(newest.saturating_add(1)))
        });
        // The closure always gives a value, so both arms hold what stood before.
        let before = before.unwrap_or_else(|newest| newest);
        now.max(before.saturating_add(1))
    }
}

fn judge(standing: Option<&Object>, condition: &Condition) -> Result<(), Refusal> {
    match (condition, standing) {
        (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
        (Condition::Present | Condition::Matches(_), None) => Err(Refusal::NoSuchKey),
        (Condition::Matches(etag), Some(object)) if *etag == object.etag() => Ok(()),
        (Condition::Absent | Condition::Matches(_), Some(_)) => Err(Refusal::PreconditionFailed),
    }
}
