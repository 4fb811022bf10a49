//! The contract of [`Objects`], sentence by sentence.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use headwater::{
    limits,
    port::{ETag, Got, Keys, Listed, Listing, ObjectError, Objects, Precondition},
};

use crate::subject::Bucket;

async fn put(objects: &Arc<dyn Objects>, key: &str, body: &str) -> ETag {
    let body = Bytes::copy_from_slice(body.as_bytes());
    objects.put(key, body, Precondition::Absent).await.expect("a put")
}

async fn found(objects: &Arc<dyn Objects>, key: &str) -> (Bytes, ETag) {
    match objects.get(key, None).await.expect("a get") {
        Got::Found { body, etag, .. } => (body, etag),
        other => panic!("{key}: {other:?}"),
    }
}

/// All keys that are listed, in order; none of them twice.
async fn listed(objects: &Arc<dyn Objects>, keys: &Keys) -> Vec<String> {
    let mut listed = pages(objects, keys, async || {}).await;
    listed.sort();
    assert!(listed.windows(2).all(|two| two[0] < two[1]), "a key came twice");
    listed
}

/// The keys of a listing as they come; `between` runs after each page.
async fn pages(objects: &Arc<dyn Objects>, keys: &Keys, mut between: impl AsyncFnMut()) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let Listing { objects: page, next } = objects.list(keys, from.as_ref()).await.expect("a listing");
        assert!(page.len() <= 1_000);
        found.extend(page.into_iter().map(|object| object.key));
        if next.is_none() {
            return found;
        }
        from = next;
        between().await;
    }
}

async fn keys(objects: &Arc<dyn Objects>, prefix: &str) -> Vec<String> {
    listed(objects, &Keys::under(prefix)).await
}

/// The only object under `prefix`.
async fn alone(objects: &Arc<dyn Objects>, prefix: &str) -> Listed {
    let mut all = objects.list_all(&Keys::under(prefix)).await.expect("a listing");
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub(crate) async fn a_read_sees_the_write_before_it(bucket: Bucket) {
    let objects = &bucket.objects;
    assert_eq!(objects.get("a/1", None).await, Ok(Got::Missing));
    assert_eq!(keys(objects, "a/").await, [""; 0]);
    let mut etag = put(objects, "a/1", "0").await;
    for n in 1..50 {
        assert_eq!(found(objects, "a/1").await.1, etag);
        let body = n.to_string();
        etag = objects.put("a/1", body.clone().into(), Precondition::Matches(etag)).await.expect("a put");
        assert_eq!(found(objects, "a/1").await, (body.clone().into(), etag.clone()));
        let listed = alone(objects, "a/").await;
        assert_eq!((listed.key.as_str(), listed.size), ("a/1", body.len() as u64));
    }
}

pub(crate) async fn a_write_is_whole_or_not_at_all(bucket: Bucket) {
    const BYTES: usize = 256 << 10;
    let objects = &bucket.objects;
    let body = |byte: u8| Bytes::from(vec![byte; BYTES]);
    let mut etag = objects.put("a", body(0), Precondition::Absent).await.expect("a put");
    let write = async {
        for byte in 1..20 {
            etag = objects.put("a", body(byte), Precondition::Matches(etag.clone())).await.expect("a put");
        }
    };
    let read = async {
        for _ in 0..20 {
            let (body, _) = found(objects, "a").await;
            assert_eq!(body.len(), BYTES);
            assert!(body.iter().all(|byte| *byte == body[0]), "torn");
        }
    };
    tokio::join!(write, read);
}

pub(crate) async fn of_racing_writes_one_wins(bucket: Bucket) {
    let objects = &bucket.objects;
    let mut only = Precondition::Absent;
    for round in 0..10 {
        let race = (0..16).map(|writer| {
            let (objects, only) = (objects.clone(), only.clone());
            let body = Bytes::from(format!("{round}/{writer}"));
            tokio::spawn(async move { (body.clone(), objects.put("a", body, only).await) })
        });
        let mut won = Vec::new();
        for answer in join_all(race).await {
            match answer.expect("a writer") {
                (body, Ok(etag)) => won.push((body, etag)),
                (_, Err(ObjectError::Precondition | ObjectError::InFlight)) => {}
                (_, other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(found(objects, "a").await, won[0]);
        only = Precondition::Matches(won.remove(0).1);
    }
    let Precondition::Matches(etag) = only else { panic!("nobody won") };
    let deletes = join_all((0..16).map(|_| objects.delete("a", &etag))).await;
    assert_eq!(deletes.iter().filter(|answer| answer.is_ok()).count(), 1);
}

pub(crate) async fn different_bytes_have_different_etags(bucket: Bucket) {
    let objects = &bucket.objects;
    let mut seen = vec![put(objects, "a", "0").await];
    for n in 1..50 {
        let only = Precondition::Matches(seen[seen.len() - 1].clone());
        let etag = objects.put("a", n.to_string().into(), only).await.expect("a put");
        assert!(!seen.contains(&etag));
        seen.push(etag);
    }
}

pub(crate) async fn a_refused_write_changes_nothing(bucket: Bucket) {
    let objects = &bucket.objects;
    let first = put(objects, "a", "1").await;
    let second = objects.put("a", "2".into(), Precondition::Matches(first.clone())).await.expect("a put");
    let refused = Err(ObjectError::Precondition);
    assert_eq!(objects.put("a", "3".into(), Precondition::Absent).await, refused);
    assert_eq!(objects.put("a", "3".into(), Precondition::Matches(first.clone())).await, refused);
    assert_eq!(objects.delete("a", &first).await, Err(ObjectError::Precondition));
    assert_eq!(found(objects, "a").await, ("2".into(), second.clone()));
    assert_eq!(objects.put("b", "3".into(), Precondition::Matches(second.clone())).await, refused);
    assert_eq!(objects.delete("b", &second).await, Err(ObjectError::Precondition));
    assert_eq!(objects.get("b", None).await, Ok(Got::Missing));
}

pub(crate) async fn a_deleted_object_is_gone_and_can_be_written_again(bucket: Bucket) {
    let objects = &bucket.objects;
    let etag = put(objects, "a", "1").await;
    objects.delete("a", &etag).await.expect("a delete");
    assert_eq!(objects.get("a", None).await, Ok(Got::Missing));
    assert_eq!(objects.get("a", Some(&etag)).await, Ok(Got::Missing));
    assert_eq!(keys(objects, "a").await, [""; 0]);
    let matches = Precondition::Matches(etag.clone());
    assert_eq!(objects.put("a", "2".into(), matches).await, Err(ObjectError::Precondition));
    assert_eq!(objects.delete("a", &etag).await, Err(ObjectError::Precondition));
    put(objects, "a", "3").await;
}

pub(crate) async fn a_known_version_is_not_sent_again(bucket: Bucket) {
    let objects = &bucket.objects;
    let first = put(objects, "a", "1").await;
    assert_eq!(objects.get("a", Some(&first)).await, Ok(Got::Unchanged));
    objects.put("a", "2".into(), Precondition::Matches(first.clone())).await.expect("a put");
    let got = objects.get("a", Some(&first)).await.expect("a get");
    assert!(matches!(&got, Got::Found { body, .. } if &**body == b"2"), "{got:?}");
    assert_eq!(objects.get("b", Some(&first)).await, Ok(Got::Missing));
}

pub(crate) async fn a_listing_is_whole_when_no_page_is_next(bucket: Bucket) {
    let objects = &bucket.objects;
    let mut expected: Vec<String> = (0..2_100).map(|n| format!("a/{}", n * 7_919 % 10_007)).collect();
    let others = ["a", "a!", "a0", "b/1"].map(str::to_owned);
    let writes = expected.iter().chain(&others).map(|key| put(objects, key, "1"));
    stream::iter(writes).buffer_unordered(32).collect::<Vec<_>>().await;
    expected.sort();
    assert_eq!(keys(objects, "a/").await, expected);
    assert_eq!(keys(objects, "").await.len(), expected.len() + others.len());
    assert_eq!(keys(objects, "c").await, [""; 0]);
    let all = objects.list_all(&Keys::under("a/")).await.expect("a listing");
    assert!(all.iter().map(|object| &object.key).eq(&expected), "in the order of bytes");
    // Neither bound need be a key.
    for (after, before) in
        [("a/99", "a/999"), ("A", "a/2"), ("a/5", "b"), ("a/9", "a/1"), ("b", "c"), ("", "")]
    {
        let bounds = Keys::under("a/").after(after).before(before);
        let mut within = expected.clone();
        within.retain(|key| bounds.contain(key));
        assert_eq!(listed(objects, &bounds).await, within, "after {after:?} and before {before:?}");
        let after = Keys::under("a/").after(after);
        assert!(listed(objects, &after).await.iter().eq(expected.iter().filter(|key| after.contain(key))));
    }
}

pub(crate) async fn what_stays_is_listed_once_whatever_comes_and_goes(bucket: Bucket) {
    let objects = &bucket.objects;
    let name = |n: u32| format!("a/{}", n * 7_919 % 10_007);
    let writes = (0..2_100).map(|n| async move { (n, put(objects, &name(n), "1").await) });
    let mut gone: Vec<_> = stream::iter(writes).buffer_unordered(32).collect().await;
    let stay: Vec<String> = gone.extract_if(.., |(n, _)| *n % 2 == 0).map(|(n, _)| name(n)).collect();
    let mut new = 2_100..;
    let mut found = pages(objects, &Keys::under("a/"), async || {
        for (n, etag) in gone.drain(..gone.len().min(300)) {
            objects.delete(&name(n), &etag).await.expect("a delete");
        }
        for n in new.by_ref().take(300) {
            put(objects, &name(n), "1").await;
        }
    })
    .await;
    found.sort();
    for key in stay {
        assert_eq!(found.iter().filter(|found| **found == key).count(), 1, "{key}");
    }
}

pub(crate) async fn keys_may_hold_odd_characters(bucket: Bucket) {
    let objects = &bucket.objects;
    let odd = [
        "o/a b",
        "o/a+b",
        "o/a%20b",
        "o/a%2Fb",
        "o/ä",
        "o/日本",
        "o/a&b<c>",
        "o/a=b?c#d",
        "o/a//b",
        "o/~'\"*!",
        "o/a:b@c",
        "o/.a",
    ];
    let mut expected = odd.map(str::to_owned).to_vec();
    for key in odd {
        let etag = put(objects, key, key).await;
        assert_eq!(found(objects, key).await, (key.into(), etag), "{key}");
    }
    expected.sort();
    assert_eq!(keys(objects, "o/").await, expected);
    for key in odd {
        assert!(keys(objects, key).await.contains(&key.to_owned()), "{key}");
        let (_, etag) = found(objects, key).await;
        objects.delete(key, &etag).await.expect(key);
    }
    assert_eq!(keys(objects, "").await, [""; 0]);
}

pub(crate) async fn a_body_may_be_large_but_neither_too_large_nor_empty(bucket: Bucket) {
    let objects = &bucket.objects;
    for (key, bytes) in [("a", 1), ("b", 5 << 20)] {
        let body = Bytes::from(vec![7; bytes]);
        objects.put(key, body.clone(), Precondition::Absent).await.expect("a put");
        assert_eq!(found(objects, key).await.0, body);
    }
    for bytes in [0, limits::OBJECT_BYTES + 1] {
        let refused = objects.put("d", vec![7; bytes].into(), Precondition::Absent).await;
        assert!(matches!(refused, Err(ObjectError::Refused(_))), "{refused:?}");
        assert_eq!(objects.get("d", None).await, Ok(Got::Missing));
    }
}

pub(crate) async fn times_are_whole_seconds_when_read(bucket: Bucket) {
    let objects = &bucket.objects;
    put(objects, "a", "1").await;
    let Ok(Got::Found { modified, .. }) = objects.get("a", None).await else { panic!("not found") };
    assert_eq!(modified.subsec_nanosecond(), 0);
    let listed = alone(objects, "a").await.modified;
    assert_eq!(listed.as_second(), modified.as_second(), "rounded down, not up");
}

pub(crate) async fn what_is_stored_after_the_time_was_told_is_not_older(bucket: Bucket) {
    let objects = &bucket.objects;
    let begin = objects.now().await.expect("a time");
    // Until a second has passed: a time that is rounded up would show.
    for n in 0.. {
        let told = objects.now().await.expect("a time");
        assert_eq!(told.subsec_nanosecond(), 0);
        let key = format!("a/{n:06}");
        put(objects, &key, "1").await;
        let listed = alone(objects, &key).await.modified;
        assert!(told <= listed, "{told} was told before {listed}");
        assert!(listed.duration_since(told).as_secs() <= 5, "{told} is S3's time");
        if told > begin {
            return;
        }
    }
}
