//! Events, typed and stored.
//!
//! A domain writes its events as a plain serde enum; a variant's name is the event's `type`, its content the `data`:
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize)]
//! enum AccountEvent {
//!     Credited { amount: u64 },
//!     Closed,
//! }
//! ```
//!
//! Between the two, data stays text: an event that nobody looks into is never parsed or written again. [`schema`](crate::schema)
//! takes the one form to the other.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor},
};
use serde_json::{de::StrRead, value::RawValue};

use crate::{
    id::InvalidName,
    ijson::{self, InvalidPart, Numbers},
    limits,
    redact::json_fault,
};

/// An event as it is stored and sent: `{"type":"Credited","schema":1,"data":{…}}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredEvent {
    /// What happened: the variant's name, at most [`limits::EVENT_TYPE_BYTES`].
    #[serde(rename = "type")]
    pub name: String,
    /// The number of the data's schema, from 1.
    pub schema: u32,
    /// The content, as JSON text; `null` for a unit variant.
    pub data: Box<RawValue>,
}

impl PartialEq for StoredEvent {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.schema == other.schema && self.data.get() == other.data.get()
    }
}

/// An event as it is stored, in text that somebody else holds; nobody has looked yet whether the data are JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventText<'a> {
    /// What happened.
    pub name: &'a str,
    /// The number of the data's schema, from 1.
    pub schema: u32,
    /// The content.
    pub data: &'a str,
}

/// Why an event cannot be written, or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is no variant of the enum, or its data do not fit.
    #[error("event {name:?}, schema {schema}: {reason}")]
    Unfit {
        /// The event's type, empty where it could not be told.
        name: String,
        /// The schema number.
        schema: u32,
        /// What does not fit, without the data.
        reason: String,
    },
    /// Its data are of a schema that is not known here: a deployment that is under way brings it, or one that was forgotten.
    #[error(
        "schema {schema} of {name} is newer than {newest}, the newest that is known here: a newer version wrote it"
    )]
    Newer {
        /// The event's type.
        name: String,
        /// The schema number.
        schema: u32,
        /// The newest that is known.
        newest: u32,
    },
}

impl StoredEvent {
    /// An event from its parts, its type checked.
    pub fn new(name: impl Into<String>, schema: u32, data: Box<RawValue>) -> Result<Self, InvalidName> {
        let name = name.into();
        crate::id::check_segment("event type", &name, limits::EVENT_TYPE_BYTES)?;
        Ok(Self { name, schema, data })
    }

    /// One variant of a serde enum, as an event of schema 1.
    pub(crate) fn of<E: Serialize>(event: &E) -> Result<Self, EventError> {
        let unfit = |reason: String| EventError::Unfit { name: String::new(), schema: 1, reason };
        let json = serde_json::to_string(event).map_err(|cause| unfit(json_fault(&cause)))?;
        let (name, data) = match serde_json::from_str(&json).map_err(|cause| unfit(json_fault(&cause)))? {
            Tagged::Unit(name) => (name, RawValue::NULL.to_owned()),
            Tagged::Content(name, data) => (name, data.to_owned()),
        };
        Self::new(name, 1, data).map_err(|cause| unfit(cause.to_string()))
    }

    /// Refuses what not every reader of a history could read, however the event was made: a type, a schema number or data beyond
    /// their [`limits`], and data that are no I-JSON.
    pub fn check(&self) -> Result<(), InvalidPart> {
        let wrong = |path: &str, rule: String| InvalidPart { path: path.to_owned(), rule };
        crate::id::check_segment("event type", &self.name, limits::EVENT_TYPE_BYTES)
            .map_err(|error| wrong(".type", error.rule))?;
        if !(1..=limits::SCHEMA).contains(&self.schema) {
            let rule = format!("must be 1 to {}, is {}", limits::SCHEMA, self.schema);
            return Err(wrong(".schema", rule));
        }
        ijson::check(&self.data, limits::DATA_DEPTH, Numbers::Text)
            .map_err(|error| wrong(&format!(".data{}", error.path), error.rule))
    }

    /// Its parts where they stand.
    pub fn text(&self) -> EventText<'_> {
        EventText { name: &self.name, schema: self.schema, data: self.data.get() }
    }
}

impl EventText<'_> {
    /// The variant of a serde enum that it is, whatever its schema, without a copy of the data.
    pub(crate) fn variant<E: DeserializeOwned>(self) -> Result<E, EventError> {
        E::deserialize(Stored(self)).map_err(|cause| self.unfit(json_fault(&cause)))
    }

    /// Its data do not fit.
    pub(crate) fn unfit(self, reason: String) -> EventError {
        EventError::Unfit { name: self.name.to_owned(), schema: self.schema, reason }
    }
}

/// What serde writes for an enum by default: `"Closed"` or `{"Credited":{…}}`.
enum Tagged<'a> {
    Unit(String),
    Content(String, &'a RawValue),
}

impl<'de> Deserialize<'de> for Tagged<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variant;
        impl<'de> Visitor<'de> for Variant {
            type Value = Tagged<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one variant of an externally tagged enum")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Tagged::Unit(name.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let empty = || de::Error::custom("an event needs a type");
                let (name, data) = map.next_entry()?.ok_or_else(empty)?;
                if map.next_key::<de::IgnoredAny>()?.is_some() {
                    return Err(de::Error::custom(
                        "an event is an enum variant, not a struct of several fields",
                    ));
                }
                Ok(Tagged::Content(name, data))
            }
        }
        deserializer.deserialize_any(Variant)
    }
}

/// Shows a stored event to serde as the enum variant that it was.
struct Stored<'a>(EventText<'a>);

impl<'de> Stored<'de> {
    /// The data as `read` takes them: one value, and nothing behind it.
    fn whole<T>(
        self,
        read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> Result<T, serde_json::Error>,
    ) -> Result<T, serde_json::Error> {
        let mut data = serde_json::Deserializer::from_str(self.0.data);
        let value = read(&mut data)?;
        data.end().map(|()| value)
    }
}

impl<'de> Deserializer<'de> for Stored<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Stored<'de> {
    type Error = serde_json::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Self::Error> {
        let name: de::value::StrDeserializer<'_, Self::Error> = self.0.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Stored<'de> {
    type Error = serde_json::Error;

    fn unit_variant(self) -> Result<(), Self::Error> {
        self.whole(|data| de::IgnoredAny::deserialize(data)).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Self::Error> {
        self.whole(|data| seed.deserialize(data))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.whole(|data| data.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.whole(|data| data.deserialize_map(visitor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Unit,
        Newtype(Vec<String>),
        Pair(i64, Option<bool>),
        Fields { text: String, inner: Option<Box<Sample>> },
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let leaf = prop_oneof![
            Just(Sample::Unit),
            any::<Vec<String>>().prop_map(Sample::Newtype),
            any::<(i64, Option<bool>)>().prop_map(|(a, b)| Sample::Pair(a, b)),
        ];
        leaf.prop_recursive(3, 8, 1, |inner| {
            (any::<String>(), proptest::option::of(inner.prop_map(Box::new)))
                .prop_map(|(text, inner)| Sample::Fields { text, inner })
        })
    }

    proptest! {
        #[test]
        fn every_shape_of_variant_comes_back(event in sample()) {
            let stored = StoredEvent::of(&event).expect("encodes");
            prop_assert_eq!(stored.text().variant::<Sample>().expect("decodes"), event);
        }
    }

    #[test]
    fn the_stored_form_is_type_schema_and_data() {
        let event = Sample::Fields { text: "x".into(), inner: None };
        let stored = StoredEvent::of(&event).expect("encodes");
        let json = serde_json::to_string(&stored).expect("serializes");
        assert_eq!(json, r#"{"type":"Fields","schema":1,"data":{"text":"x","inner":null}}"#);
    }

    #[test]
    fn data_that_are_not_one_value_are_no_event() {
        fn read(name: &str, data: &str) -> Result<Sample, EventError> {
            EventText { name, schema: 1, data }.variant()
        }
        for (name, data) in [
            ("Unit", "null"),
            ("Newtype", r#"["x"]"#),
            ("Pair", "[1,true]"),
            ("Fields", r#"{"text":"x","inner":null}"#),
        ] {
            read(name, data).expect(data);
            for broken in [format!("{data},"), format!("{data}{data}"), data.replacen(['n', '"', '['], "", 1)]
            {
                read(name, &broken).expect_err(&broken);
            }
        }
    }

    #[test]
    fn what_is_no_variant_is_refused() {
        assert!(StoredEvent::of(&42).is_err());
        assert!(StoredEvent::of(&serde_json::json!({"a": 1, "b": 2})).is_err());
        let unknown = StoredEvent::new("Exploded", 1, RawValue::NULL.to_owned()).expect("a valid name");
        let error = unknown.text().variant::<Sample>().expect_err("no such variant").to_string();
        assert!(error.contains("Exploded"), "{error}");
    }
}
