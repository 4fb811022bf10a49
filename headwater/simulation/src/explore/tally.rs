//! The aggregate of the explored processes: its state is the list of commits that made it.

use headwater::Aggregate;
use serde::{Deserialize, Serialize};

/// The names of the commits, in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally(pub(super) Vec<String>);

/// Note this name, with so many bytes beside it.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) name: &'static str,
    pub(super) bytes: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum TallyEvent {
    Noted {
        name: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        padding: String,
    },
}

impl Aggregate for Tally {
    const KIND: &'static str = "tally";
    type Command = Note;
    type Event = TallyEvent;
    type Rejection = std::convert::Infallible;

    fn decide(&self, note: &Note) -> Result<Vec<TallyEvent>, Self::Rejection> {
        Ok(vec![TallyEvent::Noted { name: note.name.to_owned(), padding: "-".repeat(note.bytes) }])
    }

    fn evolve(&mut self, TallyEvent::Noted { name, .. }: &TallyEvent) {
        self.0.push(name.clone());
    }
}
