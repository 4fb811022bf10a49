//! Reading several kinds: each event is what its own kind says, also where the types have one name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};

use super::{Bench, history, raw, record, stream};
use crate::{
    consume::{
        ApplyError, Cause, Envelope, Kind, Process, Projection, Projector, ReactError, Reactor, Reads, parked,
    },
    format::{key, view::View},
    id::{StreamId, Version},
    store::{Settings, Store},
};

#[derive(Debug, Deserialize)]
enum Door {
    Closed { by: String },
}

#[derive(Debug, Deserialize)]
enum Case {
    Closed { verdict: String },
}

#[derive(Debug)]
enum Happened {
    Door(Door),
    Case(Case),
}

impl Reads for Happened {
    type Event = Self;
    const KINDS: &'static [Kind<Self>] = &[
        Kind::within("door", &[], |event| event.read(Self::Door)),
        Kind::within("case", &[], |event| event.read(Self::Case)),
    ];
}

impl Happened {
    fn says(&self) -> &str {
        match self {
            Self::Door(Door::Closed { by }) => by,
            Self::Case(Case::Closed { verdict }) => verdict,
        }
    }
}

/// All that was closed, in one view.
struct AllClosed;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Closings(Vec<String>);

impl Projection for AllClosed {
    const NAME: &'static str = "all-closed";
    type View = Closings;
    type Reads = Happened;

    fn key(&self, _: &StreamId) -> Option<String> {
        Some("all".to_owned())
    }

    fn apply(&self, view: &mut Closings, envelope: &Envelope<'_, Happened>) -> Result<(), ApplyError> {
        view.0.push(envelope.event.says().to_owned());
        Ok(())
    }
}

/// Notes what was closed.
#[derive(Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl Process for Noting {
    const NAME: &'static str = "noting";
    type Reads = Happened;

    async fn react(&self, _: &Store, cause: &Cause<'_, Happened>) -> Result<(), ReactError> {
        self.0.lock().expect("a lock").push(cause.event.says().to_owned());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_one_name_are_read_by_their_kind() {
    let bench = Bench::new();
    let door = history([vec![raw("Closed", r#"{"by":"ann"}"#)]]);
    let case = history([vec![raw("Opened", "{}"), raw("Closed", r#"{"verdict":"guilty"}"#)]]);
    let lamp = history([vec![raw("Closed", "null")]]);
    let streams = [stream("door/1"), stream("case/1"), stream("lamp/1")];
    let batch: Vec<_> = [&door, &case, &lamp]
        .into_iter()
        .zip(&streams)
        .zip(1..)
        .map(|((commits, stream), sequence)| {
            bench.store(stream, commits, 0);
            record(sequence, stream, commits)
        })
        .collect();

    let projector = Projector::new(AllClosed, &bench.ports);
    assert_eq!(projector.project(&batch).await, BTreeMap::new());
    let noting = Noting::default();
    let noted = Arc::clone(&noting.0);
    let reactor = Reactor::new(noting, Store::new(bench.ports.clone(), Settings::default()), &bench.ports);
    assert_eq!(reactor.react(&batch).await, BTreeMap::new());

    assert_eq!(parked(&bench.ports, AllClosed::NAME).await.expect("lists"), []);
    let all = bench.world.objects.all(&key::view(AllClosed::NAME, "all"));
    let view = View::<Closings>::decode(&all[0].1).expect("a view");
    let mut closed = view.state.0.clone();
    let mut noted = noted.lock().expect("a lock").clone();
    closed.sort();
    noted.sort();
    assert_eq!([closed, noted], [["ann", "guilty"], ["ann", "guilty"]]);
    let applied = streams.each_ref().map(|stream| view.applied(stream));
    assert_eq!(applied, [Version::new(1), Version::new(2), Version::ZERO], "a lamp feeds nothing");
}
