//! Reads: which kinds of streams a projection or process reads, and what it makes of their events.
//!
//! An event's type means something within its kind only: an account and a portfolio may both be `Closed`, with other data.
//! So events are decoded by kind and type, each kind with its own enum and its own upcasters.
//!
//! - Who reads all events of an aggregate names it: `type Reads = Account`.
//! - Who reads a few types, or several kinds, has an enum for that, and says in [`Reads::KINDS`] how each kind's events
//!   become one.
//!
//! What is derived from [`Reads::KINDS`], and said nowhere else: which streams are read at all, and how.

use std::convert::identity;

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, Visitor},
};

use crate::{
    aggregate::Aggregate,
    event::{EventError, EventText, StoredEvent},
    id::StreamId,
    schema::{Schemas, Upcaster},
};

/// The kinds of streams that are read, and their events.
///
/// ```
/// use headwater::consume::{Kind, Reads};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// enum DoorEvent {
///     Opened { by: String },
///     Closed,
/// }
///
/// #[derive(Deserialize)]
/// enum CaseEvent {
///     Closed { verdict: String },
/// }
///
/// enum Happened {
///     Door(DoorEvent),
///     Case(CaseEvent),
/// }
///
/// impl Reads for Happened {
///     type Event = Self;
///     const KINDS: &'static [Kind<Self>] = &[
///         Kind::within("door", &[], |event| event.read(Self::Door)),
///         Kind::within("case", &[], |event| event.read(Self::Case)),
///     ];
/// }
///
/// /// One kind alone: an enum that names the types that matter.
/// #[derive(Deserialize)]
/// enum Verdict {
///     Closed { verdict: String },
/// }
///
/// impl Reads for Verdict {
///     type Event = Self;
///     const KINDS: &'static [Kind<Self>] = &[Kind::new("case", &[])];
/// }
/// ```
pub trait Reads: 'static {
    /// An event of one of these kinds.
    type Event: Send + Sync + 'static;

    /// The kinds, each once, which the compiler checks where a projection or process is run.
    const KINDS: &'static [Kind<Self::Event>];
}

/// All events of an aggregate.
impl<A: Aggregate> Reads for A {
    type Event = A::Event;
    const KINDS: &'static [Kind<A::Event>] = &[Kind::new(A::KIND, A::UPCASTERS)];
}

/// How the events of one kind are read.
#[derive(Debug)]
pub struct Kind<E> {
    name: &'static str,
    schemas: Schemas,
    read: ReadKind<E>,
}

/// `None` where the type is not read.
type ReadKind<E> = fn(RawEvent<'_>) -> Result<Option<E>, EventError>;

impl<E: DeserializeOwned> Kind<E> {
    /// The streams `name/…`, whose events are variants of the serde enum `E`, see [`event`](crate::event). Types that it does
    /// not name are not read. `upcasters` take older events up to today's schema.
    ///
    /// # Panics
    ///
    /// As [`Schemas::new`]: in a `const` that is an error of the compiler.
    pub const fn new(name: &'static str, upcasters: &'static [Upcaster]) -> Self {
        Self::within(name, upcasters, |event| event.read(identity))
    }
}

impl<E> Kind<E> {
    /// As [`Self::new`], where `E` has a variant for each kind: `read` calls [`RawEvent::read`] with that variant.
    ///
    /// # Panics
    ///
    /// As [`Self::new`].
    pub const fn within(name: &'static str, upcasters: &'static [Upcaster], read: ReadKind<E>) -> Self {
        Self { name, schemas: Schemas::new(upcasters), read }
    }

    /// As [`Self::within`], for the streams of an aggregate, with its upcasters.
    pub const fn of<A: Aggregate>(read: ReadKind<E>) -> Self {
        Self { name: A::KIND, schemas: Schemas::of::<A>(), read }
    }

    /// The kind, as `account` in `account/42`.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// An event as it is stored, with the upcasters of its kind.
#[derive(Debug, Clone, Copy)]
pub struct RawEvent<'a> {
    text: EventText<'a>,
    schemas: Schemas,
}

impl RawEvent<'_> {
    /// What `into` makes of the variant of a serde enum that this is; `None` where the enum names no such type.
    ///
    /// # Errors
    ///
    /// The data do not fit the type, or are of a newer schema.
    pub fn read<T: DeserializeOwned, E>(self, into: impl FnOnce(T) -> E) -> Result<Option<E>, EventError> {
        if Types::of::<T>().contains(self.text.name) {
            self.schemas.decode_text(self.text).map(into).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The names of the kinds that are read, for filters and whoever tells of it.
pub fn kinds<R: Reads>() -> impl Iterator<Item = &'static str> {
    R::KINDS.iter().map(Kind::name)
}

/// Whether streams of this kind are read.
pub(crate) fn reads<R: Reads>(stream: &StreamId) -> bool {
    kind::<R>(stream).is_some()
}

/// An event of a stream, as `R` reads it; `None` where it does not.
pub(crate) fn read<R: Reads>(
    stream: &StreamId,
    stored: &StoredEvent,
) -> Result<Option<R::Event>, EventError> {
    let Some(kind) = kind::<R>(stream) else { return Ok(None) };
    (kind.read)(RawEvent { text: stored.text(), schemas: kind.schemas })
}

fn kind<R: Reads>(stream: &StreamId) -> Option<&'static Kind<R::Event>> {
    const { assert_distinct(R::KINDS) };
    R::KINDS.iter().find(|kind| kind.name == stream.kind())
}

/// A second entry of a kind would never be used.
const fn assert_distinct<E>(kinds: &[Kind<E>]) {
    let mut place = 0;
    while place < kinds.len() {
        let mut other = place + 1;
        while other < kinds.len() {
            let (one, two) = (kinds[place].name.as_bytes(), kinds[other].name.as_bytes());
            assert!(!crate::schema::same(one, two), "a kind is read in one way: it is named twice");
            other += 1;
        }
        place += 1;
    }
}

/// The event types that an enum names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Types(Option<&'static [&'static str]>);

impl Types {
    /// Asks the enum itself for its variants. One that does not tell, as an untagged enum, is taken to read all.
    pub(crate) fn of<E: DeserializeOwned>() -> Self {
        let mut variants = None;
        let _ = E::deserialize(Probe(&mut variants));
        Self(variants)
    }

    /// Their names; none where the enum does not tell.
    pub(crate) fn names(self) -> &'static [&'static str] {
        self.0.unwrap_or_default()
    }

    fn contains(self, name: &str) -> bool {
        self.0.is_none_or(|variants| variants.contains(&name))
    }
}

/// A deserializer that holds no data and notes which variants it is asked for.
struct Probe<'a>(&'a mut Option<&'static [&'static str]>);

/// Its only answer. It says nothing, so that asking costs nothing.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing to read")]
struct NothingToRead;

impl de::Error for NothingToRead {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = NothingToRead;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(NothingToRead)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(variants);
        Err(NothingToRead)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{json, value::RawValue};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Door {
        Opened { by: String },
        Closed,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Case {
        Closed { verdict: String },
    }

    #[derive(Debug, PartialEq)]
    enum Happened {
        Door(Door),
        Case(Case),
    }

    const WITH_VERDICT: &[Upcaster] =
        &[Upcaster { event: "Closed", from: 1, up: |_| Ok(json!({ "verdict": "unknown" })) }];

    impl Reads for Happened {
        type Event = Self;
        const KINDS: &'static [Kind<Self>] = &[
            Kind::within("door", &[], |event| event.read(Self::Door)),
            Kind::within("case", WITH_VERDICT, |event| event.read(Self::Case)),
        ];
    }

    fn read_of(stream: &str, name: &str, schema: u32, data: &str) -> Result<Option<Happened>, EventError> {
        let data = RawValue::from_string(data.to_owned()).expect("JSON");
        let stored = StoredEvent::new(name, schema, data).expect("an event");
        read::<Happened>(&stream.parse().expect("a stream"), &stored)
    }

    #[test]
    fn types_of_one_name_are_decoded_by_their_kind() {
        let door = read_of("door/1", "Closed", 1, "null");
        assert_eq!(door, Ok(Some(Happened::Door(Door::Closed))));
        let guilty = Case::Closed { verdict: "guilty".to_owned() };
        let case = read_of("case/1", "Closed", 2, r#"{"verdict":"guilty"}"#);
        assert_eq!(case, Ok(Some(Happened::Case(guilty))));
    }

    #[test]
    fn upcasters_are_those_of_the_kind() {
        let unknown = Case::Closed { verdict: "unknown".to_owned() };
        assert_eq!(read_of("case/1", "Closed", 1, "null"), Ok(Some(Happened::Case(unknown))));
        let newer = read_of("door/1", "Closed", 2, "null").expect_err("a newer schema");
        assert!(matches!(newer, EventError::Newer { newest: 1, .. }), "{newer}");
    }

    #[test]
    fn what_is_of_another_kind_or_type_is_not_read() {
        assert_eq!(read_of("case/1", "Opened", 1, r#"{"by":"x"}"#), Ok(None));
        assert_eq!(read_of("lamp/1", "Closed", 1, "null"), Ok(None));
        assert!(!reads::<Happened>(&"lamp/1".parse().expect("a stream")));
    }

    #[test]
    fn an_enum_tells_which_types_it_reads() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is asked for")]
        enum Named {
            Opened(u64),
            #[serde(rename = "shut", alias = "Shut")]
            Closed,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        #[expect(dead_code, reason = "only its shape is asked for")]
        enum Untold {
            Number(u64),
        }
        let types = Types::of::<Named>();
        let read = ["Opened", "shut", "Shut", "Closed", "Renamed"].map(|name| types.contains(name));
        assert_eq!(read, [true, true, true, false, false]);
        assert!(Types::of::<Untold>().contains("Anything"));
    }
}
