//! Privacy: what is in an event, or is claimed, is in no line, no span and no reason of a parked stream.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use super::{Bench, arrival, history, raw, record, stream};
use crate::{
    aggregate::Aggregate,
    claim::Claim,
    consume::{
        ApplyError, Cause, Envelope, Kind, Process, Projection, Projector, ReactError, Reactor, Reads, parked,
    },
    format::key,
    id::StreamId,
    store::{Options, Settings, Store},
};

/// What nobody may find.
const CANARY: &str = "DE02-CANARY";

/// All that was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Paid {
    Number(u64),
    Iban { iban: String },
    Refused { iban: String },
    Rejected { iban: String },
    Panicking { iban: String },
}

impl Reads for Paid {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[Kind::new("account", &[])];
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is refused")]
struct Refusal(String);

struct Payments;

impl Projection for Payments {
    const NAME: &'static str = "payments";
    type View = u64;
    type Reads = Paid;

    fn key(&self, stream: &StreamId) -> Option<String> {
        Some(stream.id().to_owned())
    }

    fn apply(&self, view: &mut u64, envelope: &Envelope<'_, Paid>) -> Result<(), ApplyError> {
        *view += 1;
        match &envelope.event {
            Paid::Number(_) | Paid::Iban { .. } => Ok(()),
            Paid::Refused { iban } | Paid::Rejected { iban } => {
                Err(ApplyError::caused_by(Refusal(iban.clone())))
            }
            Paid::Panicking { iban } => panic!("{iban} is out of range"),
        }
    }
}

/// An account's holder, under a name that is unique.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Holder(Option<String>);

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Held {
    By(String),
}

impl Aggregate for Holder {
    const KIND: &'static str = "holder";
    type Command = Held;
    type Event = Held;
    type Rejection = Refusal;

    fn decide(&self, Held::By(name): &Held) -> Result<Vec<Held>, Refusal> {
        if self.0.is_some() { Err(Refusal(name.clone())) } else { Ok(vec![Held::By(name.clone())]) }
    }

    fn evolve(&mut self, Held::By(name): &Held) {
        self.0 = Some(name.clone());
    }

    fn claims(&self) -> Vec<Claim> {
        self.0.iter().map(|name| Claim::new("name", name.as_str())).collect()
    }
}

impl Process for Payments {
    const NAME: &'static str = "payments-process";
    type Reads = Paid;

    async fn react(&self, store: &Store, cause: &Cause<'_, Paid>) -> Result<(), ReactError> {
        match &cause.event {
            Paid::Number(_) | Paid::Iban { .. } => Ok(()),
            Paid::Refused { iban } => Err(ReactError::caused_by(Refusal(iban.clone()))),
            Paid::Rejected { iban } => {
                store.execute::<Holder>("1", Held::By(iban.clone()), cause.options("hold")).await?;
                Ok(())
            }
            Paid::Panicking { iban } => panic!("{iban} is out of range"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn data_are_in_no_line_and_in_no_reason() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // As in `traced`.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new();
    let iban = format!(r#"{{"iban":"{CANARY}"}}"#);
    let bad = [
        raw("Number", &format!("{CANARY:?}")),
        raw("Iban", &format!(r#"{{"iban":{{"{CANARY}":1}}}}"#)),
        raw("Refused", &iban),
        raw("Rejected", &iban),
        raw("Panicking", &iban),
    ];
    let store = Store::new(bench.ports.clone(), Settings::default());
    let held = Held::By(CANARY.to_owned());
    store.execute::<Holder>("1", held.clone(), Options::default()).await.expect("executes");
    let taken = store.execute::<Holder>("2", held.clone(), Options::default()).await;
    let mut said = vec![taken.expect_err("taken").to_string()];
    bench
        .world
        .objects
        .insert(&key::claim(&Claim::new("name", CANARY)), format!(r#"{{"format":"{CANARY}"}}"#));
    let corrupt = store.execute::<Holder>("3", held, Options::default()).await;
    said.push(corrupt.expect_err("the claim is none").to_string());

    let mut batch = vec![arrival(1, format!(r#"{{"format":1,"stream":"{CANARY}"}}"#))];
    for (number, event) in (2..).zip(bad) {
        let (stream, commits) = (stream(&format!("account/{number}")), history([vec![event]]));
        bench.store(&stream, &commits, 0);
        batch.push(record(number, &stream, &commits));
    }
    let projector = Projector::new(Payments, &bench.ports);
    assert!(projector.project(&batch).await.is_empty());
    let reactor = Reactor::new(Payments, store, &bench.ports);
    assert!(reactor.react(&batch).await.is_empty());

    for name in [<Payments as Projection>::NAME, <Payments as Process>::NAME] {
        let parked = parked(&bench.ports, name).await.expect("lists");
        assert_eq!(parked.len(), 5, "{parked:?}");
        said.extend(parked.into_iter().map(|parked| parked.parked.error));
    }
    let lines = String::from_utf8(lines.0.lock().expect("a lock").clone()).expect("UTF-8");
    assert!(lines.contains("parked a stream"), "the lines were kept: {lines}");
    for said in said.iter().map(String::as_str).chain(lines.lines()) {
        assert!(!said.contains("CANARY"), "{said}");
    }
}
