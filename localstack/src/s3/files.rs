//! Objects as plain files, so that other programs can read a bucket as the directory that it is.
//!
//! The object `a/b.parquet` of the bucket `x` is the file `s3/x/a/b.parquet`. Only what a file system can't take is
//! written otherwise, always with a `%`, which a plain name never holds:
//!
//! | in the key | in the directory |
//! |---|---|
//! | `%`, control characters, `\` | `%25` and so on |
//! | an empty part, as in `a//b` | `%` |
//! | a part `.` or `..` | `%2E`, `%2E%2E` |
//! | a part longer than 200 bytes | several parts, all but the last ending in `%_` |
//! | `a`, where `a/b` is an object too | the file `a%` beside the directory `a` |
//!
//! A write goes to a file of its own first and is renamed into place. The file's modification time, in
//! microseconds, is the object's time and `ETag`: nothing else need be stored. Directories stay when they become
//! empty, so that `a%` remains the right name for as long as the bucket lives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::objects::{Attributes, Object, Objects};

/// What `percent_encode` must encode within a part of a key.
const UNFIT: &AsciiSet = &CONTROLS.add(b'%').add(b'\\');
/// The longest name of a file, less room for what is appended; most file systems take 255.
const LONGEST: usize = 200;
/// Marks a part that goes on in the next one.
const CONTINUED: &str = "%_";
/// Where a file is written before it is renamed; no bucket can have this name.
const WRITING: &str = ".writing";

/// One bucket as the directory held it.
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    pub(crate) objects: Objects,
}

/// The directory of every bucket.
pub(crate) struct Files {
    root: PathBuf,
}

impl Files {
    pub(crate) fn open(root: PathBuf) -> io::Result<Self> {
        let writing = root.join(WRITING);
        if writing.exists() {
            // What a killed process left behind was never answered.
            fs::remove_dir_all(&writing)?;
        }
        fs::create_dir_all(writing)?;
        Ok(Self { root })
    }

    pub(crate) fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        fs::create_dir_all(self.root.join(bucket))
    }

    pub(crate) fn remove_bucket(&self, bucket: &str) -> io::Result<()> {
        fs::remove_dir_all(self.root.join(bucket))
    }

    /// Writes an object durably enough for a killed process; a failing machine may lose the newest ones.
    pub(crate) fn write(&self, bucket: &str, key: &str, object: &Object) -> io::Result<()> {
        let path = self.make_room(bucket, key)?;
        let writing = self.root.join(WRITING).join(object.etag());
        let mut file = File::create(&writing)?;
        file.write_all(&object.bytes)?;
        file.set_modified(object.modified())?;
        drop(file);
        fs::rename(writing, path)
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) -> io::Result<()> {
        let path = self.root.join(bucket).join(path_of(key));
        fs::remove_file(if path.is_dir() { beside(&path) } else { path })
    }

    pub(crate) fn load(&self) -> io::Result<Vec<Stored>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name == WRITING || !entry.file_type()?.is_dir() {
                continue;
            }
            let created = entry.metadata()?.created().unwrap_or_else(|_| SystemTime::now());
            let mut objects = Objects::new();
            load_directory(&entry.path(), "", &mut objects)?;
            buckets.push(Stored { name, created, objects });
        }
        Ok(buckets)
    }

    /// Gives the path of a key, with its directory made and whatever stands in the way moved aside.
    fn make_room(&self, bucket: &str, key: &str) -> io::Result<PathBuf> {
        let bucket = self.root.join(bucket);
        let relative = path_of(key);
        let path = bucket.join(&relative);
        if let Some(parent) = relative.parent() {
            let mut directory = bucket;
            for part in parent.components() {
                directory.push(part);
                if directory.is_file() {
                    fs::rename(&directory, beside(&directory))?;
                }
            }
            fs::create_dir_all(&directory)?;
        }
        Ok(if path.is_dir() { beside(&path) } else { path })
    }
}

/// The path of a key below its bucket.
pub(crate) fn path_of(key: &str) -> PathBuf {
    key.split('/').flat_map(names_of).collect()
}

fn names_of(part: &str) -> Vec<String> {
    match part {
        "" => return vec!["%".to_owned()],
        "." => return vec!["%2E".to_owned()],
        ".." => return vec!["%2E%2E".to_owned()],
        _ => {}
    }
    let mut names = vec![String::new()];
    for character in part.chars() {
        let mut buffer = [0; 4];
        let text: &str = character.encode_utf8(&mut buffer);
        // Only ASCII is ever unfit: a file system takes other letters as they are.
        let text =
            if character.is_ascii() { utf8_percent_encode(text, UNFIT).to_string() } else { text.to_owned() };
        if names.last().is_some_and(|name| name.len() + text.len() > LONGEST) {
            if let Some(full) = names.last_mut() {
                full.push_str(CONTINUED);
            }
            names.push(String::new());
        }
        if let Some(name) = names.last_mut() {
            name.push_str(&text);
        }
    }
    names
}

/// The name of an object whose plain name is a directory.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("%");
    PathBuf::from(name)
}

fn load_directory(directory: &Path, prefix: &str, objects: &mut Objects) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            let prefix = match name.strip_suffix(CONTINUED) {
                Some(part) => format!("{prefix}{}", decode(part)),
                None => format!("{prefix}{}/", decode_part(&name)),
            };
            load_directory(&entry.path(), &prefix, objects)?;
            continue;
        }
        let plain = name.strip_suffix('%').filter(|plain| !plain.is_empty());
        if let Some(plain) = plain
            && !directory.join(plain).exists()
        {
            // The process ended between moving the object aside and making the directory.
            fs::rename(entry.path(), directory.join(plain))?;
            let key = format!("{prefix}{}", decode_part(plain));
            objects.insert(key, load_object(&directory.join(plain))?);
        } else {
            let key = format!("{prefix}{}", decode_part(plain.unwrap_or(&name)));
            objects.insert(key, load_object(&entry.path())?);
        }
    }
    Ok(())
}

fn load_object(path: &Path) -> io::Result<Object> {
    let modified = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let written = u64::try_from(modified.as_micros()).unwrap_or(u64::MAX);
    Ok(Object { bytes: Bytes::from(fs::read(path)?), written, attributes: Attributes::default() })
}

fn decode_part(name: &str) -> String {
    if name == "%" { String::new() } else { decode(name) }
}

fn decode(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[a-c]{0,2}",
            "[%.a_/\\\\ ]{0,4}",
            Just("%2E".to_owned()),
            Just("..".to_owned()),
            Just("dt=2026-11-21".to_owned()),
            "\\PC{0,6}",
            "[é%a]{150,260}",
        ];
        proptest::collection::vec(part, 1..4)
            .prop_map(|parts| parts.join("/"))
            .prop_filter("S3 takes keys of 1 to 1024 bytes", |key| !key.is_empty() && key.len() <= 1024)
    }

    proptest! {
        #[test]
        fn every_key_comes_back_from_the_directory(
            keys in proptest::collection::btree_map(key(), any::<u16>(), 1..12),
            gone in key(),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let files = Files::open(directory.path().to_owned()).unwrap();
            files.create_bucket("bucket").unwrap();
            let mut expected = Objects::new();
            for (written, (key, value)) in keys.iter().chain([(&gone, &7)]).enumerate() {
                let object = Object {
                    bytes: Bytes::from(value.to_string()),
                    written: 1_800_000_000_000_000 + written as u64,
                    attributes: Attributes::default(),
                };
                files.write("bucket", key, &object).unwrap();
                expected.insert(key.clone(), object);
            }
            files.remove("bucket", &gone).unwrap();
            expected.remove(&gone);

            let loaded = files.load().unwrap().remove(0).objects;

            let facts = |objects: &Objects| -> Vec<_> {
                objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone(), object.etag())).collect()
            };
            prop_assert_eq!(facts(&loaded), facts(&expected));
        }
    }

    #[test]
    fn a_plain_key_is_a_plain_path() {
        let key = "archive/events/shard=shardId-000000000000/dt=2026-11-21/000000000001.parquet";
        assert_eq!(path_of(key), PathBuf::from(key));
    }
}
