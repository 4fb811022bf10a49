//! An embedded AWS with a store on it, and what a test asks of both.

use std::{
    io::{self, Cursor, Write},
    sync::{Arc, Mutex},
};

use archiver::archive::{Archiver, Bounds};
use futures::TryStreamExt;
use headwater::{
    Version,
    format::{commit::Commit, identity::Identity},
    port::{Keys, Start},
    read::Reader,
};
use headwater_tool::{
    Connection, Need, Output, Target, Unreachable,
    import::{ImportError, Plan, Summary, import},
};
use indicatif::ProgressBar;
use localstack::{LocalAws, Options};

/// A local AWS that has a store: its bucket, the archive's and a stream.
pub struct World {
    pub aws: LocalAws,
}

impl World {
    pub async fn new() -> Self {
        let world = Self::without_identity().await;
        world.adopt(&world.target()).await.unwrap();
        world
    }

    /// As a version before stores had an identity made it.
    pub async fn without_identity() -> Self {
        let aws = LocalAws::start(Options::for_test()).await.unwrap();
        aws.create_bucket("headwater-store").unwrap();
        aws.create_bucket("headwater-archive").unwrap();
        aws.create_stream("headwater", 2).await.unwrap();
        Self { aws }
    }

    pub fn target(&self) -> Target {
        Target {
            endpoint: Some(self.aws.endpoint().parse().unwrap()),
            data: None,
            store: "headwater-store".to_owned(),
            archive: Some("headwater-archive".to_owned()),
            stream: Some("headwater".to_owned()),
            forward: None,
        }
    }

    /// Makes a store of a target.
    pub async fn adopt(&self, target: &Target) -> Result<Identity, Unreachable> {
        Box::pin(target.connect(&[Need::Store, Need::Archive, Need::Stream])).await?.adopt().await
    }

    pub async fn connect(&self) -> Connection {
        // The client's futures are many kilobytes large.
        Box::pin(self.target().connect(&[Need::Store, Need::Archive, Need::Stream])).await.unwrap()
    }

    /// Imports lines.
    pub async fn import(&self, lines: &str, plan: Plan) -> (Summary, Result<(), ImportError>) {
        let connection = self.connect().await;
        import(&connection, Cursor::new(lines.to_owned()), plan, &ProgressBar::hidden()).await
    }

    /// The commits of a stream.
    pub async fn commits(&self, stream: &str) -> Vec<Arc<Commit>> {
        let reader = Reader::new(&self.connect().await.ports);
        reader.stream(stream.parse().unwrap(), Version::new(1)).try_collect().await.unwrap()
    }

    /// Archives what stands in Kinesis, as a mapping would have it done: each shard in several batches.
    pub async fn archive(&self) {
        let connection = self.connect().await;
        let log = connection.ports.log.clone();
        let bounds = Bounds::default();
        let archiver =
            Archiver::new(connection.ports.clone(), connection.archive.clone(), "headwater", bounds);
        for shard in log.shards().await.unwrap() {
            let mut cursor = log.cursor(&shard.id, &Start::Oldest).await.unwrap();
            loop {
                let batch = log.read(&cursor, 5).await.unwrap();
                if batch.records.is_empty() {
                    break;
                }
                archiver.archive(&shard.id, &batch.records).await.unwrap();
                cursor = batch.next.unwrap();
            }
        }
    }

    /// How many records stand in Kinesis.
    pub async fn records(&self) -> usize {
        let log = self.connect().await.ports.log;
        let mut records = 0;
        for shard in log.shards().await.unwrap() {
            let cursor = log.cursor(&shard.id, &Start::Oldest).await.unwrap();
            records += log.read(&cursor, 1_000).await.unwrap().records.len();
        }
        records
    }

    /// Every object of the store with its version.
    pub async fn objects(&self) -> Vec<(String, u64, jiff::Timestamp)> {
        let listed = self.connect().await.ports.objects.list_all(&Keys::under("")).await.unwrap();
        listed.into_iter().map(|object| (object.key, object.size, object.modified)).collect()
    }
}

pub const PLAN: Plan = Plan { concurrency: 8, skip_bad: false };

/// A line of an import: commit `number` of `stream`.
pub fn line(stream: &str, number: usize) -> String {
    format!(
        r#"{{"stream":"{stream}","id":"{stream}-{number}","at":"2010-10-02T09:20:{:02}.266+02:00","events":[{{"type":"Noted","data":{{"n":{number}}}}}]}}"#,
        number % 60
    )
}

/// Lines of `streams` streams with `each` commits, one stream after the other within every round.
pub fn interleaved(streams: usize, each: usize) -> String {
    let rounds =
        (0..each).flat_map(|number| (0..streams).map(move |stream| line(&format!("note/{stream}"), number)));
    rounds.map(|line| line + "\n").collect()
}

/// Output that a test can look at.
#[derive(Clone, Default)]
pub struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub fn output(&self, json: bool) -> Output {
        Output::to(self.clone(), json)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
