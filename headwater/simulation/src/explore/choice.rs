//! Choices: what happens next, and how a path of them is written and read.
//!
//! | text | what happens |
//! |---|---|
//! | `a3` | the third call of process `a` is done and answered |
//! | `a3?` | its answer is lost, and what it asked for is in the air |
//! | `a3~` | it is answered with 409 |
//! | `a3%0` | its first entry is throttled |
//! | `^a3` | what it asked for arrives after all |
//! | `a+` | time passes in process `a` although it waits |
//! | `a!` | process `a` dies, and its callers are gone |
//! | `a!new` | it dies, and its callers go on at a new process |
//! | `a!b` | it dies, and its callers go on at process `b` |

use std::{fmt, str::FromStr};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Pass { process: usize, call: u32 },
    Lost { process: usize, call: u32 },
    Busy { process: usize, call: u32 },
    Throttle { process: usize, call: u32, entry: usize },
    Arrive { process: usize, call: u32 },
    Time { process: usize },
    Crash { process: usize, callers: Callers },
}

/// Where the callers of a dead process go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callers {
    Gone,
    New,
    At(usize),
}

/// The letter of a process.
pub(super) fn letter(process: usize) -> char {
    u8::try_from(process).ok().and_then(|place| b'a'.checked_add(place)).map_or('?', char::from)
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass { process, call } => write!(f, "{}{call}", letter(*process)),
            Self::Lost { process, call } => write!(f, "{}{call}?", letter(*process)),
            Self::Busy { process, call } => write!(f, "{}{call}~", letter(*process)),
            Self::Throttle { process, call, entry } => write!(f, "{}{call}%{entry}", letter(*process)),
            Self::Arrive { process, call } => write!(f, "^{}{call}", letter(*process)),
            Self::Time { process } => write!(f, "{}+", letter(*process)),
            Self::Crash { process, callers } => {
                write!(f, "{}!", letter(*process))?;
                match callers {
                    Callers::Gone => Ok(()),
                    Callers::New => f.write_str("new"),
                    Callers::At(other) => write!(f, "{}", letter(*other)),
                }
            }
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| format!("{text:?} is no choice"))
    }
}

fn parse(text: &str) -> Option<Choice> {
    if let Some(arrives) = text.strip_prefix('^') {
        let (process, call) = process(arrives)?;
        return Some(Choice::Arrive { process, call: call.parse().ok()? });
    }
    let (process, rest) = process(text)?;
    if rest == "+" {
        return Some(Choice::Time { process });
    }
    if let Some(to) = rest.strip_prefix('!') {
        let callers = match to {
            "" => Callers::Gone,
            "new" => Callers::New,
            other => Callers::At(self::process(other).filter(|(_, rest)| rest.is_empty())?.0),
        };
        return Some(Choice::Crash { process, callers });
    }
    if let Some((call, entry)) = rest.split_once('%') {
        return Some(Choice::Throttle { process, call: call.parse().ok()?, entry: entry.parse().ok()? });
    }
    let digits = rest.trim_end_matches(['?', '~']);
    let call = digits.parse().ok()?;
    match &rest[digits.len()..] {
        "" => Some(Choice::Pass { process, call }),
        "?" => Some(Choice::Lost { process, call }),
        "~" => Some(Choice::Busy { process, call }),
        _ => None,
    }
}

fn process(text: &str) -> Option<(usize, &str)> {
    let letter = text.bytes().next().filter(u8::is_ascii_lowercase)?;
    Some((usize::from(letter - b'a'), &text[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_survives_its_text() {
        for text in ["a3", "b12?", "c1~", "a3%1", "^b2", "a+", "b!", "b!new", "b!a"] {
            assert_eq!(text.parse::<Choice>().expect(text).to_string(), text);
        }
        for text in ["", "3", "a", "a3?~", "^", "a!bb", "ä3", "a%1"] {
            assert!(text.parse::<Choice>().is_err(), "{text}");
        }
    }
}
