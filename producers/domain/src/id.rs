//! Texts within bounds: the name of an account, and what a payer writes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest [`AccountId`], in bytes.
const ACCOUNT_ID_BYTES: usize = 64;
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

impl TryFrom<String> for AccountId {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=ACCOUNT_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text));
        }
        let rule = format!("1 to {ACCOUNT_ID_BYTES} ASCII letters, digits, dashes and underscores");
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

/// Text in, text out: what both have in common.
macro_rules! as_text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
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
    fn a_reference_is_counted_in_characters() {
        assert!("ü".repeat(140).parse::<Reference>().is_ok());
        for text in ["", "a\nb", &"x".repeat(141)] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
