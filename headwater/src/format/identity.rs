//! The identity of a store, at `store.json` in its bucket: made once, by whoever makes the store. Its id and names never change.
//!
//! ```json
//! {"format":1,"id":"5f2c…","created_at":"2026-11-21T19:30:00Z","store":"bucket","stream":"events","archive":"bucket"}
//! ```
//!
//! Every record carries the `id`, so that each of its readers can tell it from another store's. The archive's bucket has a copy
//! at `stores/{stream}.json`: an archive of a stream belongs to one store.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Format, FormatError, record::Record};

const OBJECT: &str = "identity";
/// Longest id of a store, in bytes.
const ID_BYTES: usize = 64;

/// The id of a store: 1 to 64 ASCII letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreId(String);

impl StoreId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StoreId {
    type Error = FormatError;

    fn try_from(id: String) -> Result<Self, FormatError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(allowed) {
            return Ok(Self(id));
        }
        Err(FormatError::new(OBJECT, "a store's id is 1 to 64 letters, digits and hyphens"))
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> Self {
        id.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store consists of, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Its bucket.
    pub store: String,
    /// The Kinesis stream that its commits are published to.
    pub stream: String,
    /// The bucket of its archive.
    pub archive: String,
}

/// The identity of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format: Format<1>,
    /// Its id.
    pub id: StoreId,
    /// When it was made, by the clock of whoever made it.
    pub created_at: Timestamp,
    /// What it consists of.
    #[serde(flatten)]
    pub names: Names,
    /// It may have records without an id: it existed before stores had one, or may have been written meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// Why a record is not of this store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It is of another store.
    #[error("a record of the store {theirs}, and this is the store {ours}")]
    Another {
        /// The record's.
        theirs: StoreId,
        /// This one.
        ours: StoreId,
    },
    /// It carries no id, and this store never had such records.
    #[error("a record without a store's id, and the store {0} has had one since its beginning")]
    Nameless(StoreId),
    /// It is of a store that has an identity, and this one has none.
    #[error("a record of the store {0}, and this store has no store.json")]
    Unidentified(StoreId),
}

impl Identity {
    /// A new identity.
    pub fn new(id: StoreId, created_at: Timestamp, names: Names, adopted: bool) -> Self {
        Self { format: Format, id, created_at, names, adopted }
    }

    /// Reads an identity.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::parse(OBJECT, bytes)
    }

    /// The identity's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

/// Whether a record is of the store with this identity; `None` where the store has none yet.
///
/// # Errors
///
/// It is of another store, or may be.
pub fn check(ours: Option<&Identity>, record: &Record) -> Result<(), Foreign> {
    match (ours, &record.store) {
        (Some(ours), Some(theirs)) if ours.id == *theirs => Ok(()),
        (Some(ours), Some(theirs)) => Err(Foreign::Another { theirs: theirs.clone(), ours: ours.id.clone() }),
        (Some(ours), None) if !ours.adopted => Err(Foreign::Nameless(ours.id.clone())),
        (None, Some(theirs)) => Err(Foreign::Unidentified(theirs.clone())),
        (_, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::golden;

    fn identity(id: &str, adopted: bool) -> Identity {
        let name = |name: &str| name.to_owned();
        let names = Names { store: name("s"), stream: name("events"), archive: name("a") };
        Identity::new(id.to_owned().try_into().expect("an id"), Timestamp::UNIX_EPOCH, names, adopted)
    }

    proptest! {
        #[test]
        fn an_identity_comes_back(id in "[a-zA-Z0-9-]{1,64}", adopted: bool) {
            let identity = identity(&id, adopted);
            prop_assert_eq!(Identity::decode(&identity.encode().expect("encodes")).expect("decodes"), identity);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Identity::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_identity_stands() {
        let golden = golden::read("identity.json");
        golden::check(
            "identity.json",
            &Identity::decode(&golden).expect("decodes").encode().expect("encodes"),
        );
    }

    #[test]
    fn an_id_is_one_word() {
        for wrong in ["", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(StoreId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_is_of_the_store_that_it_names() {
        let record = |store: Option<&Identity>| {
            Record::new("account/1".parse().expect("a stream"), Vec::new()).of(store)
        };
        let (ours, theirs, adopted) =
            (identity("ours", false), identity("theirs", false), identity("ours", true));
        assert_eq!(check(Some(&ours), &record(Some(&ours))), Ok(()));
        assert_eq!(check(Some(&adopted), &record(Some(&ours))), Ok(()));
        assert_eq!(check(Some(&adopted), &record(None)), Ok(()), "of before it had an id");
        assert_eq!(check(None, &record(None)), Ok(()), "neither has one");
        let [our, their] = [&ours, &theirs].map(|identity| identity.id.clone());
        let another = Foreign::Another { theirs: their.clone(), ours: our.clone() };
        assert_eq!(check(Some(&ours), &record(Some(&theirs))), Err(another.clone()));
        assert_eq!(check(Some(&adopted), &record(Some(&theirs))), Err(another));
        assert_eq!(check(Some(&ours), &record(None)), Err(Foreign::Nameless(our)));
        assert_eq!(check(None, &record(Some(&theirs))), Err(Foreign::Unidentified(their)));
    }
}
