//! S3: conditions, races, listings, what a restart keeps.

use std::collections::HashSet;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTimeFormat};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use localstack::{Credentials, LocalAws, Options};

use super::client::{s3, s3_as, s3_by_default};

/// Status and AWS's code of a refused request.
pub(crate) fn refusal<E: ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> (u16, Option<String>) {
    let status = error.raw_response().unwrap().status().as_u16();
    (status, error.code().map(str::to_owned))
}

pub(crate) fn code(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

pub(crate) async fn started() -> (LocalAws, Client) {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    aws.create_bucket("bucket").unwrap();
    let client = s3(&aws);
    (aws, client)
}

pub(crate) async fn put(client: &Client, key: &str, body: &str) -> String {
    let put = client.put_object().bucket("bucket").key(key).body(ByteStream::from(body.as_bytes().to_vec()));
    put.send().await.unwrap().e_tag.unwrap()
}

pub(crate) async fn get(client: &Client, key: &str) -> (Vec<u8>, String) {
    let got = client.get_object().bucket("bucket").key(key).send().await.unwrap();
    let etag = got.e_tag.clone().unwrap();
    (got.body.collect().await.unwrap().to_vec(), etag)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_conditional_puts_have_exactly_one_winner() {
    for directory in [None, Some(tempfile::tempdir().unwrap())] {
        let data = directory.as_ref().map(|directory| directory.path().to_owned());
        let aws = LocalAws::start(Options { data, ..Options::for_test() }).await.unwrap();
        aws.create_bucket("bucket").unwrap();
        let client = s3(&aws);
        for round in 0..200 {
            let key = format!("race/{}", round / 2);
            // Even rounds race to create, odd ones to replace what won before.
            let etag = if round % 2 == 0 { None } else { Some(get(&client, &key).await.1) };
            let racers = (0..8).map(|racer| {
                let put = client.put_object().bucket("bucket").key(&key);
                let put = match &etag {
                    None => put.if_none_match("*"),
                    Some(etag) => put.if_match(etag),
                };
                put.body(ByteStream::from(vec![racer])).send()
            });
            let results = futures::future::join_all(racers).await;
            let winners: Vec<u8> =
                (0..).zip(&results).filter(|(_, put)| put.is_ok()).map(|(racer, _)| racer).collect();
            assert_eq!(winners.len(), 1, "round {round}");
            for error in results.into_iter().filter_map(Result::err) {
                assert_eq!(refusal(&error), code(412, "PreconditionFailed"));
            }
            assert_eq!(get(&client, &key).await.0, winners);
        }
    }
}

#[tokio::test]
async fn conditions_are_refused_in_awss_words() {
    let (_aws, client) = started().await;
    let missing = client.put_object().bucket("bucket").key("a").if_match("\"x\"").send().await;
    assert_eq!(refusal(&missing.unwrap_err()), code(404, "NoSuchKey"));
    let nowhere = client.put_object().bucket("nowhere").key("a").send().await;
    assert_eq!(refusal(&nowhere.unwrap_err()), code(404, "NoSuchBucket"));
    let absent = client.get_object().bucket("bucket").key("a").send().await;
    assert_eq!(refusal(&absent.unwrap_err()), code(404, "NoSuchKey"));

    let first = put(&client, "a", "1").await;
    let second = put(&client, "a", "1").await;
    assert_ne!(first, second, "the same bytes written twice are two writes");
    let stale = client.put_object().bucket("bucket").key("a").if_match(&first).send().await;
    assert_eq!(refusal(&stale.unwrap_err()), code(412, "PreconditionFailed"));
    let stale = client.delete_object().bucket("bucket").key("a").if_match(&first).send().await;
    assert_eq!(refusal(&stale.unwrap_err()), code(412, "PreconditionFailed"));

    let unchanged = client.get_object().bucket("bucket").key("a").if_none_match(&second).send().await;
    assert_eq!(unchanged.unwrap_err().raw_response().unwrap().status().as_u16(), 304);
    let changed = client.get_object().bucket("bucket").key("a").if_none_match(&first).send().await;
    assert_eq!(changed.unwrap().e_tag, Some(second.clone()));

    client.delete_object().bucket("bucket").key("a").if_match(&second).send().await.unwrap();
    client.delete_object().bucket("bucket").key("a").send().await.unwrap();
    let head = client.head_object().bucket("bucket").key("a").send().await;
    assert!(head.unwrap_err().into_service_error().is_not_found());
}

#[tokio::test]
async fn buckets_come_and_go() {
    let (_aws, client) = started().await;
    client.create_bucket().bucket("another").send().await.unwrap();
    client.head_bucket().bucket("another").send().await.unwrap();
    let names: Vec<_> = client.list_buckets().send().await.unwrap().buckets.unwrap();
    assert_eq!(names.iter().filter_map(|bucket| bucket.name()).collect::<Vec<_>>(), ["another", "bucket"]);
    put(&client, "a", "1").await;
    let full = client.delete_bucket().bucket("bucket").send().await;
    assert_eq!(refusal(&full.unwrap_err()), code(409, "BucketNotEmpty"));
    client.delete_bucket().bucket("another").send().await.unwrap();
    assert!(client.head_bucket().bucket("another").send().await.is_err());
}

#[tokio::test]
async fn a_read_gives_ranges_times_and_metadata() {
    let (_aws, client) = started().await;
    let body = ByteStream::from_static(b"0123456789");
    let put = client.put_object().bucket("bucket").key("a").body(body).content_type("text/plain");
    put.metadata("who", "me").send().await.unwrap();
    let part = client.get_object().bucket("bucket").key("a").range("bytes=2-4").send().await.unwrap();
    assert_eq!(part.content_range(), Some("bytes 2-4/10"));
    assert_eq!(part.content_type(), Some("text/plain"));
    assert_eq!(part.metadata().unwrap().get("who").map(String::as_str), Some("me"));
    assert_eq!(part.last_modified().unwrap().subsec_nanos(), 0, "a read gives whole seconds");
    assert_eq!(part.body.collect().await.unwrap().to_vec(), b"234");
    let tail = client.get_object().bucket("bucket").key("a").range("bytes=-3").send().await.unwrap();
    assert_eq!(tail.body.collect().await.unwrap().to_vec(), b"789");
    let beyond = client.get_object().bucket("bucket").key("a").range("bytes=10-").send().await;
    assert_eq!(refusal(&beyond.unwrap_err()), code(416, "InvalidRange"));
    let listed = client.list_objects_v2().bucket("bucket").send().await.unwrap().contents.unwrap();
    let shown = listed[0].last_modified().unwrap().fmt(DateTimeFormat::DateTime).unwrap();
    assert!(shown.len() <= "2026-11-21T19:30:00.123Z".len(), "a listing gives milliseconds: {shown}");
}

#[tokio::test]
async fn a_listing_goes_on_where_it_ended() {
    let (_aws, client) = started().await;
    for key in ["a/1", "a/2", "b", "c/1", "c/%2F", "d é"] {
        put(&client, key, key).await;
    }
    let mut pages = client.list_objects_v2().bucket("bucket").max_keys(2).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(keys, ["a/1", "a/2", "b", "c/%2F", "c/1", "d é"]);
    let top =
        client.list_objects_v2().bucket("bucket").delimiter("/").start_after("a/1").send().await.unwrap();
    let groups: Vec<_> = top.common_prefixes().iter().filter_map(|group| group.prefix()).collect();
    assert_eq!(groups, ["a/", "c/"]);
    let objects = ["a/1", "b", "missing"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
    let deleted = client.delete_objects().bucket("bucket").delete(delete).send().await.unwrap();
    assert_eq!(deleted.deleted().len(), 3);
    assert_eq!(client.list_objects_v2().bucket("bucket").send().await.unwrap().key_count(), Some(4));
}

#[tokio::test]
async fn uploads_of_every_kind_and_size_come_back() {
    let (aws, client) = started().await;
    let defaults = s3_by_default(&aws);
    for size in [0, 1, 70_000, 64 * 1024 * 1024] {
        let body = vec![7_u8; size];
        defaults.put_object().bucket("bucket").key("big").body(body.clone().into()).send().await.unwrap();
        assert!(get(&client, "big").await.0 == body, "{size} bytes");
    }
}

#[tokio::test]
async fn a_restart_keeps_objects_etags_and_times() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { data: Some(directory.path().to_owned()), ..Options::for_test() };
    let keys = ["a", "a/b", "a/b/c", "heads/account/x%2Fy", "d//e", "archive/dt=2026-11-21/1.parquet"];
    let facts = async |client: &Client| {
        let listed = client.list_objects_v2().bucket("bucket").send().await.unwrap().contents.unwrap();
        let facts =
            listed.into_iter().map(|object| (object.key, object.e_tag, object.last_modified, object.size));
        facts.collect::<Vec<_>>()
    };

    let aws = LocalAws::start(options.clone()).await.unwrap();
    aws.create_bucket("bucket").unwrap();
    let client = s3(&aws);
    for key in keys {
        put(&client, key, key).await;
    }
    put(&client, "gone", "gone").await;
    client.delete_object().bucket("bucket").key("gone").send().await.unwrap();
    let before = facts(&client).await;
    aws.shutdown().await;
    drop(aws);

    let plain = directory.path().join("s3/bucket/archive/dt=2026-11-21/1.parquet");
    assert_eq!(std::fs::read(plain).unwrap(), keys[5].as_bytes(), "other programs read the directory");
    let aws = LocalAws::start(options).await.unwrap();
    let client = s3(&aws);
    assert_eq!(facts(&client).await, before);
    let etags: HashSet<_> = before.iter().map(|(_, etag, ..)| etag.clone().unwrap()).collect();
    assert!(!etags.contains(&put(&client, "new", "new").await));
    assert_eq!(get(&client, "a/b").await.0, b"a/b");
}

#[tokio::test]
async fn a_demanded_key_pair_keeps_others_out() {
    let credentials = Credentials { access_key_id: "me".into(), secret_access_key: "secret".into() };
    let aws =
        LocalAws::start(Options { credentials: Some(credentials), ..Options::for_test() }).await.unwrap();
    aws.create_bucket("bucket").unwrap();
    let client = s3_as(&aws, "me", "secret");
    put(&client, "a b/ü+%25", "1").await;
    client.list_objects_v2().bucket("bucket").prefix("a b/").max_keys(1).send().await.unwrap();
    let other = s3_as(&aws, "you", "secret").list_buckets().send().await;
    assert_eq!(refusal(&other.unwrap_err()), code(403, "InvalidAccessKeyId"));
    let wrong = s3_as(&aws, "me", "wrong").put_object().bucket("bucket").key("a").send().await;
    assert_eq!(refusal(&wrong.unwrap_err()), code(403, "SignatureDoesNotMatch"));
}

#[tokio::test]
async fn a_taken_port_and_a_taken_directory_are_said() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { data: Some(directory.path().to_owned()), ..Options::for_test() };
    let aws = LocalAws::start(options.clone()).await.unwrap();
    let port = aws.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let taken = LocalAws::start(Options { port, ..Options::default() }).await.err().unwrap();
    assert!(taken.to_string().contains("is taken"), "{taken}");
    let locked = LocalAws::start(options).await.err().unwrap();
    assert!(locked.to_string().contains("no other process"), "{locked}");
}
