//! Finds values and members in a JSON text, as far as they can be told: broken text has some too.
//!
//! Places in the text, and not a parsed document: what a parser makes equal (a repeated member, `1.0` and `1`, escapes)
//! is just what a decoder has to be tried with.

use std::ops::Range;

/// Most places of a kind that are told.
const MOST: usize = 4_096;

/// Where things stand in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Values: texts, numbers, words, arrays and objects, innermost first. No names of members.
    pub values: Vec<Range<usize>>,
    /// Members of objects, from the first byte of the name to the last of the value.
    pub members: Vec<Range<usize>>,
}

/// One array or object that is open, or the text itself.
#[derive(Default)]
struct Level {
    begin: usize,
    /// Where the member began whose value comes next.
    member: Option<usize>,
}

/// Finds what stands in `text`.
pub fn places(text: &[u8]) -> Places {
    let mut places = Places::default();
    let mut levels = vec![Level::default()];
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        if places.values.len() >= MOST {
            break;
        }
        let begin = at;
        at += 1;
        match byte {
            b'{' | b'[' => levels.push(Level { begin, member: None }),
            b'}' | b']' => {
                if levels.len() > 1
                    && let Some(level) = levels.pop()
                {
                    places.value(level.begin..at, &mut levels);
                }
            }
            b'"' => {
                at = end_of_text(text, at);
                if next(text, at) == Some(b':') {
                    if let Some(level) = levels.last_mut() {
                        level.member = Some(begin);
                    }
                } else {
                    places.value(begin..at, &mut levels);
                }
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
                at += text.iter().skip(at).take_while(|byte| goes_on(byte)).count();
                places.value(begin..at, &mut levels);
            }
            _ => {}
        }
    }
    places
}

impl Places {
    fn value(&mut self, place: Range<usize>, levels: &mut [Level]) {
        if let Some(begin) = levels.last_mut().and_then(|level| level.member.take()) {
            self.members.push(begin..place.end);
        }
        self.values.push(place);
    }
}

/// The place after the quotation mark that ends a text.
fn end_of_text(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
    }
    at.min(text.len())
}

/// The next byte that is no white space.
fn next(text: &[u8], at: usize) -> Option<u8> {
    text.iter().skip(at).copied().find(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_members_are_found_where_they_stand() {
        let text = br#"{"a": [1, "x\"y"], "b": {"c":null}}"#;
        let found = places(text);
        let words = |places: Vec<Range<usize>>| -> Vec<String> {
            places.into_iter().map(|place| String::from_utf8_lossy(&text[place]).into_owned()).collect()
        };
        let whole = String::from_utf8_lossy(text).into_owned();
        assert_eq!(
            words(found.values),
            ["1", r#""x\"y""#, r#"[1, "x\"y"]"#, "null", r#"{"c":null}"#, &whole]
        );
        assert_eq!(words(found.members), [r#""a": [1, "x\"y"]"#, r#""c":null"#, r#""b": {"c":null}"#]);
    }

    #[test]
    fn broken_text_has_places_within_it() {
        for text in ["", "}", "]]{{", r#"{"a":"#, r#""\"#, r#"{"a":1,"#, "nul"] {
            let Places { values, members } = places(text.as_bytes());
            assert!(values.iter().chain(&members).all(|place| place.end <= text.len()), "{text}");
        }
    }
}
