//! The aggregate of these tests: a counter with a ceiling.

use headwater::Aggregate;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    pub sum: i64,
    pub events: u64,
}

#[derive(Debug, Clone)]
pub enum Command {
    Add(i64),
    /// As many events, of 1 each.
    Burst(usize),
    /// An event with this text.
    Note(String),
    /// Refused when the sum would pass it.
    AddUpTo {
        add: i64,
        most: i64,
    },
    Nothing,
    Panic,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    Added(i64),
    Noted { text: String },
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{sum} and {add} is too much")]
pub struct TooMuch {
    pub sum: i64,
    pub add: i64,
}

impl Aggregate for Counter {
    const KIND: &'static str = "counter";
    type Command = Command;
    type Event = Event;
    type Rejection = TooMuch;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, TooMuch> {
        match command {
            Command::Add(number) => Ok(vec![Event::Added(*number)]),
            Command::Burst(events) => Ok(vec![Event::Added(1); *events]),
            Command::Note(text) => Ok(vec![Event::Noted { text: text.clone() }]),
            Command::AddUpTo { add, most } if self.sum + add > *most => {
                Err(TooMuch { sum: self.sum, add: *add })
            }
            Command::AddUpTo { add, .. } => Ok(vec![Event::Added(*add)]),
            Command::Nothing => Ok(Vec::new()),
            Command::Panic => panic!("a bug in the domain"),
        }
    }

    fn evolve(&mut self, event: &Event) {
        self.events += 1;
        if let Event::Added(number) = event {
            self.sum += number;
        }
    }

    /// Additions commute while the sum stays below a hundred.
    fn merge(&self, decided: &[Event], _others: &[Event]) -> bool {
        let added = |event: &Event| if let Event::Added(number) = event { *number } else { 0 };
        self.sum + decided.iter().map(added).sum::<i64>() < 100
    }
}

/// The same counter after its state has changed its meaning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewCounter(pub Counter);

impl Aggregate for NewCounter {
    const KIND: &'static str = Counter::KIND;
    const SCHEMA: u32 = 2;
    type Command = Command;
    type Event = Event;
    type Rejection = TooMuch;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, TooMuch> {
        self.0.decide(command)
    }

    fn evolve(&mut self, event: &Event) {
        self.0.evolve(event);
    }
}
