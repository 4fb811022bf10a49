//! The contract of [`Log`], sentence by sentence.

use std::{collections::HashMap, sync::Arc, time::Duration};

use headwater::port::{Arrival, Entry, Log, LogError, Position, Start};

use crate::subject::Stream;

fn entry(key: &str, data: &str) -> Entry {
    Entry { key: key.to_owned(), data: data.to_owned().into() }
}

async fn put(log: &Arc<dyn Log>, entries: &[Entry]) -> Vec<Position> {
    let answers = log.put(entries).await.expect("a put");
    assert_eq!(answers.len(), entries.len());
    answers.into_iter().map(|answer| answer.expect("an entry")).collect()
}

/// A shard's records from `start` on: of a closed shard to its end, of an open one to its tip.
async fn read(log: &Arc<dyn Log>, shard: &str, start: &Start, most: usize) -> Vec<Arrival> {
    let shards = log.shards().await.expect("shards");
    let closed = shards.iter().any(|candidate| candidate.id == shard && candidate.closed);
    let mut cursor = log.cursor(shard, start).await.expect("a cursor");
    let mut records = Vec::new();
    for _ in 0..1_000 {
        let batch = log.read(&cursor, most).await.expect("a read");
        assert!(batch.records.len() <= most);
        // The local AWS says of every read that it is not behind, so that only an empty one shows the tip.
        let at_tip = batch.records.is_empty() && batch.behind == Duration::ZERO;
        records.extend(batch.records);
        match batch.next {
            None => {
                assert!(closed, "an open shard has no end");
                return records;
            }
            Some(_) if at_tip && !closed => return records,
            Some(next) => cursor = next,
        }
    }
    panic!("{shard} goes on and on after {} records", records.len());
}

/// Every record, shard by shard, parents first.
async fn read_all(log: &Arc<dyn Log>) -> Vec<Arrival> {
    let mut records = Vec::new();
    for shard in log.shards().await.expect("shards") {
        let read = read(log, &shard.id, &Start::Oldest, 10_000).await;
        assert!(read.is_sorted_by(|a, b| a.sequence < b.sequence), "sequences grow within a shard");
        assert!(read.iter().all(|arrival| arrival.shard == shard.id));
        records.extend(read);
    }
    records
}

fn data_of(records: &[Arrival], key: &str) -> Vec<String> {
    let of_key = records.iter().filter(|arrival| arrival.key == key);
    of_key.map(|arrival| String::from_utf8(arrival.data.to_vec()).expect("text")).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

pub(crate) async fn records_of_a_key_stay_in_order(stream: Stream) {
    let log = &stream.log;
    let keys = ["a/1", "a/2", "a/ü", "b/3"];
    let mut put_at = HashMap::new();
    for n in numbers(120) {
        for key in keys {
            let position = put(log, &[entry(key, &n)]).await.remove(0);
            put_at.insert((key.to_owned(), n.clone()), position);
        }
    }
    let records = read_all(log).await;
    assert_eq!(records.len(), 4 * 120);
    for key in keys {
        assert_eq!(data_of(&records, key), numbers(120));
    }
    for record in records {
        let name = (record.key, String::from_utf8(record.data.to_vec()).expect("text"));
        let position = Position { shard: record.shard, sequence: record.sequence };
        assert_eq!(put_at.remove(&name), Some(position));
    }
}

pub(crate) async fn five_hundred_entries_get_a_result_each(stream: Stream) {
    let log = &stream.log;
    let entries: Vec<Entry> = numbers(500).iter().map(|n| entry(&format!("a/{n}"), n)).collect();
    let positions = put(log, &entries).await;
    let records = read_all(log).await;
    assert_eq!(records.len(), 500);
    for (entry, position) in entries.iter().zip(positions) {
        let at = |record: &&Arrival| record.shard == position.shard && record.sequence == position.sequence;
        let record = records.iter().find(at).expect("the record");
        assert_eq!((&record.key, &record.data), (&entry.key, &entry.data));
    }
    let shards = log.shards().await.expect("shards");
    assert_eq!(shards.len(), 2);
    assert!(shards.iter().all(|shard| records.iter().any(|record| record.shard == shard.id)));
    assert!(shards.iter().all(|shard| !shard.closed && shard.parents.is_empty()));
}

pub(crate) async fn a_cursor_begins_where_it_was_asked_to(stream: Stream) {
    let log = &stream.log;
    let mut positions = Vec::new();
    for n in numbers(5) {
        positions.extend(put(log, &[entry("a/1", &n)]).await);
    }
    let shard = &positions[0].shard;
    let latest = log.cursor(shard, &Start::Latest).await.expect("a cursor");
    let all = read(log, shard, &Start::Oldest, 10_000).await;
    assert_eq!(data_of(&all, "a/1"), numbers(5));
    let rest = read(log, shard, &Start::After(positions[2].sequence.clone()), 10_000).await;
    assert_eq!(data_of(&rest, "a/1"), ["3", "4"]);
    let none = read(log, shard, &Start::After(positions[4].sequence.clone()), 10_000).await;
    assert!(none.is_empty());
    put(log, &[entry("a/1", "5")]).await;
    let batch = log.read(&latest, 10).await.expect("a read");
    assert_eq!(data_of(&batch.records, "a/1"), ["5"]);
    assert_eq!(log.read(&latest, 10).await.expect("a second read").records, batch.records);
    let unknown = log.cursor("shardId-000000000099", &Start::Oldest).await;
    assert!(matches!(unknown, Err(LogError::Refused(_))), "{unknown:?}");
}

pub(crate) async fn a_read_gives_no_more_than_it_was_asked_for(stream: Stream) {
    let log = &stream.log;
    let entries: Vec<Entry> = numbers(25).iter().map(|n| entry("a/1", n)).collect();
    let mut shard = String::new();
    for entry in entries {
        shard = put(log, &[entry]).await.remove(0).shard;
    }
    let records = read(log, &shard, &Start::Oldest, 10).await;
    assert_eq!(data_of(&records, "a/1"), numbers(25));
    let cursor = log.cursor(&shard, &Start::Oldest).await.expect("a cursor");
    for most in [0, 10_001] {
        let refused = log.read(&cursor, most).await;
        assert!(matches!(refused, Err(LogError::Refused(_))), "{most}: {refused:?}");
    }
}

pub(crate) async fn a_split_shard_is_read_to_its_end(stream: Stream) {
    let log = &stream.log;
    let before: Vec<Entry> = numbers(200).iter().map(|n| entry(&format!("a/{n}"), "before")).collect();
    let parent = put(log, &before).await.remove(0).shard;
    let held = read(log, &parent, &Start::Oldest, 10_000).await;
    stream.split(&parent).await;
    let after: Vec<Entry> = numbers(200).iter().map(|n| entry(&format!("a/{n}"), "after")).collect();
    put(log, &after).await;

    let shards = log.shards().await.expect("shards");
    let children: Vec<_> = shards.iter().filter(|shard| shard.parents == [parent.clone()]).collect();
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|shard| !shard.closed));
    assert!(shards.iter().any(|shard| shard.id == parent && shard.closed));
    assert_eq!(read(log, &parent, &Start::Oldest, 7).await, held, "its records, then its end");

    let records = read_all(log).await;
    for n in numbers(200) {
        assert_eq!(data_of(&records, &format!("a/{n}")), ["before", "after"], "the parent's come first");
    }
    let first = children[0].id.as_str();
    let in_child = |record: &&Arrival| record.shard == first;
    let key = records.iter().find(in_child).expect("a record in the child").key.clone();
    let parents = records.iter().find(|record| record.key == key).expect("its first record");
    let childs = records.iter().rfind(|record| record.key == key).expect("its last record");
    assert!(parents.shard == parent && parents.sequence < childs.sequence);
}

pub(crate) async fn a_merged_shard_names_both_parents(stream: Stream) {
    let log = &stream.log;
    let entries: Vec<Entry> = numbers(50).iter().map(|n| entry(&format!("a/{n}"), n)).collect();
    put(log, &entries).await;
    let parents: Vec<String> =
        log.shards().await.expect("shards").into_iter().map(|shard| shard.id).collect();
    stream.merge(&parents[0], &parents[1]).await;
    let shards = log.shards().await.expect("shards");
    let open: Vec<_> = shards.iter().filter(|shard| !shard.closed).collect();
    assert_eq!((shards.len(), open.len()), (3, 1));
    assert_eq!(open[0].parents, parents);
    let positions = put(log, &entries).await;
    assert!(positions.iter().all(|position| position.shard == open[0].id));
    assert_eq!(read_all(log).await.len(), 100);
}

pub(crate) async fn what_breaks_a_limit_is_refused_whole(stream: Stream) {
    let log = &stream.log;
    let too_many: Vec<Entry> = numbers(501).iter().map(|n| entry("a/1", n)).collect();
    let too_large = [entry("a/1", "1"), entry("a/1", &"x".repeat((1 << 20) + 1))];
    let no_key = [entry("a/1", "1"), entry("", "2")];
    for entries in [too_many.as_slice(), &too_large, &no_key, &[]] {
        let refused = log.put(entries).await;
        assert!(matches!(refused, Err(LogError::Refused(_))), "{} entries: {refused:?}", entries.len());
    }
    assert!(read_all(log).await.is_empty());
}
