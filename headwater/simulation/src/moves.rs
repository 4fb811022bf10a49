//! Moves: a process that books on the echo of every ledger what is booked on the ledger itself, each amount once.
//!
//! What a ledger and its echo hold together tells of every command that was lost or took effect twice. An echo is a ledger
//! like any other, so everything else that is promised of ledgers is promised of it.

use std::collections::BTreeMap;

use headwater::{
    Options, Schemas, Store, StreamId, Version,
    consume::{Cause, Process, ReactError},
    invariants::History,
};

use crate::{
    ledger::{Entry, Order},
    next::{NextEntry, NextLedger},
    report::{Finding, Promise},
};

/// What the id of an echo begins with.
const ECHO: &str = "echo-";

/// The process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moves;

impl Process for Moves {
    const NAME: &'static str = "moves";
    type Reads = NextLedger;

    fn reads(&self, stream: &StreamId) -> bool {
        !is_echo(stream)
    }

    async fn react(&self, store: &Store, cause: &Cause<'_, NextEntry>) -> Result<(), ReactError> {
        let Entry::Booked { amount } = cause.event.old() else { return Ok(()) };
        let options = Options { repeats_after: Some(Version::ZERO), ..cause.options("echo") };
        // Without its sign, so that no echo is ever refused.
        let book = Order::Book(vec![amount.abs()]);
        store.execute::<NextLedger>(&echo(cause.stream), book, options).await?;
        Ok(())
    }
}

/// Whether a ledger is the echo of another.
pub(crate) fn is_echo(stream: &StreamId) -> bool {
    stream.id().starts_with(ECHO)
}

fn echo(stream: &StreamId) -> String {
    format!("{ECHO}{}", stream.id())
}

/// What was booked on a ledger and not on its echo, or more than once.
pub(crate) fn check(histories: &BTreeMap<StreamId, History>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (stream, history) in histories.iter().filter(|(stream, _)| Moves.reads(stream)) {
        let echoed = StreamId::new(stream.kind(), &echo(stream)).ok().and_then(|echo| histories.get(&echo));
        let mut echoes: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for commit in echoed.iter().flat_map(|echo| &echo.commits) {
            if let Some(cause) = commit.meta.get("causation").and_then(|cause| cause.as_str()) {
                let amounts = commit.events.iter().filter_map(booked);
                echoes.entry(cause.to_owned()).or_default().extend(amounts);
            }
        }
        let events = history.commits.iter().flat_map(|commit| commit.versioned());
        for (version, amount) in events.filter_map(|(version, event)| Some((version, booked(event)?))) {
            let echoed = echoes.remove(&format!("{stream}@{version}")).unwrap_or_default();
            if echoed != [amount.abs()] {
                let found = format!("{amount} was booked by {version}, and its echo says {echoed:?}");
                findings.push(Finding::new(Promise::Reacted, stream, found));
            }
        }
        if !echoes.is_empty() {
            let found = format!("its echo says what nobody booked: {echoes:?}");
            findings.push(Finding::new(Promise::Reacted, stream, found));
        }
    }
    findings
}

fn booked(event: &headwater::StoredEvent) -> Option<i64> {
    match Schemas::of::<NextLedger>().decode::<NextEntry>(event).ok()?.old() {
        Entry::Booked { amount } => Some(amount),
        _ => None,
    }
}
