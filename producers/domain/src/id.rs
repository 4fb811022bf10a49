//! Texts within bounds: what accounts, users and transfers are called, and what a payer writes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest [`AccountId`], [`UserId`] and [`TransferId`], in bytes.
const ID_BYTES: usize = 64;
/// Shortest and longest [`Username`], in bytes.
const USERNAME_BYTES: std::ops::RangeInclusive<usize> = 3..=30;
/// Longest [`Reference`], in characters: what SEPA allows.
const REFERENCE_CHARACTERS: usize = 140;

/// A text that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidText(String);

/// The name of an account: 1 to 64 ASCII letters, digits, dashes and underscores, so that it stands in a path or a header
/// as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// What a payer writes: 1 to 140 characters, none of them control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference(String);

/// The name of a user's stream, which never changes: as an [`AccountId`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

/// The name of a transfer: as an [`AccountId`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransferId(String);

/// What a user is called: 3 to 30 ASCII letters, digits, dashes, dots and underscores, a letter first. ASCII, because what
/// looks the same must be the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(String);

impl Username {
    /// The form by which names are compared: in lower case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// What accounts, users and transfers may be called.
fn check_id(text: String) -> Result<String, InvalidText> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=ID_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text);
    }
    Err(InvalidText(format!("1 to {ID_BYTES} ASCII letters, digits, dashes and underscores")))
}

impl TryFrom<String> for AccountId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        check_id(text).map(Self)
    }
}

impl TryFrom<String> for UserId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        check_id(text).map(Self)
    }
}

impl TryFrom<String> for TransferId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        check_id(text).map(Self)
    }
}

impl TryFrom<String> for Username {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if USERNAME_BYTES.contains(&text.len()) && begins && text.bytes().all(allowed) {
            return Ok(Self(text));
        }
        let (least, most) = (USERNAME_BYTES.start(), USERNAME_BYTES.end());
        let rule =
            format!("{least} to {most} ASCII letters, digits, dashes, dots and underscores, a letter first");
        Err(InvalidText(rule))
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let characters = text.chars().count();
        if (1..=REFERENCE_CHARACTERS).contains(&characters) && !text.chars().any(char::is_control) {
            return Ok(Self(text));
        }
        Err(InvalidText(format!("1 to {REFERENCE_CHARACTERS} characters without control characters")))
    }
}

/// Text in, text out: what all have in common.
macro_rules! as_text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

as_text!(AccountId);
as_text!(UserId);
as_text!(TransferId);
as_text!(Username);
as_text!(Reference);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_stands_in_a_path_as_it_is() {
        for text in ["42", "a-B_9", &"x".repeat(64)] {
            assert_eq!(text.parse::<AccountId>().expect(text).as_str(), text);
        }
        for text in ["", "a/b", "a b", "ü", "..", "%2e", &"x".repeat(65)] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_username_begins_with_a_letter_and_has_one_folded_form() {
        for text in ["ann", "A.b-c_9", &"x".repeat(30)] {
            assert_eq!(text.parse::<Username>().expect(text).folded(), text.to_lowercase());
        }
        for text in ["", "an", "9nn", ".nn", "änn", "a nn", &"x".repeat(31)] {
            assert!(text.parse::<Username>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_reference_is_counted_in_characters() {
        assert!("ü".repeat(140).parse::<Reference>().is_ok());
        for text in ["", "a\nb", &"x".repeat(141)] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
