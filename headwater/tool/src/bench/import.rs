//! An import of a history, and of the same history many times under other ids.
//!
//! The floor is that of `append`: the PUTs of the import, as many bytes each and so many objects at a time, and its calls of
//! `PutRecords`. What an import asks before it writes, a GET for each stream, is not in the floor.

use std::{
    cell::RefCell,
    io::{Cursor, Write},
};

use indicatif::ProgressBar;
use serde_json::Value;

use super::{
    Bench, Error, Figure, Row,
    bare::{self, Notes, Written},
    figure::Bound,
    history,
    rounds::rounds,
};
use crate::{
    Connection, Need, Target,
    import::{Plan, Summary, import},
};

/// Streams that are written at a time: the tool's own default.
const CONCURRENCY: u16 = 64;
/// How often the history is imported under other ids.
const TIMES: usize = 30;
/// Pairs of rounds, of the history once and many times.
const ROUNDS: [usize; 2] = [7, 3];

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Figure>, Error> {
    let text = match &bench.history {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => history::stand_in(),
    };
    let lines = text.lines().take(bench.many(text.lines().count())).map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
    let times = bench.many(TIMES);
    bench.say("once");
    let once = part(bench, "once", &lines, 1, ROUNDS[0]).await?;
    bench.say(format!("{times} times"));
    Ok(vec![once, part(bench, &format!("{times} times"), &lines, times, ROUNDS[1]).await?])
}

async fn part(bench: &Bench, what: &str, lines: &[Value], times: usize, of: usize) -> Result<Figure, Error> {
    let (aws, clients) = bare::local().await?;
    let connection = Target {
        endpoint: Some(aws.endpoint().parse()?),
        data: None,
        store: bare::STORE.to_owned(),
        archive: Some(bare::STORE.to_owned()),
        stream: Some(bare::STREAM.to_owned()),
        forward: None,
    };
    let mut connection = connection.connect(&[Need::Writes, Need::Stream]).await?;
    let (ports, notes) = Notes::of(connection.ports);
    connection.ports = ports;
    let (written, summary) = (RefCell::new(Written::default()), RefCell::new(Summary::default()));
    let ours = async |round: usize| {
        let text = renamed(lines, round, times)?;
        let done = imported(&connection, text).await?;
        written.replace(notes.take());
        let rate = done.events as f64 / done.seconds;
        summary.replace(done);
        Ok(rate)
    };
    let floor = async |round: usize| {
        let to_write = written.borrow().clone();
        let took = bare::write(&clients, &to_write, CONCURRENCY.into(), &format!("import/{round}")).await?;
        Ok(summary.borrow().events as f64 / took.as_secs_f64())
    };
    let pairs = rounds(bench, of, ours, floor).await?;
    aws.shutdown().await;
    let (written, summary) = (written.into_inner(), summary.into_inner());
    let per_event = |count: usize| count as f64 / (summary.events.max(1) as f64);
    Ok(Figure::rounds(Row::Import, format!("{what}: {} events", summary.events), "events/s", &pairs)
        .ratio_goal(Bound::AtLeast(0.8))
        .beside("streams", summary.streams as f64, "")
        .beside("PUTs an event", per_event(written.puts()), "")
        .beside("GETs an event", per_event(written.gets), ""))
}

async fn imported(connection: &Connection, text: Vec<u8>) -> Result<Summary, Error> {
    let plan = Plan { concurrency: CONCURRENCY, skip_bad: false };
    let (summary, ended) = import(connection, Cursor::new(text), plan, &ProgressBar::hidden()).await;
    ended?;
    Ok(summary)
}

/// The history so many times, each time with streams of its own.
fn renamed(lines: &[Value], round: usize, times: usize) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    for time in 0..times {
        for line in lines {
            let mut line = line.clone();
            if let Some(stream) = line.get_mut("stream") {
                let (kind, id) =
                    stream.as_str().and_then(|name| name.split_once('/')).ok_or("a line without a stream")?;
                *stream = format!("{kind}/{round}-{time}-{id}").into();
            }
            serde_json::to_writer(&mut text, &line)?;
            text.write_all(b"\n")?;
        }
    }
    Ok(text)
}
