//! Schemas: how the data of an event change shape over the years, and how what was written long ago is read today.
//!
//! 1. The data of every event type begin at schema 1. An [`Upcaster`] takes data of one schema to the next; the newest schema
//!    of a type is one more than the upcasters that it has. That table is all there is: nobody counts a second time.
//! 2. What is written has the newest schema of its type: [`Schemas::encode`].
//! 3. What is read and older goes through the chain first; what is of the newest schema stays text until it becomes the
//!    event: [`Schemas::decode`].
//! 4. What is newer is refused, [`EventError::Newer`]: what it means is known where it was written, and nobody here guesses.
//!    A projection parks that stream, an aggregate decides nothing, and both go on once the newer version runs here too.
//!
//! ```
//! use headwater::{StoredEvent, schema::{Schemas, Upcaster}};
//! use serde::{Deserialize, Serialize};
//! use serde_json::{Value, json};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! enum DoorEvent {
//!     Opened { by: String },
//! }
//!
//! /// Schema 1 of `Opened` did not say who did it.
//! const UPCASTERS: &[Upcaster] = &[Upcaster {
//!     event: "Opened",
//!     from: 1,
//!     up: |_: Value| Ok(json!({ "by": "somebody" })),
//! }];
//! const SCHEMAS: Schemas = Schemas::new(UPCASTERS);
//!
//! let opened = DoorEvent::Opened { by: "somebody".to_owned() };
//! let old: StoredEvent = serde_json::from_str(r#"{"type":"Opened","schema":1,"data":null}"#)?;
//! assert_eq!(SCHEMAS.decode::<DoorEvent>(&old)?, opened);
//! assert_eq!(SCHEMAS.encode(&opened)?.schema, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::{
    aggregate::Aggregate,
    event::{EventError, EventText, StoredEvent},
    redact::json_fault,
};

/// Takes the data of one event type from a schema to the next.
///
/// # Contract
///
/// - `up` is pure, and stays as it is once it has run anywhere: what it makes of old data is what they mean.
/// - `event` is the type as it is stored. A variant that was renamed has its old name's chain beside its new one's.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// The event's type.
    pub event: &'static str,
    /// The schema of the data that it takes; it makes data of the one after.
    pub from: u32,
    /// The data of the next schema, or why they cannot be made of these: a literal, for data are not to get into logs.
    pub up: fn(Value) -> Result<Value, &'static str>,
}

/// The schemas of an enum of events, by the upcasters that there are.
#[derive(Debug, Clone, Copy)]
pub struct Schemas(&'static [Upcaster]);

impl Schemas {
    /// Every type is at its first schema.
    pub const FIRST: Self = Self(&[]);

    /// The schemas that these upcasters make.
    ///
    /// # Panics
    ///
    /// Where those of one type are not in order from schema 1 on, without a hole or a double. In a `const` that is an error of
    /// the compiler, and [`Self::of`] makes it one.
    pub const fn new(upcasters: &'static [Upcaster]) -> Self {
        let mut place = 0;
        while place < upcasters.len() {
            let (before, _) = upcasters.split_at(place);
            assert!(
                upcasters[place].from == newest(before, upcasters[place].event.as_bytes()),
                "the upcasters of an event type must take its data from schema 1 to 2, to 3 and so on, in this order"
            );
            place += 1;
        }
        Self(upcasters)
    }

    /// The schemas of an aggregate's events.
    pub const fn of<A: Aggregate>() -> Self {
        const { Self::new(A::UPCASTERS) }
    }

    /// The newest schema of an event type, which is the one that is written; 1 for a type without upcasters.
    pub const fn newest(self, event: &str) -> u32 {
        newest(self.0, event.as_bytes())
    }

    /// Encodes one variant of a serde enum, as an event of its type's newest schema.
    pub fn encode<E: Serialize>(self, event: &E) -> Result<StoredEvent, EventError> {
        let mut stored = StoredEvent::of(event)?;
        stored.schema = self.newest(&stored.name);
        Ok(stored)
    }

    /// Decodes into a serde enum: data of the newest schema without a copy, older ones through their upcasters.
    pub fn decode<E: DeserializeOwned>(self, stored: &StoredEvent) -> Result<E, EventError> {
        self.decode_text(stored.text())
    }

    /// As [`Self::decode`], from text that somebody else holds: nothing is copied before the event is made.
    pub fn decode_text<E: DeserializeOwned>(self, stored: EventText<'_>) -> Result<E, EventError> {
        let newest = self.newest(stored.name);
        if stored.schema == newest {
            return stored.variant();
        }
        if stored.schema > newest {
            return Err(EventError::Newer { name: stored.name.to_owned(), schema: stored.schema, newest });
        }
        let data = self.taken_up(stored).map_err(|reason| stored.unfit(reason))?;
        EventText { schema: newest, data: data.get(), ..stored }.variant()
    }

    /// The data of an older event as they would be written today.
    fn taken_up(self, stored: EventText<'_>) -> Result<Box<RawValue>, String> {
        if stored.schema == 0 {
            return Err("schemas are counted from 1".to_owned());
        }
        let mut data = serde_json::from_str(stored.data).map_err(|cause| json_fault(&cause))?;
        let mut schema = stored.schema;
        for upcaster in self.0 {
            if upcaster.event == stored.name && upcaster.from == schema {
                data = (upcaster.up)(data).map_err(|reason| format!("from schema {schema}: {reason}"))?;
                schema += 1;
            }
        }
        to_raw_value(&data).map_err(|cause| json_fault(&cause))
    }
}

/// One more than the upcasters of this type.
const fn newest(upcasters: &[Upcaster], event: &[u8]) -> u32 {
    let (mut schema, mut place) = (1, 0);
    while place < upcasters.len() {
        if same(upcasters[place].event.as_bytes(), event) {
            schema += 1;
        }
        place += 1;
    }
    schema
}

/// `==`, which a `const fn` does not have for text.
pub(crate) const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut place = 0;
    while place < one.len() && place < other.len() && one[place] == other[place] {
        place += 1;
    }
    place == one.len() && place == other.len()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// What a payment says today: schema 3. Schema 1 had whole units, schema 2 minor units and no currency.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Payment {
        Paid { minor: i64, currency: String },
        Stopped,
    }

    fn minor(mut data: Value) -> Result<Value, &'static str> {
        let units = data["units"].as_i64().ok_or("it has no units")?;
        data["minor"] = units.checked_mul(100).ok_or("too much")?.into();
        Ok(data)
    }

    fn currency(mut data: Value) -> Result<Value, &'static str> {
        data.as_object_mut().ok_or("no object")?.insert("currency".to_owned(), "EUR".into());
        Ok(data)
    }

    const SCHEMAS: Schemas = Schemas::new(&[
        Upcaster { event: "Paid", from: 1, up: minor },
        Upcaster { event: "Paid", from: 2, up: currency },
    ]);

    fn stored(name: &str, schema: u32, data: &str) -> StoredEvent {
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        StoredEvent::new(name, schema, data).expect("an event")
    }

    fn paid(minor: i64, currency: &str) -> Payment {
        Payment::Paid { minor, currency: currency.to_owned() }
    }

    #[test]
    fn events_of_every_schema_mean_today_what_they_meant() {
        for (schema, data, meaning) in [
            (1, r#"{"units":12}"#, paid(1_200, "EUR")),
            (2, r#"{"minor":1234}"#, paid(1_234, "EUR")),
            (3, r#"{"minor":1234,"currency":"CHF"}"#, paid(1_234, "CHF")),
        ] {
            assert_eq!(SCHEMAS.decode::<Payment>(&stored("Paid", schema, data)).expect(data), meaning);
        }
        assert_eq!(
            SCHEMAS.decode::<Payment>(&stored("Stopped", 1, "null")).expect("known"),
            Payment::Stopped
        );
    }

    #[test]
    fn what_is_written_has_the_newest_schema_of_its_type() {
        let written = |event| SCHEMAS.encode(&event).expect("encodes").schema;
        assert_eq!((written(paid(1, "EUR")), written(Payment::Stopped)), (3, 1));
    }

    #[test]
    fn a_newer_schema_is_refused_and_not_guessed_at() {
        // It would fit: that is no reason to believe it.
        for (name, data, newest) in [("Paid", r#"{"minor":1,"currency":"EUR"}"#, 3), ("Stopped", "null", 1)] {
            let error =
                SCHEMAS.decode::<Payment>(&stored(name, newest + 1, data)).expect_err("a newer schema");
            assert!(matches!(error, EventError::Newer { .. }));
            let says = format!(
                "schema {} of {name} is newer than {newest}, the newest that is known here: a newer version wrote it",
                newest + 1
            );
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn old_data_that_never_were_of_their_schema_are_told_apart() {
        for (schema, data, says) in [
            (0, "{}", r#"event "Paid", schema 0: schemas are counted from 1"#),
            (1, r#"{"minor":3}"#, r#"event "Paid", schema 1: from schema 1: it has no units"#),
            (1, r#"{"units":99999999999999999}"#, r#"event "Paid", schema 1: from schema 1: too much"#),
            (2, "[]", r#"event "Paid", schema 2: from schema 2: no object"#),
        ] {
            let error = SCHEMAS.decode::<Payment>(&stored("Paid", schema, data)).expect_err(data);
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn a_chain_with_a_hole_a_double_or_out_of_order_is_no_chain() {
        let chain = |froms: &'static [u32]| {
            let upcaster = |from: &u32| Upcaster { event: "Paid", from: *from, up: currency };
            let other = Upcaster { event: "Paid2", from: 1, up: currency };
            let mut upcasters: Vec<_> = froms.iter().map(upcaster).collect();
            upcasters.insert(upcasters.len() / 2, other);
            std::panic::catch_unwind(|| Schemas::new(upcasters.leak()).newest("Paid")).ok()
        };
        assert_eq!([chain(&[]), chain(&[1]), chain(&[1, 2, 3])], [Some(1), Some(2), Some(4)]);
        assert_eq!([chain(&[2]), chain(&[1, 3]), chain(&[1, 1]), chain(&[2, 1]), chain(&[0, 1])], [None; 5]);
    }
}
