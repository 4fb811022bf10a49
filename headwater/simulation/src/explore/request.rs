//! Requests of a process to the world, as data: what waits at the gate, what is in the air, and what is answered.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use headwater::{
    format::{head::Head, key, page::Page, record::Record},
    port::{ETag, Entry, Got, ObjectError, Precondition},
};

/// What a process asks of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Get { key: String, known: Option<ETag> },
    Put { key: String, body: Bytes, only: Precondition },
    PutRecords(Vec<Entry>),
}

/// What it hears.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Got(Got),
    Put(Result<ETag, ObjectError>),
    /// Which entries were taken; the others were throttled.
    Records(Vec<bool>),
    /// No answer came.
    Lost,
}

/// Runs a future of the world in memory, which only ever yields.
pub(super) fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Get { key, known: None } => write!(f, "GET {key}"),
            Self::Get { key, known: Some(etag) } => write!(f, "GET {key} unless it is {}", short(etag)),
            Self::Put { key, body, only } => {
                write!(f, "PUT {key}: {}, if ", content(key, body))?;
                match only {
                    Precondition::Absent => f.write_str("absent"),
                    Precondition::Matches(etag) => f.write_str(short(etag)),
                }
            }
            Self::PutRecords(entries) => {
                let records = entries.iter().map(|entry| record(&entry.data));
                write!(f, "PutRecords: {}", records.collect::<Vec<_>>().join("; "))
            }
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Got(Got::Missing) => f.write_str("nothing there"),
            Self::Got(Got::Unchanged) => f.write_str("unchanged"),
            Self::Got(Got::Found { body, etag, .. }) => {
                write!(f, "{} ({})", any_content(body), short(etag))
            }
            Self::Put(Ok(etag)) => write!(f, "done ({})", short(etag)),
            Self::Put(Err(ObjectError::Precondition)) => f.write_str("412"),
            Self::Put(Err(ObjectError::InFlight)) => f.write_str("409"),
            Self::Put(Err(error)) => error.fmt(f),
            Self::Records(taken) if taken.iter().all(|taken| *taken) => f.write_str("taken"),
            Self::Records(taken) => {
                let words = taken.iter().map(|taken| if *taken { "taken" } else { "throttled" });
                f.write_str(&words.collect::<Vec<_>>().join(", "))
            }
            Self::Lost => f.write_str("no answer"),
        }
    }
}

/// An `ETag` without the zeros.
fn short(etag: &ETag) -> &str {
    let digits = etag.0.trim_matches('"').trim_start_matches('0');
    if digits.is_empty() { &etag.0 } else { digits }
}

fn content(key: &str, body: &[u8]) -> String {
    if key.starts_with(key::PAGES) { page(body) } else { head(body) }
}

fn any_content(body: &[u8]) -> String {
    if Head::decode(body).is_ok() { head(body) } else { page(body) }
}

fn head(body: &[u8]) -> String {
    let Ok(head) = Head::decode(body) else { return "no head".to_owned() };
    let commits = head.commits.iter().map(|commit| format!("{}={}", commit.first, commit.id));
    format!("head at {}, {}", head.version, commits.collect::<Vec<_>>().join(" "))
}

fn page(body: &[u8]) -> String {
    Page::decode(body)
        .map_or_else(|_| "no page".to_owned(), |page| format!("page {}..={}", page.first, page.last))
}

fn record(data: &[u8]) -> String {
    let Ok(record) = Record::decode(data) else { return "no record".to_owned() };
    let commits = record.commits.iter().map(|commit| format!("{}={}", commit.first, commit.id));
    format!("{} {}", record.stream, commits.collect::<Vec<_>>().join(" "))
}
