//! Uploads in parts: what was uploaded of each object that is not there yet. They are in memory only, and a restart forgets them.
//!
//! 1. `begin` gives an upload its id; `keep` takes a part, in place of one of the same number.
//! 2. `join` checks the parts that the caller names, and makes one body of them. The write, with its condition, is the buckets'.
//! 3. `end` forgets the upload: it was completed, or is given up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use s3s::crypto::{Checksum as _, Md5};

use super::checksum::{Algorithm, Given};
use super::objects::{Attributes, Refusal};
use crate::signature::hex;

/// The least size of a part that is not the last, in bytes.
const LEAST: usize = 5 * 1024 * 1024;
/// The highest number of a part.
const MOST: i32 = 10_000;

/// One part.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    pub(crate) written: SystemTime,
}

/// An upload under way.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) attributes: Attributes,
    pub(crate) begun: SystemTime,
    pub(crate) parts: BTreeMap<i32, Part>,
}

/// A part as the caller names it at the end.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) number: i32,
    pub(crate) etag: Option<String>,
    pub(crate) checksum: Option<Given>,
}

/// Every upload under way, by its id.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<BTreeMap<String, Upload>>);

impl Uploads {
    /// Begins one; gives its id.
    pub(crate) fn begin(&self, bucket: String, key: String, attributes: Attributes) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let upload = Upload { bucket, key, attributes, begun: SystemTime::now(), parts: BTreeMap::new() };
        self.lock().insert(id.clone(), upload);
        id
    }

    /// Keeps a part.
    pub(crate) fn keep(
        &self,
        (bucket, key, id): (&str, &str, &str),
        number: i32,
        bytes: Bytes,
    ) -> Result<Part, Refusal> {
        if !(1..=MOST).contains(&number) {
            return Err(Refusal::InvalidPartNumber);
        }
        let etag = hex(Md5::checksum(&bytes).as_ref());
        let part = Part { bytes, etag, written: SystemTime::now() };
        let mut uploads = self.lock();
        let upload = uploads.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key);
        upload.ok_or(Refusal::NoSuchUpload)?.parts.insert(number, part.clone());
        Ok(part)
    }

    /// An upload as it is now.
    pub(crate) fn get(&self, (bucket, key, id): (&str, &str, &str)) -> Result<Upload, Refusal> {
        let uploads = self.lock();
        let upload = uploads.get(id).filter(|upload| upload.bucket == bucket && upload.key == key);
        upload.cloned().ok_or(Refusal::NoSuchUpload)
    }

    /// Forgets an upload with its parts.
    pub(crate) fn end(&self, (bucket, key, id): (&str, &str, &str)) -> Result<(), Refusal> {
        self.get((bucket, key, id))?;
        self.lock().remove(id);
        Ok(())
    }

    /// The uploads of a bucket whose keys begin so, by key and then by their time.
    pub(crate) fn of(&self, bucket: &str, prefix: &str) -> Vec<(String, Upload)> {
        let uploads = self.lock();
        let here =
            uploads.iter().filter(|(_, upload)| upload.bucket == bucket && upload.key.starts_with(prefix));
        let mut found: Vec<_> = here.map(|(id, upload)| (id.clone(), upload.clone())).collect();
        found.sort_by(|(_, one), (_, other)| (&one.key, one.begun).cmp(&(&other.key, other.begun)));
        found
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    /// One body of the parts that are named, in the order of their numbers.
    pub(crate) fn join(&self, named: &[Named]) -> Result<Bytes, Refusal> {
        let parts = self.named(named)?;
        let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
        for part in parts {
            body.extend_from_slice(&part.bytes);
        }
        Ok(body.freeze())
    }

    /// Whether the object that is made of the parts has this checksum: of the whole of it, or `{checksum of the parts' checksums}-{parts}`.
    pub(crate) fn fits(&self, given: &Given, named: &[Named], body: &[u8]) -> Result<bool, Refusal> {
        match given.value.rsplit_once('-') {
            None => Ok(given.fits(body)),
            Some(_) => Ok(self.composite(given.algorithm, named)? == given.value),
        }
    }

    /// The checksum of the parts' checksums.
    pub(crate) fn composite(&self, algorithm: Algorithm, named: &[Named]) -> Result<String, Refusal> {
        let parts = self.named(named)?;
        let digests: Vec<u8> = parts.iter().flat_map(|part| algorithm.digest(&part.bytes)).collect();
        Ok(format!("{}-{}", STANDARD.encode(algorithm.digest(&digests)), parts.len()))
    }

    fn named(&self, named: &[Named]) -> Result<Vec<&Part>, Refusal> {
        if named.is_empty() {
            return Err(Refusal::MalformedXml);
        }
        if !named.is_sorted_by(|one, other| one.number < other.number) {
            return Err(Refusal::InvalidPartOrder);
        }
        let find = |named: &Named| {
            let part = self.parts.get(&named.number)?;
            let same = named.etag.as_ref().is_none_or(|etag| *etag == part.etag)
                && named.checksum.as_ref().is_none_or(|checksum| checksum.fits(&part.bytes));
            same.then_some(part)
        };
        let parts: Option<Vec<&Part>> = named.iter().map(find).collect();
        let parts = parts.ok_or(Refusal::InvalidPart)?;
        let (_, before) = parts.split_last().ok_or(Refusal::MalformedXml)?;
        if before.iter().any(|part| part.bytes.len() < LEAST) {
            return Err(Refusal::EntityTooSmall);
        }
        Ok(parts)
    }
}
