//! I-JSON (RFC 7493): JSON that every reader can read, and that all of them read alike.
//!
//! Data are kept as the text that they came as, and that text may say what readers refuse or understand differently: half a
//! character (`"\ud800"`), a number beyond a double (`1e400`), a name twice in one object, arrays within arrays without an
//! end. What the store takes in is checked for it before it is written, so that views, processes, the archive and whoever
//! else reads its history can.
//!
//! One pass over text that is known to be JSON, without a tree and without recursion. Large integers and long fractions are
//! let through: they are kept as text, and RFC 7493 only warns of readers that round them. So are noncharacters, which
//! Unicode allows to be exchanged (its corrigendum 9).

use std::{borrow::Cow, fmt::Write as _};

use serde_json::value::RawValue;

/// Most bytes of the path that an error names.
const PATH_BYTES: usize = 200;
/// A number of so many characters and no exponent is within a double's range.
const SAFE_DIGITS: usize = 300;

/// A part of an event, or of other JSON, that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {rule}")]
pub struct InvalidPart {
    /// Where it is, from the outermost value, as `.lines[3].amount`; empty for that value itself, at most 200 bytes.
    pub path: String,
    /// The rule that it breaks.
    pub rule: String,
}

/// What becomes of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// They stay text.
    Text,
    /// They become integers of 64 bits, or doubles: one that neither holds as it is written is refused.
    Values,
}

/// Refuses text that is not I-JSON, or has arrays and objects nested more than `depth` deep within the outermost value.
pub fn check(json: &RawValue, depth: usize, numbers: Numbers) -> Result<(), InvalidPart> {
    let scan = Scan { text: json.get(), at: 0, names: Vec::new(), open: Vec::new(), depth, numbers };
    scan.run()
}

/// A number as it is counted: negative or not, its digits without zeros at either end, and the power of ten that they are of.
/// Two texts are the same number if these are equal.
pub fn decimal(number: &str) -> (bool, String, i64) {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return (negative, String::new(), 0);
    }
    let places = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX);
    let power: i64 = power.parse().unwrap_or(if power.starts_with('-') { i64::MIN } else { i64::MAX });
    let power =
        power.saturating_sub(places(fraction.len())).saturating_add(places(digits.len() - kept.len()));
    (negative, kept.trim_start_matches('0').to_owned(), power)
}

/// The pass over one text.
struct Scan<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// The names of every open object so far, outermost first.
    names: Vec<Cow<'a, str>>,
    open: Vec<Open>,
    depth: usize,
    numbers: Numbers,
}

/// An array or object that is open.
struct Open {
    /// Where its names begin.
    names: usize,
    /// The index of its current element; `None` for an object.
    index: Option<usize>,
    /// A name comes next.
    name_next: bool,
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), InvalidPart> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            let begin = self.at;
            self.at += 1;
            match byte {
                b'{' => self.enter(None)?,
                b'[' => self.enter(Some(0))?,
                b'}' | b']' => self.leave()?,
                b',' => {
                    if let Some(open) = self.open.last_mut() {
                        open.name_next = open.index.is_none();
                        open.index = open.index.map(|index| index + 1);
                    }
                }
                b'"' => self.string(begin)?,
                b'-' | b'0'..=b'9' => self.number(begin)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn enter(&mut self, index: Option<usize>) -> Result<(), InvalidPart> {
        if self.open.len() > self.depth {
            let rule = format!("must be nested at most {} deep", self.depth);
            return Err(InvalidPart { path: String::new(), rule });
        }
        self.open.push(Open { names: self.names.len(), index, name_next: index.is_none() });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), InvalidPart> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let names = self.names.get_mut(open.names..).unwrap_or_default();
        names.sort_unstable();
        let twice = names.array_windows().find(|[one, other]| one == other).map(|[name, _]| name.clone());
        self.names.truncate(open.names);
        let Some(name) = twice else { return Ok(()) };
        self.open.push(Open { name_next: false, ..open });
        self.names.push(name);
        Err(self.refused("must occur once in its object (I-JSON, RFC 7493)"))
    }

    /// A string that begins at the quotation mark `begin`.
    fn string(&mut self, begin: usize) -> Result<(), InvalidPart> {
        let is_name = self.open.last_mut().is_some_and(|open| std::mem::take(&mut open.name_next));
        let mut escaped = false;
        loop {
            match self.next_byte() {
                b'\\' => {
                    escaped = true;
                    if self.next_byte() == b'u' && !self.is_whole_character() {
                        if is_name {
                            // It has no name that could be told.
                            self.names.push(Cow::Borrowed("?"));
                        }
                        return Err(self.refused("must hold no lone surrogate (I-JSON, RFC 7493)"));
                    }
                }
                b'"' => break,
                _ => {}
            }
        }
        if is_name {
            let quoted = self.text.get(begin..self.at).unwrap_or_default();
            let plain = || quoted.get(1..quoted.len() - 1).unwrap_or_default();
            let read = if escaped { serde_json::from_str(quoted).ok().map(Cow::Owned) } else { None };
            self.names.push(read.unwrap_or_else(|| Cow::Borrowed(plain())));
        }
        Ok(())
    }

    /// Whether the escape whose four digits come next is a character, alone or with the one behind it.
    fn is_whole_character(&mut self) -> bool {
        match self.unit() {
            0xd800..=0xdbff => {
                let second = self.text.as_bytes().get(self.at..self.at + 2) == Some(b"\\u");
                self.at += 2;
                second && (0xdc00..=0xdfff).contains(&self.unit())
            }
            0xdc00..=0xdfff => false,
            _ => true,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> u32 {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        self.at += 4;
        u32::from_str_radix(digits, 16).unwrap_or_default()
    }

    /// The next byte; at the end of the text, which JSON does not have within a string, one that ends it.
    fn next_byte(&mut self) -> u8 {
        let byte = self.text.as_bytes().get(self.at).copied().unwrap_or(b'"');
        self.at += 1;
        byte
    }

    fn number(&mut self, begin: usize) -> Result<(), InvalidPart> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let goes_on = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
        self.at += rest.iter().take_while(goes_on).count();
        let number = self.text.get(begin..self.at).unwrap_or_default();
        let safe = number.len() <= SAFE_DIGITS && !number.contains(['e', 'E']);
        if !safe && !number.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.refused("must be a number within a double's range (I-JSON, RFC 7493)"));
        }
        let held =
            || serde_json::from_str(number).map(|value: serde_json::Number| decimal(&value.to_string()));
        if self.numbers == Numbers::Values && held().ok() != Some(decimal(number)) {
            return Err(self
                .refused("must be a number that 64 bits hold as it is written, as an integer or a double"));
        }
        Ok(())
    }

    /// What stands here breaks a rule.
    fn refused(&self, rule: &str) -> InvalidPart {
        let mut path = String::new();
        let ends = self.open.iter().skip(1).map(|open| open.names).chain([self.names.len()]);
        for (open, end) in self.open.iter().zip(ends) {
            // Writing to a string does not fail.
            let _ = match (open.index, end.checked_sub(1).and_then(|last| self.names.get(last))) {
                (Some(index), _) => write!(path, "[{index}]"),
                (None, Some(name)) => write!(path, ".{name}"),
                (None, None) => Ok(()),
            };
        }
        path.truncate(path.floor_char_boundary(PATH_BYTES));
        InvalidPart { path, rule: rule.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn checked(text: &str, depth: usize) -> Result<(), InvalidPart> {
        check(&raw(text), depth, Numbers::Text)
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn refused(text: &str) -> String {
        checked(text, 3).expect_err(text).to_string()
    }

    #[test]
    fn what_not_every_reader_reads_is_refused_with_its_place_and_rule() {
        let number = "must be a number within a double's range (I-JSON, RFC 7493)";
        let surrogate = "must hold no lone surrogate (I-JSON, RFC 7493)";
        let twice = "must occur once in its object (I-JSON, RFC 7493)";
        for (text, path, rule) in [
            ("1e400", "", number),
            ("-1e309", "", number),
            (&format!("1{}", "0".repeat(309)), "", number),
            (&format!("1{}.5", "0".repeat(309)), "", number),
            (r#"{"a":{"b":1},"c":[1,{"d":[2, 1E+999]}]}"#, ".c[1].d[1]", number),
            (r#""\ud800""#, "", surrogate),
            (r#""\udc00""#, "", surrogate),
            (r#""\uD83D\n""#, "", surrogate),
            (r#""\ud83d\ud83d""#, "", surrogate),
            (r#"{"a":["x","\\\uDFFF"]}"#, ".a[1]", surrogate),
            (r#"{"a":{"\ud800":1}}"#, ".a.?", surrogate),
            (r#"{"a":1,"a":1}"#, ".a", twice),
            (r#"{"x":[{"b":1,"a":[],"\u0062":2}],"b":3}"#, ".x[0].b", twice),
            ("[[[[[]]]]]", "", "must be nested at most 3 deep"),
            (r#"{"a":{"a":{"a":{"a":[]}}}}"#, "", "must be nested at most 3 deep"),
        ] {
            assert_eq!(refused(text), format!("{path} {rule}"), "{text}");
        }
        let long = format!(r#"{{"{}":1e400}}"#, "ä".repeat(1_000));
        assert_eq!(checked(&long, 3).expect_err("a number").path.len(), PATH_BYTES - 1);
    }

    #[test]
    fn what_every_reader_reads_is_taken() {
        for text in [
            "null",
            "12345678901234567890",
            "123456789012345678901234567890.12345678901234567890",
            "-0",
            "1e308",
            "1e-400",
            &"9".repeat(308),
            r#""\ud83d\ude00 \\ud800 \" \u0000""#,
            r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}],"A":"a","":0}"#,
            r#"["{","[","1e400",",\"a\":\"a\""]"#,
            "[[[[]]], [], {\"a\": [1, 2]}]",
        ] {
            checked(text, 3).expect(text);
        }
    }

    #[test]
    fn a_number_that_becomes_a_value_is_what_was_written() {
        for kept in [
            "0",
            "-0",
            "0.0",
            "5",
            "-5",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "1.50",
            "1e2",
            "1E+2",
            "100e-2",
            "1.7976931348623157e308",
            "5e-324",
            "1e29",
            "0.0000001",
            "0e5",
        ] {
            assert_eq!(check(&raw(kept), 0, Numbers::Values), Ok(()), "{kept}");
        }
        for lost in [
            "18446744073709551616",
            "123456789012345678901234567890",
            "-9223372036854775809",
            "0.1000000000000000055511151231257827",
            "1e-400",
            "1e-99999999999999999999",
        ] {
            let refused = check(&raw(&format!("{{\"n\":[{lost}]}}")), 9, Numbers::Values).expect_err(lost);
            assert_eq!(refused.path, ".n[0]");
            assert!(refused.rule.starts_with("must be a number that 64 bits hold"), "{refused}");
        }
    }

    /// Any JSON, deeper and larger than what is drawn for it.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_is_i_json_as_it_is_written(value in json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
                prop_assert_eq!(checked(&text, 5), Ok(()), "{}", text);
            }
        }

        #[test]
        fn a_name_that_occurs_twice_anywhere_is_found(value in json(), name: String, size in 0_usize..60) {
            let name = Value::from(name).to_string();
            let others: Vec<_> = (0..size).map(|number| format!("\"{number}\":{value},")).collect();
            let text = format!("[{value},{{{}{name}:1,\"x\":{value},{name}:{value}}}]", others.concat());
            let refused = checked(&text, 7).expect_err("twice");
            prop_assert!(refused.rule.starts_with("must occur once"), "{}", refused);
        }

        #[test]
        fn no_json_panics(text in r#"(\{|\}|\[|\]|:|,|"|\\|\\u|[dD]8|00|e|[0-9]|-|é){0,40}"#) {
            if let Ok(json) = RawValue::from_string(text) {
                let read = serde_json::from_str::<Value>(json.get());
                prop_assert!(read.is_ok() || check(&json, 100, Numbers::Text).is_err(), "{}", json);
            }
        }
    }
}
