//! Names: which stream, which version, which commit. Each is validated once, where it comes in.

use std::{fmt, marker::PhantomData, str::FromStr, sync::Arc};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize, de};
use uuid::Uuid;

use crate::limits;

/// What stands unencoded in a key: RFC 3986's unreserved characters.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name that breaks a rule: which field, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct InvalidName {
    /// The field, as `stream id`.
    pub field: &'static str,
    /// The rule it breaks, with its limit.
    pub rule: String,
}

impl InvalidName {
    pub(crate) fn new(field: &'static str, rule: impl Into<String>) -> Self {
        Self { field, rule: rule.into() }
    }
}

/// Percent-encodes one segment of an S3 key.
pub(crate) fn encode_segment(segment: &str) -> String {
    utf8_percent_encode(segment, KEY).to_string()
}

/// Decodes one segment of an S3 key; `None` where it is not UTF-8.
pub(crate) fn decode_segment(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The rule for whatever becomes one segment of a key.
pub(crate) fn check_segment(field: &'static str, text: &str, most: usize) -> Result<(), InvalidName> {
    if text.is_empty() || text.len() > most {
        return Err(InvalidName::new(field, format!("must have 1 to {most} bytes, has {}", text.len())));
    }
    if text == "." || text == ".." || text.chars().any(char::is_control) {
        return Err(InvalidName::new(field, "must not be a dot, two dots, or hold control characters"));
    }
    Ok(())
}

/// The name of a stream, `kind/id`: the events of one aggregate.
///
/// The kind is lower-case ASCII letters, digits and dashes, at most [`limits::KIND_BYTES`]; the id is any text without
/// control characters, at most [`limits::ID_BYTES`].
///
/// ```
/// let stream: headwater::StreamId = "account/42".parse()?;
/// assert_eq!((stream.kind(), stream.id()), ("account", "42"));
/// # Ok::<(), headwater::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    text: Arc<str>,
    slash: usize,
}

impl StreamId {
    /// The stream `kind/id`.
    pub fn new(kind: &str, id: &str) -> Result<Self, InvalidName> {
        Self::check(kind, id)?;
        Ok(Self { text: format!("{kind}/{id}").into(), slash: kind.len() })
    }

    fn check(kind: &str, id: &str) -> Result<(), InvalidName> {
        let starts = kind.starts_with(|c: char| c.is_ascii_lowercase());
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind.len() > limits::KIND_BYTES || !starts || !kind.chars().all(allowed) {
            let rule = format!(
                "must be 1 to {} lower-case letters, digits and dashes and begin with a letter",
                limits::KIND_BYTES
            );
            return Err(InvalidName::new("stream kind", rule));
        }
        check_segment("stream id", id, limits::ID_BYTES)
    }

    /// The aggregate's kind, as `account`.
    pub fn kind(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The aggregate's id, as `42`.
    pub fn id(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// The whole name: also the partition key in Kinesis.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for StreamId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (kind, id) = text
            .split_once('/')
            .ok_or_else(|| InvalidName::new("stream", "must read kind/id, as account/42"))?;
        Self::check(kind, id)?;
        Ok(Self { text: text.into(), slash: kind.len() })
    }
}

/// The number of events in a stream; the first event has version 1, and 0 is a stream that does not exist.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a stream that does not exist.
    pub const ZERO: Self = Self(0);

    /// Version `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version `events` further on.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        Self(self.0.saturating_add(events))
    }

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one commit: repeating it commits nothing twice (H8). 1 to [`limits::COMMIT_ID_BYTES`] visible ASCII
/// characters.
///
/// An id says by its beginning where it comes from, so that ids of different origins are never equal:
///
/// | text | from |
/// |---|---|
/// | `key:` and the key | a caller: [`Self::of_key`]; also where the store drew the key, which a caller learns if the answer is lost |
/// | `process:` and a UUID | a process: a function of what caused the command |
/// | any other | an import, or a program that parsed it; ids before there were origins |
///
/// An id is parsed as it is, with any beginning, for history comes back exactly. Text from outside is a key, and never parsed.
///
/// ```
/// use headwater::CommitId;
///
/// let id = CommitId::of_key("order-7")?;
/// assert_eq!((id.as_str(), id.key()), ("key:order-7", Some("order-7")));
/// assert_ne!(id, "order-7".parse()?);
/// # Ok::<(), headwater::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(Arc<str>);

/// What a caller's id begins with.
const CALLER: &str = "key:";
/// What a process's id begins with.
const PROCESS: &str = "process:";

impl CommitId {
    /// The id of a command that a caller named, as by an `Idempotency-Key`: 1 to [`limits::CALLER_KEY_BYTES`] visible ASCII
    /// characters.
    pub fn of_key(key: &str) -> Result<Self, InvalidName> {
        check_visible("key", key, limits::CALLER_KEY_BYTES)?;
        Ok(Self(format!("{CALLER}{key}").into()))
    }

    /// The caller's key, where this is the id of a command that a caller named.
    pub fn key(&self) -> Option<&str> {
        self.0.strip_prefix(CALLER)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, where it tells: by the milliseconds in front of a UUID of version 7, written with dashes, or of a ULID.
    /// What is older than ULIDs are, or lies in the future, is none of theirs.
    pub(crate) fn born(&self) -> Option<Timestamp> {
        /// 2016-01-01.
        const FIRST_ULID: i64 = 1_451_606_400_000;
        let text = self.key().unwrap_or(self.as_str());
        let millis = match text.len() {
            36 => {
                let uuid = Uuid::try_parse(text).ok().filter(|uuid| uuid.get_version_num() == 7)?;
                i64::try_from(uuid.as_u128() >> 80).ok()?
            }
            26 => ulid_millis(text).filter(|millis| *millis >= FIRST_ULID)?,
            _ => return None,
        };
        Timestamp::from_millisecond(millis).ok()
    }

    /// The id of a process's command, which follows from `parts`, which hold no line breaks: the same for the same parts, and
    /// for no others.
    pub(crate) fn derived(parts: &[&str]) -> Self {
        /// Ids that follow from a cause; drawn once, and never changed.
        const NAMESPACE: Uuid = Uuid::from_u128(0x2c0c_8f5e_71d3_4a8e_a3f6_5d84_09be_77c1);
        Self(format!("{PROCESS}{}", Uuid::new_v5(&NAMESPACE, parts.join("\n").as_bytes())).into())
    }

    /// Where this is the id of a process's command: the id that the same command had before ids told their origin.
    pub(crate) fn before_origins(&self) -> Option<Self> {
        Some(Self(self.0.strip_prefix(PROCESS)?.into()))
    }
}

fn check_visible(field: &'static str, text: &str, most: usize) -> Result<(), InvalidName> {
    if text.is_empty() || text.len() > most || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = format!("must be 1 to {most} visible ASCII characters without spaces");
        return Err(InvalidName::new(field, rule));
    }
    Ok(())
}

/// The time that a ULID begins with; `None` where the text is none.
fn ulid_millis(text: &str) -> Option<i64> {
    /// Crockford's base 32.
    const DIGITS: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte.to_ascii_uppercase());
    let digits: Vec<usize> = text.bytes().map(digit).collect::<Option<_>>()?;
    let millis = digits.iter().take(10).fold(0, |millis, digit| millis << 5 | *digit as u64);
    (digits[0] < 8).then(|| i64::try_from(millis).ok())?
}

impl FromStr for CommitId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        check_visible("commit id", text, limits::COMMIT_ID_BYTES)?;
        Ok(Self(text.into()))
    }
}

/// Parses a text where it stands.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = InvalidName>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Text in, text out: the traits that every name shares.
macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }
    };
}

as_text!(StreamId);
as_text!(CommitId);

/// A stream and a version: what a writer gets back, and a query may bring along to read its own write (H7).
///
/// ```
/// let token: headwater::Token = "account/42@17".parse()?;
/// assert_eq!(token.version, headwater::Version::new(17));
/// # Ok::<(), headwater::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The stream that was written.
    pub stream: StreamId,
    /// The version that the write made.
    pub version: Version,
}

impl FromStr for Token {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let form = || InvalidName::new("token", "must read kind/id@version, as account/42@17");
        let (stream, version) = text.rsplit_once('@').ok_or_else(form)?;
        let version = version.parse().map(Version::new).map_err(|_| form())?;
        Ok(Self { stream: stream.parse()?, version })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.stream, self.version)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stream_id_survives_its_text_and_its_key(kind in "[a-z][a-z0-9-]{0,39}", id in "\\PC{1,32}") {
            prop_assume!(id.len() <= limits::ID_BYTES && id != "." && id != "..");
            let stream = StreamId::new(&kind, &id).expect("a valid name");
            prop_assert_eq!(stream.as_str().parse::<StreamId>().expect("parses"), stream.clone());
            prop_assert_eq!(decode_segment(&encode_segment(&id)), Some(id));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<StreamId>();
            let _ = text.parse::<CommitId>();
            let _ = text.parse::<Token>();
        }
    }

    #[test]
    fn ids_of_different_origins_are_never_equal() {
        let derived = CommitId::derived(&["transfers", "transfer/1@2", "move"]);
        let bare = derived.before_origins().expect("a process's id");
        assert_eq!(bare.as_str(), "bc2297e1-5b75-5b23-8420-3ede143e87ab", "what it was before");
        for text in [derived.as_str(), bare.as_str(), "key:x", "x"] {
            let key = CommitId::of_key(text).expect("a key");
            assert_eq!(key.key(), Some(text));
            assert!(key != derived && key != bare && key.as_str() != text);
            assert_eq!(key.as_str().parse(), Ok(key), "it is read back as it is");
        }
        assert_eq!((derived.key(), bare.key(), bare.before_origins()), (None, None, None));
        let longest = CommitId::of_key(&"x".repeat(limits::CALLER_KEY_BYTES)).expect("a key");
        assert_eq!(longest.as_str().parse(), Ok(longest));
        assert!(CommitId::of_key(&"x".repeat(limits::CALLER_KEY_BYTES + 1)).is_err());
    }

    #[test]
    fn a_bad_name_is_told_which_rule_it_breaks() {
        for (text, field) in [
            ("account", "stream"),
            ("Account/1", "stream kind"),
            ("/1", "stream kind"),
            ("account/", "stream id"),
            ("account/..", "stream id"),
            ("account/a\u{7}", "stream id"),
        ] {
            assert_eq!(text.parse::<StreamId>().expect_err(text).field, field, "{text}");
        }
        assert!("a b".parse::<CommitId>().is_err());
        assert!("x".repeat(limits::COMMIT_ID_BYTES + 1).parse::<CommitId>().is_err());
        assert!("account/1".parse::<Token>().is_err());
    }
}
