//! The pointer: which generation of a projection's views is asked, and which is being built, at `projections/{projection}`.
//!
//! Without one, generation 0 serves and none is being built. Generations only ever grow, so no two pointers of a projection
//! have the same bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Format, FormatError};

const OBJECT: &str = "pointer";

/// The generations of a projection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    format: Format<1>,
    /// The generation that answers queries.
    pub serving: u32,
    /// The generation that is being built, newer than the one that serves.
    pub building: Option<u32>,
}

impl Pointer {
    /// The pointer at these generations.
    pub fn new(serving: u32, building: Option<u32>) -> Self {
        Self { format: Format, serving, building }
    }

    /// The generations that take commits in: the one that is being built first, so that it is never behind the other when it
    /// takes its place.
    pub fn written(self) -> impl Iterator<Item = u32> {
        self.building.into_iter().chain([self.serving])
    }

    /// The same, with a generation being built that nobody has written yet.
    #[must_use]
    pub fn begun(self) -> Self {
        let newest = self.building.unwrap_or(self.serving);
        Self { building: Some(newest.saturating_add(1)), ..self }
    }

    /// Reads and checks a pointer.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let pointer: Self = super::parse(OBJECT, bytes)?;
        let newest = pointer.building.unwrap_or(pointer.serving);
        if newest == u32::MAX || pointer.building.is_some_and(|building| building <= pointer.serving) {
            let reason = format!("{newest} cannot be built beside generation {}", pointer.serving);
            return Err(FormatError::new(OBJECT, &reason));
        }
        Ok(pointer)
    }

    /// The pointer's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::golden;

    proptest! {
        #[test]
        fn a_pointer_comes_back(serving in 0..u32::MAX - 9, more in proptest::option::of(1_u32..9)) {
            let pointer = Pointer::new(serving, more.map(|more| serving + more));
            prop_assert_eq!(Pointer::decode(&pointer.encode().expect("encodes")), Ok(pointer));
            let begun = pointer.begun();
            prop_assert!(begun.building > pointer.building.max(Some(serving)), "nobody has written it");
            prop_assert_eq!(Pointer::decode(&begun.encode().expect("encodes")), Ok(begun));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Pointer::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_pointer_stands() {
        let golden = golden::read("pointer.json");
        let pointer = Pointer::decode(&golden).expect("decodes");
        assert_eq!(pointer, Pointer::new(3, Some(5)));
        golden::check("pointer.json", &pointer.encode().expect("encodes"));
    }

    #[test]
    fn a_generation_is_built_beside_an_older_one_only() {
        for text in [
            r#"{"format":2,"serving":0,"building":null}"#,
            r#"{"format":1,"serving":3,"building":3}"#,
            r#"{"format":1,"serving":3,"building":2}"#,
            r#"{"format":1,"serving":4294967295,"building":null}"#,
            r#"{"format":1,"serving":-1,"building":null}"#,
        ] {
            assert!(Pointer::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
