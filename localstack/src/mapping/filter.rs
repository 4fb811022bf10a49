//! Filter criteria: patterns over a record's metadata and its JSON `data`, as AWS has them.
//!
//! A pattern is an object. Each of its fields must match: an object goes deeper, a list matches if any of its
//! matchers does. `$or` takes a list of patterns of which one must match. A matcher is a plain value or one of
//! `prefix`, `suffix`, `anything-but`, `exists`, `numeric`, `equals-ignore-case`. A list in the record matches if any
//! of its elements does. Data that is no JSON matches no pattern that looks into it.
//!
//! JSON may say what a reader refuses (`1e400`, half a character, arrays within arrays without an end). Such a part is taken
//! as the text that it is: a record is never lost for a part of it that no pattern asks for.

use std::collections::BTreeMap;

use ferrokinesis::types::StoredRecord;
use serde_json::{Map, Value, value::RawValue};

use super::{MappingError, event};

/// How deep the parts of data are looked at one by one that cannot be read as a whole.
const DEPTH: usize = 16;

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is no JSON.
    #[error("it is no JSON")]
    NoJson,
    /// It, or a part of it, should be an object with at least one field.
    #[error("{0} should be an object with fields")]
    NoObject(String),
    /// A field holds neither an object nor a list of matchers.
    #[error("{0} should hold an object or a list with at least one matcher")]
    NoMatchers(String),
    /// A matcher is none that is known, or its value is of the wrong kind.
    #[error("{0} is no matcher")]
    UnknownMatcher(String),
}

/// Every pattern of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    fields: Vec<(String, Node)>,
    /// For each `$or`, the patterns of which one must match.
    alternatives: Vec<Vec<Pattern>>,
}

#[derive(Debug, Clone)]
enum Node {
    Deeper(Pattern),
    Any(Vec<Matcher>),
}

#[derive(Debug, Clone)]
enum Matcher {
    Exactly(Value),
    Prefix(String),
    Suffix(String),
    EqualsIgnoreCase(String),
    AnythingBut(Vec<Matcher>),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filter {
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, MappingError> {
        let parsed = patterns.iter().map(|pattern| {
            let value = serde_json::from_str(pattern).map_err(|_| PatternError::NoJson);
            value
                .and_then(|value: Value| parse_pattern(&value))
                .map_err(|source| MappingError::Filter { pattern: pattern.clone(), source })
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    /// True if the record is wanted.
    pub(crate) fn wants(&self, sequence: &str, stored: &StoredRecord) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let data = event::data(stored).unwrap_or_default();
        let data = String::from_utf8_lossy(&data);
        let data = serde_json::from_str(&data).map_or_else(
            |_| Value::String(data.clone().into_owned()),
            |json: &RawValue| readable(json.get(), DEPTH),
        );
        let record = serde_json::json!({
            "kinesisSchemaVersion": "1.0",
            "partitionKey": stored.partition_key,
            "sequenceNumber": sequence,
            "approximateArrivalTimestamp": stored.approximate_arrival_timestamp,
            "data": data,
        });
        self.0.iter().any(|pattern| pattern.matches(&record))
    }
}

/// JSON as far as it can be read: a part that cannot is its text.
fn readable(json: &str, depth: usize) -> Value {
    if let Ok(value) = serde_json::from_str(json) {
        return value;
    }
    let part = |json: &RawValue| readable(json.get(), depth - 1);
    let parts: Option<Value> = match json.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            serde_json::from_str(json).ok().map(|members: BTreeMap<String, &RawValue>| {
                members.into_iter().map(|(name, member)| (name, part(member))).collect()
            })
        }
        Some(b'[') if depth > 0 => serde_json::from_str(json)
            .ok()
            .map(|elements: Vec<&RawValue>| elements.into_iter().map(part).collect()),
        _ => None,
    };
    parts.unwrap_or_else(|| Value::String(json.to_owned()))
}

impl Pattern {
    fn matches(&self, value: &Value) -> bool {
        if let Value::Array(elements) = value {
            return elements.iter().any(|element| self.matches(element));
        }
        let fields = self.fields.iter().all(|(name, node)| node.matches(value.get(name)));
        fields && self.alternatives.iter().all(|any| any.iter().any(|pattern| pattern.matches(value)))
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            // A field that is not there may still satisfy an `exists: false` below.
            Self::Deeper(pattern) => pattern.matches(value.unwrap_or(&Value::Null)),
            Self::Any(matchers) => matchers.iter().any(|matcher| matcher.matches(value)),
        }
    }
}

impl Matcher {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(expected), value) => *expected == value.is_some_and(|value| !value.is_object()),
            (_, None) => false,
            (Self::AnythingBut(_), Some(Value::Array(elements))) => {
                elements.iter().all(|element| self.matches_one(element))
            }
            (_, Some(Value::Array(elements))) => elements.iter().any(|element| self.matches_one(element)),
            (_, Some(value)) => self.matches_one(value),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        let text = |matches: &dyn Fn(&str) -> bool| value.as_str().is_some_and(matches);
        match self {
            Self::Exactly(Value::Number(expected)) => {
                value.as_f64().is_some_and(|number| Some(number) == expected.as_f64())
            }
            Self::Exactly(expected) => value == expected,
            Self::Prefix(prefix) => text(&|text| text.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text(&|text| text.ends_with(suffix.as_str())),
            Self::EqualsIgnoreCase(expected) => text(&|text| text.to_lowercase() == expected.to_lowercase()),
            Self::AnythingBut(unwanted) => {
                !value.is_object() && !unwanted.iter().any(|matcher| matcher.matches_one(value))
            }
            Self::Exists(expected) => *expected,
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
                comparisons.iter().all(|(comparison, bound)| comparison.holds(number, *bound))
            }),
        }
    }
}

impl Comparison {
    #[allow(clippy::float_cmp, reason = "a pattern that asks for a number means that number")]
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

fn parse_pattern(value: &Value) -> Result<Pattern, PatternError> {
    let object = value.as_object().filter(|object| !object.is_empty());
    let object = object.ok_or_else(|| PatternError::NoObject(value.to_string()))?;
    let mut pattern = Pattern { fields: Vec::new(), alternatives: Vec::new() };
    for (name, value) in object {
        match value {
            Value::Array(any) if name == "$or" => {
                pattern.alternatives.push(any.iter().map(parse_pattern).collect::<Result<_, _>>()?);
            }
            Value::Array(matchers) if !matchers.is_empty() => {
                let matchers = matchers.iter().map(parse_matcher).collect::<Result<_, _>>()?;
                pattern.fields.push((name.clone(), Node::Any(matchers)));
            }
            Value::Object(_) => pattern.fields.push((name.clone(), Node::Deeper(parse_pattern(value)?))),
            _ => return Err(PatternError::NoMatchers(name.clone())),
        }
    }
    Ok(pattern)
}

fn parse_matcher(value: &Value) -> Result<Matcher, PatternError> {
    match value {
        Value::Object(object) => {
            parse_named(object).ok_or_else(|| PatternError::UnknownMatcher(value.to_string()))
        }
        Value::Array(_) => Err(PatternError::UnknownMatcher(value.to_string())),
        plain => Ok(Matcher::Exactly(plain.clone())),
    }
}

fn parse_named(object: &Map<String, Value>) -> Option<Matcher> {
    let mut fields = object.iter();
    let (name, value) = fields.next()?;
    if fields.next().is_some() {
        return None;
    }
    let text = || value.as_str().map(str::to_owned);
    Some(match name.as_str() {
        "prefix" => Matcher::Prefix(text()?),
        "suffix" => Matcher::Suffix(text()?),
        "equals-ignore-case" => Matcher::EqualsIgnoreCase(text()?),
        "exists" => Matcher::Exists(value.as_bool()?),
        "numeric" => Matcher::Numeric(parse_numeric(value.as_array()?)?),
        "anything-but" => Matcher::AnythingBut(match value {
            Value::Array(unwanted) => unwanted.iter().map(parse_matcher).collect::<Result<_, _>>().ok()?,
            one => vec![parse_matcher(one).ok()?],
        }),
        _ => return None,
    })
}

fn parse_numeric(parts: &[Value]) -> Option<Vec<(Comparison, f64)>> {
    if parts.is_empty() || parts.len() > 4 {
        return None;
    }
    let pairs = parts.chunks(2).map(|pair| {
        let [comparison, bound] = pair else { return None };
        let comparison = match comparison.as_str()? {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        Some((comparison, bound.as_f64()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn wanted(pattern: &str, data: &str) -> bool {
        let stored = StoredRecord {
            partition_key: "account/42".to_owned(),
            data: STANDARD.encode(data),
            approximate_arrival_timestamp: 1.0,
        };
        Filter::parse(&[pattern.to_owned()]).unwrap().wants("7", &stored)
    }

    #[test]
    fn a_record_is_wanted_if_the_pattern_matches() {
        let given = r#"{"kind":"account","n":5,"on":true,"no":null,"tags":["a","b"],"in":{"x":{"y":"Zed"}},
            "list":[{"k":1},{"k":2}]}"#;
        let table = [
            (r#"{"data":{"kind":["account"]}}"#, true),
            (r#"{"data":{"kind":["user","account"]}}"#, true),
            (r#"{"data":{"kind":["user"]}}"#, false),
            (r#"{"data":{"n":[5.0]}}"#, true),
            (r#"{"data":{"n":["5"]}}"#, false),
            (r#"{"data":{"on":[true],"no":[null]}}"#, true),
            (r#"{"data":{"kind":["account"],"n":[6]}}"#, false),
            (r#"{"data":{"kind":[{"prefix":"acc"}]}}"#, true),
            (r#"{"data":{"kind":[{"prefix":"x"}]}}"#, false),
            (r#"{"data":{"kind":[{"suffix":"unt"}]}}"#, true),
            (r#"{"data":{"kind":[{"anything-but":"user"}]}}"#, true),
            (r#"{"data":{"kind":[{"anything-but":["account","user"]}]}}"#, false),
            (r#"{"data":{"kind":[{"anything-but":{"prefix":"acc"}}]}}"#, false),
            (r#"{"data":{"missing":[{"anything-but":"user"}]}}"#, false),
            (r#"{"data":{"kind":[{"exists":true}]}}"#, true),
            (r#"{"data":{"kind":[{"exists":false}]}}"#, false),
            (r#"{"data":{"missing":[{"exists":false}]}}"#, true),
            (r#"{"data":{"missing":{"deep":[{"exists":false}]}}}"#, true),
            (r#"{"data":{"n":[{"numeric":[">",4,"<=",5]}]}}"#, true),
            (r#"{"data":{"n":[{"numeric":["=",4]}]}}"#, false),
            (r#"{"data":{"kind":[{"numeric":[">",0]}]}}"#, false),
            (r#"{"data":{"in":{"x":{"y":[{"equals-ignore-case":"zED"}]}}}}"#, true),
            (r#"{"data":{"tags":["b"]}}"#, true),
            (r#"{"data":{"tags":[{"anything-but":"b"}]}}"#, false),
            (r#"{"data":{"list":{"k":[2]}}}"#, true),
            (r#"{"data":{"$or":[{"n":[6]},{"kind":["account"]}]}}"#, true),
            (r#"{"data":{"on":[true],"$or":[{"n":[6]},{"kind":["user"]}]}}"#, false),
            (r#"{"partitionKey":["account/42"]}"#, true),
            (r#"{"partitionKey":["account/43"],"data":{"n":[5]}}"#, false),
        ];
        for (when, then) in table {
            assert_eq!(wanted(when, given), then, "{when}");
        }
        assert!(!wanted(r#"{"data":{"kind":["account"]}}"#, "no JSON"));
        assert!(wanted(r#"{"data":["no JSON"]}"#, "no JSON"));
    }

    #[test]
    fn a_part_that_no_reader_reads_hides_no_other() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for part in ["1e400", "-1e999", r#""\ud800""#, r#"{"\ud800":1}"#, &deep] {
            let data = format!(
                r#"{{"kind":"account","types":["Opened"],"commits":[{{"events":[{{"type":"Opened","data":{{"n":5,"x":{part}}}}}]}}]}}"#
            );
            assert!(wanted(r#"{"data":{"kind":["account"]}}"#, &data), "{part}");
            assert!(wanted(r#"{"data":{"types":["Opened"]}}"#, &data));
            assert!(wanted(r#"{"data":{"commits":{"events":{"data":{"n":[5]}}}}}"#, &data));
            assert!(!wanted(r#"{"data":{"kind":["user"]}}"#, &data));
        }
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        for wrong in [
            "no JSON",
            "[]",
            "{}",
            r#"{"data":"x"}"#,
            r#"{"data":[]}"#,
            r#"{"data":{"a":[{"like":"x"}]}}"#,
            r#"{"data":{"a":[{"prefix":1}]}}"#,
            r#"{"data":{"a":[{"numeric":[">"]}]}}"#,
            r#"{"data":{"a":[{"prefix":"a","suffix":"b"}]}}"#,
        ] {
            assert!(Filter::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
