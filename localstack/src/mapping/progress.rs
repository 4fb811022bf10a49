//! How far a mapping is: what was read, what is done, and the checkpoint between them.
//!
//! Records of one shard are done in any order, since lanes overtake one another; the checkpoint moves over a record
//! only when every one before it is done. With a data directory each move is written, by rename, to one small file
//! per mapping; a restart reads again from there.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How far one shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// The shard's id.
    pub shard: String,
    /// The sequence number up to which every record is done or given up; `None` if there is none yet.
    pub last_sequence_number: Option<String>,
    /// The age of the oldest record that was read and is not done.
    pub behind: Duration,
    /// Records that were read and are not done.
    pub outstanding: usize,
    /// How often the batch that has failed most often by now has failed.
    pub retries: u32,
    /// True if the shard is closed and every record of it is done.
    pub finished: bool,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Checkpoint {
    sequence: Option<String>,
    finished: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    uuid: String,
    shards: BTreeMap<String, Checkpoint>,
}

#[derive(Debug)]
struct Pending {
    sequence: String,
    arrival: f64,
    done: bool,
}

#[derive(Debug, Default)]
struct Shard {
    checkpoint: Checkpoint,
    read: Option<String>,
    pending: VecDeque<Pending>,
    /// The place of the first one pending; places are given in the order of reading.
    first: u64,
    retries: BTreeMap<usize, u32>,
}

/// The progress of one mapping.
pub(crate) struct Progress {
    uuid: String,
    file: Option<PathBuf>,
    shards: Mutex<BTreeMap<String, Shard>>,
    moved: watch::Sender<u64>,
}

impl Progress {
    /// Reads the checkpoint, if there is a file and it holds one.
    pub(crate) fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let stored = match file.as_ref().map(fs::read) {
            Some(Ok(bytes)) => Some(serde_json::from_slice::<Stored>(&bytes)?),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => None,
        };
        let (uuid, stored) = match stored {
            Some(stored) => (stored.uuid, stored.shards),
            None => (uuid::Uuid::new_v4().to_string(), BTreeMap::new()),
        };
        let shards = stored.into_iter().map(|(id, checkpoint)| {
            (id, Shard { read: checkpoint.sequence.clone(), checkpoint, ..Shard::default() })
        });
        let shards = Mutex::new(shards.collect());
        Ok(Self { uuid, file, shards, moved: watch::Sender::new(0) })
    }

    pub(crate) fn uuid(&self) -> &str {
        &self.uuid
    }

    /// True if there was no checkpoint.
    pub(crate) fn is_new(&self) -> bool {
        self.lock().is_empty()
    }

    /// Begins a shard behind a record; a finished one is not read at all.
    pub(crate) fn begin_at(&self, shard: &str, sequence: Option<String>, finished: bool) {
        let checkpoint = Checkpoint { sequence: sequence.clone(), finished };
        self.lock().insert(shard.to_owned(), Shard { checkpoint, read: sequence, ..Shard::default() });
    }

    pub(crate) fn finished(&self, shard: &str) -> bool {
        self.lock().get(shard).is_some_and(|shard| shard.checkpoint.finished)
    }

    pub(crate) fn checkpoint(&self, shard: &str) -> Option<String> {
        self.lock().get(shard).and_then(|shard| shard.checkpoint.sequence.clone())
    }

    /// The last record read of a shard, and how many are not done.
    pub(crate) fn position(&self, shard: &str) -> (Option<String>, usize) {
        self.lock().get(shard).map(|shard| (shard.read.clone(), shard.pending.len())).unwrap_or_default()
    }

    /// Notes records as read, and gives the place of the first; those that are not wanted are done already.
    pub(crate) fn read(&self, shard: &str, records: impl IntoIterator<Item = (String, f64, bool)>) -> u64 {
        let mut shards = self.lock();
        let facts = shards.entry(shard.to_owned()).or_default();
        let place = facts.first + facts.pending.len() as u64;
        for (sequence, arrival, wanted) in records {
            facts.read = Some(sequence.clone());
            facts.pending.push_back(Pending { sequence, arrival, done: !wanted });
        }
        self.advance(shards, shard);
        place
    }

    /// Notes records as done or given up.
    pub(crate) fn done(&self, shard: &str, places: impl IntoIterator<Item = u64>) {
        let mut shards = self.lock();
        let Some(facts) = shards.get_mut(shard) else { return };
        for place in places {
            let index = usize::try_from(place.wrapping_sub(facts.first)).unwrap_or(usize::MAX);
            if let Some(pending) = facts.pending.get_mut(index) {
                pending.done = true;
            }
        }
        self.advance(shards, shard);
    }

    /// Notes that a closed shard is done.
    pub(crate) fn finish(&self, shard: &str) {
        let mut shards = self.lock();
        shards.entry(shard.to_owned()).or_default().checkpoint.finished = true;
        self.keep(&shards);
        drop(shards);
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// Notes how often the batch that a lane works on has failed.
    pub(crate) fn failed(&self, shard: &str, lane: usize, failures: u32) {
        if let Some(facts) = self.lock().get_mut(shard) {
            facts.retries.insert(lane, failures);
        }
    }

    pub(crate) fn status(&self) -> Vec<ShardStatus> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let status = |(id, shard): (&String, &Shard)| {
            let oldest = shard.pending.front();
            let arrival = oldest.and_then(|pending| Duration::try_from_secs_f64(pending.arrival).ok());
            ShardStatus {
                shard: id.clone(),
                last_sequence_number: shard.checkpoint.sequence.clone(),
                behind: arrival.map_or(Duration::ZERO, |arrival| now.saturating_sub(arrival)),
                outstanding: shard.pending.iter().filter(|pending| !pending.done).count(),
                retries: shard.retries.values().copied().max().unwrap_or_default(),
                finished: shard.checkpoint.finished,
            }
        };
        self.lock().iter().map(status).collect()
    }

    /// Waits until the checkpoint of each shard has come to its sequence number.
    pub(crate) async fn reached(&self, wanted: &[(String, String)]) {
        let mut moved = self.moved.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        let _ = moved
            .wait_for(|_| {
                let shards = self.lock();
                wanted.iter().all(|(shard, sequence)| {
                    let checkpoint = shards.get(shard).map(|shard| &shard.checkpoint);
                    let reached = checkpoint.and_then(|checkpoint| checkpoint.sequence.as_deref());
                    checkpoint.is_some_and(|checkpoint| checkpoint.finished)
                        || reached.is_some_and(|reached| order(reached) >= order(sequence))
                })
            })
            .await;
    }

    fn advance(&self, mut shards: MutexGuard<'_, BTreeMap<String, Shard>>, shard: &str) {
        let Some(facts) = shards.get_mut(shard) else { return };
        let mut reached = None;
        while facts.pending.front().is_some_and(|pending| pending.done) {
            reached = facts.pending.pop_front().map(|pending| pending.sequence);
            facts.first += 1;
        }
        if reached.is_some() {
            facts.checkpoint.sequence = reached;
            self.keep(&shards);
            drop(shards);
            self.moved.send_modify(|moves| *moves += 1);
        }
    }

    fn keep(&self, shards: &BTreeMap<String, Shard>) {
        let Some(file) = &self.file else { return };
        let shards = shards.iter().map(|(id, shard)| (id.clone(), shard.checkpoint.clone())).collect();
        let stored = Stored { uuid: self.uuid.clone(), shards };
        let writing = file.with_extension("writing");
        let written = serde_json::to_vec_pretty(&stored)
            .map_err(io::Error::from)
            .and_then(|bytes| fs::write(&writing, bytes))
            .and_then(|()| fs::rename(&writing, file));
        if let Err(error) = written {
            // The old checkpoint stands: after a restart some records come once more, as they may on AWS.
            tracing::error!(%error, file = %file.display(), "a checkpoint was not written");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Shard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sequence numbers differ in length, and are ordered as numbers.
fn order(sequence: &str) -> (usize, &str) {
    (sequence.len(), sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(progress: &Progress) -> Option<String> {
        progress.status().remove(0).last_sequence_number
    }

    #[test]
    fn the_checkpoint_waits_for_the_slowest_lane() {
        let progress = Progress::open(None).unwrap();
        let records = ["9", "10", "11", "12"].map(|sequence| (sequence.to_owned(), 0.0, sequence != "12"));
        let place = progress.read("shard", records);
        progress.done("shard", [place + 1, place + 2]);
        assert_eq!(sequence(&progress), None);
        progress.done("shard", [place]);
        assert_eq!(sequence(&progress).as_deref(), Some("12"), "what is not wanted is done");
        assert_eq!(progress.read("shard", []), place + 4);
    }

    #[test]
    fn a_restart_goes_on_from_the_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mapping.json");
        let progress = Progress::open(Some(file.clone())).unwrap();
        let place = progress.read("shard", [("9".to_owned(), 0.0, true), ("10".to_owned(), 0.0, true)]);
        progress.done("shard", [place]);
        progress.finish("parent");
        let again = Progress::open(Some(file)).unwrap();
        assert_eq!(again.position("shard"), (Some("9".to_owned()), 0));
        assert!(again.finished("parent") && !again.is_new());
        assert_eq!(again.uuid(), progress.uuid());
    }
}
