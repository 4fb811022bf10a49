//! Redaction: what logs, spans, metrics and parked reasons say of data that do not fit. They hold names, types, versions
//! and positions, and never data: logs are kept for long, and read by more people than a stream is.
//!
//! - What serde says of a value is cut to the kind of fault, what was expected, and the place: [`json_fault`].
//! - A panic's message is kept where it is a literal of the code; one that was formatted may hold data: [`panic_words`].
//! - An error type of a domain is said by its name: `type_name`.

use std::any::Any;

use serde_json::error::Category;

/// What serde calls the shapes of values, as far as it is said before the value.
const SHAPES: [&str; 14] = [
    "boolean",
    "integer",
    "floating point",
    "character",
    "string",
    "byte array",
    "unit value",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "null",
    "unit variant",
];

/// What is wrong with JSON, without the values in it.
pub fn json_fault(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    if error.classify() != Category::Data {
        // These texts are literals of the parser.
        return whole;
    }
    let place = match (error.line(), error.column()) {
        (0, _) => String::new(),
        (line, column) => format!(" at line {line} column {column}"),
    };
    let text = whole.strip_suffix(&place).unwrap_or(&whole);
    format!("{}{place}", data_fault(text))
}

/// The kind of a fault that serde, or a type of our own, tells in `text`.
fn data_fault(text: &str) -> String {
    let expected =
        |mark: &str| text.rfind(mark).map_or("", |at| &text[at + mark.len() - ", expected ".len()..]);
    for kind in ["unknown variant", "unknown field"] {
        if text.starts_with(kind) {
            return format!("{kind}{}", expected("`, expected "));
        }
    }
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some(value) = text.strip_prefix(kind) {
            let shape = SHAPES.into_iter().find(|shape| value.starts_with(shape)).unwrap_or("another");
            return format!("{kind}{shape}{}", expected(", expected "));
        }
    }
    // Names of fields, lengths and format numbers are the program's.
    let said = ["missing field `", "duplicate field `", "invalid length ", "format "];
    if said.iter().any(|said| text.starts_with(said)) {
        return text.to_owned();
    }
    "a value that its type refuses".to_owned()
}

/// What a panic said, where that is a literal.
pub fn panic_words(panic: &(dyn Any + Send)) -> &'static str {
    panic.downcast_ref::<&'static str>().copied().unwrap_or("with a message that may hold data")
}

/// A type's name without its path.
pub(crate) fn type_name<T: ?Sized>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, panic::catch_unwind};

    use serde::{Deserialize, de};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is asked for")]
    enum Sample {
        Number { number: u8, even: Option<Even> },
        Pair(u8, u8),
    }

    #[derive(Debug)]
    struct Even;

    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(de::Error::custom(format_args!("{text} is odd")))
        }
    }

    #[test]
    fn a_fault_is_told_without_the_value() {
        for (json, says) in [
            (r#"{"Number":{"number":"CANARY"}}"#, "invalid type: string, expected u8"),
            (r#"{"Number":{"number":"CANARY, expected x"}}"#, "invalid type: string, expected u8"),
            (r#"{"Number":{"number":31337}}"#, "invalid value: integer, expected u8"),
            (r#"{"CANARY":{}}"#, "unknown variant, expected `Number` or `Pair`"),
            (r#"{"`, expected CANARY":{}}"#, "unknown variant, expected `Number` or `Pair`"),
            (r#"{"Number":{"CANARY":1}}"#, "unknown field, expected `number` or `even`"),
            (r#"{"Number":{}}"#, "missing field `number`"),
            (r#"{"Number":{"number":1,"even":"CANARY"}}"#, "a value that its type refuses"),
            (r#"{"Pair":[1]}"#, "invalid length 1, expected tuple variant Sample::Pair with 2 elements"),
            (r#"{"Number":"#, "EOF while parsing a value"),
        ] {
            let fault = json_fault(&serde_json::from_str::<Sample>(json).expect_err(json));
            let (fault, column) = fault.split_once(" at line 1 column ").expect("a place");
            assert_eq!(fault, says, "{json}");
            assert!(column.parse::<usize>().is_ok(), "{column}");
        }
        let keyed = serde_json::from_str::<BTreeMap<u8, u8>>(r#"{"CANARY":1}"#).expect_err("a text");
        assert!(!json_fault(&keyed).contains("CANARY"), "{keyed}");
    }

    #[test]
    fn a_panic_is_told_in_the_words_of_the_code_alone() {
        let said = |panics: fn()| panic_words(&*catch_unwind(panics).expect_err("it panics"));
        assert_eq!(said(|| panic!("out of range")), "out of range");
        let canary = || panic!("{} is out of range", String::from("CANARY"));
        assert_eq!(said(canary), "with a message that may hold data");
    }
}
