//! What is stored and sent, a file per format: [`attempt`], [`claim`], [`commit`], [`head`], [`mod@identity`], [`page`],
//! [`mod@pointer`], [`record`], [`snapshot`], [`timer`], [`view`], [`watermark`]; and the [`key`]s they stand under.
//!
//! Every object begins with its format number, and a reader refuses one that it does not know: [`FormatError`]. Each
//! file has a golden text that a change must not break, and a property test that what is written is read back.

pub mod attempt;
pub mod claim;
pub mod commit;
pub mod head;
pub mod identity;
pub mod key;
pub mod page;
pub mod pointer;
pub mod record;
pub mod snapshot;
pub mod timer;
pub mod view;
pub mod watermark;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::redact::json_fault;

/// The number that a stored object begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format<const NUMBER: u32>;

impl<const NUMBER: u32> Serialize for Format<NUMBER> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(NUMBER)
    }
}

impl<'de, const NUMBER: u32> Deserialize<'de> for Format<NUMBER> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            number if number == NUMBER => Ok(Self),
            number => Err(de::Error::custom(format_args!(
                "format {number} is not known here, only {NUMBER}: a newer headwater wrote it"
            ))),
        }
    }
}

/// Bytes that are not the object they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object} cannot be read: {reason}")]
pub struct FormatError {
    /// Which format, as `head`.
    pub object: &'static str,
    /// What is wrong, with the place in the text where there is one, and without what is in it.
    pub reason: String,
}

impl FormatError {
    fn new(object: &'static str, reason: &(impl ToString + ?Sized)) -> Self {
        Self { object, reason: reason.to_string() }
    }
}

/// Reads one JSON object of the named format.
fn parse<'a, T: Deserialize<'a>>(object: &'static str, bytes: &'a [u8]) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|cause| FormatError::new(object, &json_fault(&cause)))
}

/// Writes one object as JSON.
fn write<T: Serialize>(object: &'static str, value: &T) -> Result<bytes::Bytes, FormatError> {
    serde_json::to_vec(value).map(Into::into).map_err(|cause| FormatError::new(object, &cause))
}

#[cfg(test)]
pub(crate) mod golden {
    //! Golden texts: the bytes that are out in the world.

    /// Asserts that `written` is the golden text `name`, but for white space between tokens.
    pub(crate) fn check(name: &str, written: &[u8]) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        let written = String::from_utf8(written.to_vec()).expect("UTF-8");
        assert_eq!(golden.trim_end(), written, "{name}: the stored format changed");
    }

    /// The golden text `name`.
    pub(crate) fn read(name: &str) -> Vec<u8> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        std::fs::read(path).expect("a golden file").trim_ascii_end().to_vec()
    }
}
