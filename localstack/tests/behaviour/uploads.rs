//! What people look into S3 with: checksums, uploads in parts, copies, the older listing, presigned URLs.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};
use localstack::{Credentials, LocalAws, Options};
use reqwest::StatusCode;

use super::client::{s3_as, s3_by_default};
use super::s3::{code, get, put, refusal, started};

/// Bytes of a part that another one follows.
const PART: usize = 5 * 1024 * 1024;

fn body(bytes: usize) -> ByteStream {
    ByteStream::from(vec![7; bytes])
}

/// Begins an upload in parts of these sizes; gives its id and what completes it.
async fn uploaded(client: &Client, key: &str, parts: &[usize]) -> (String, CompletedMultipartUpload) {
    let begun =
        client.create_multipart_upload().bucket("bucket").key(key).content_type("text/plain").send().await;
    let id = begun.unwrap().upload_id.unwrap();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, bytes) in (1..).zip(parts) {
        let part = client.upload_part().bucket("bucket").key(key).upload_id(&id).part_number(number);
        let etag = part.body(body(*bytes)).send().await.unwrap().e_tag.unwrap();
        completed = completed.parts(CompletedPart::builder().part_number(number).e_tag(etag).build());
    }
    (id, completed.build())
}

#[tokio::test]
async fn a_body_that_is_not_what_its_checksum_says_is_refused() {
    let (_aws, client) = started().await;
    let put = || client.put_object().bucket("bucket").key("a").body(ByteStream::from_static(b"123456789"));
    let wrong = [
        put().checksum_crc32("AAAAAA=="),
        put().checksum_crc32_c("AAAAAA=="),
        put().checksum_crc64_nvme("AAAAAAAAAAA="),
        put().checksum_sha1("AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        put().checksum_sha256("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        put().content_md5("AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    for request in wrong {
        let refused = request.send().await.unwrap_err();
        assert_eq!(refusal(&refused), code(400, "BadDigest"));
    }
    let absent = client.get_object().bucket("bucket").key("a").send().await;
    assert_eq!(refusal(&absent.unwrap_err()), code(404, "NoSuchKey"));

    let answer = put().checksum_crc32("y/Q5Jg==").send().await.unwrap();
    assert_eq!(answer.checksum_crc32(), Some("y/Q5Jg=="));
    let (id, _) = uploaded(&client, "b", &[]).await;
    let part = client.upload_part().bucket("bucket").key("b").upload_id(id).part_number(1).body(body(1));
    assert_eq!(refusal(&part.checksum_crc32("AAAAAA==").send().await.unwrap_err()), code(400, "BadDigest"));
}

#[tokio::test]
async fn a_checksum_behind_the_chunks_is_compared() {
    let (aws, client) = started().await;
    let url = format!("{}/bucket/a", aws.endpoint());
    let send = async |trailer: &str| {
        let request = reqwest::Client::new().put(&url);
        let request = request
            .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", "9")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-trailer", "x-amz-checksum-crc32");
        let answer = request.body(format!("9\r\n123456789\r\n0\r\n{trailer}\r\n")).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, said) = send("x-amz-checksum-crc32:AAAAAA==\r\n").await;
    assert!(status == StatusCode::BAD_REQUEST && said.contains("BadDigest"), "{said}");
    let (status, said) = send("").await;
    assert!(status == StatusCode::BAD_REQUEST, "what is announced must come: {said}");
    assert!(client.head_object().bucket("bucket").key("a").send().await.is_err());
    assert_eq!(send("x-amz-checksum-crc32:y/Q5Jg==\r\n").await.0, StatusCode::OK);
    assert_eq!(get(&client, "a").await.0, b"123456789");

    let other = reqwest::Client::new().put(&url).header("x-amz-content-sha256", "0".repeat(64)).body("1");
    let answer = other.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.unwrap().contains("XAmzContentSHA256Mismatch"));
}

#[tokio::test]
async fn an_upload_in_parts_becomes_one_object() {
    let (aws, _client) = started().await;
    let client = s3_by_default(&aws);
    let (id, parts) = uploaded(&client, "big", &[PART, PART, 1]).await;
    let listed =
        client.list_parts().bucket("bucket").key("big").upload_id(&id).max_parts(2).send().await.unwrap();
    assert_eq!((listed.parts().len(), listed.is_truncated()), (2, Some(true)));
    let under_way = client.list_multipart_uploads().bucket("bucket").send().await.unwrap();
    assert_eq!(under_way.uploads()[0].upload_id(), Some(id.as_str()));
    assert!(client.head_object().bucket("bucket").key("big").send().await.is_err(), "nothing is there yet");

    let complete = client.complete_multipart_upload().bucket("bucket").key("big").upload_id(&id);
    let done = complete.clone().multipart_upload(parts.clone()).send().await.unwrap();
    let found = client.get_object().bucket("bucket").key("big").send().await.unwrap();
    assert_eq!((found.e_tag(), found.content_type()), (done.e_tag(), Some("text/plain")));
    assert_eq!(found.body.collect().await.unwrap().into_bytes().len(), 2 * PART + 1);
    let again = complete.multipart_upload(parts).send().await;
    assert_eq!(refusal(&again.unwrap_err()), code(404, "NoSuchUpload"));
    assert!(client.list_multipart_uploads().bucket("bucket").send().await.unwrap().uploads().is_empty());
}

#[tokio::test]
async fn parts_that_do_not_fit_make_no_object() {
    let (_aws, client) = started().await;
    let complete = async |id: &str, parts: Vec<CompletedPart>| {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = client.complete_multipart_upload().bucket("bucket").key("a").upload_id(id);
        refusal(&complete.multipart_upload(parts).send().await.unwrap_err())
    };
    let (id, parts) = uploaded(&client, "a", &[1, 1]).await;
    let parts = parts.parts.unwrap();
    assert_eq!(complete(&id, parts.clone()).await, code(400, "EntityTooSmall"));
    assert_eq!(complete(&id, vec![parts[1].clone(), parts[0].clone()]).await, code(400, "InvalidPartOrder"));
    let other = CompletedPart::builder().part_number(1).e_tag("\"0\"").build();
    assert_eq!(complete(&id, vec![other]).await, code(400, "InvalidPart"));
    let damaged = client.complete_multipart_upload().bucket("bucket").key("a").upload_id(&id);
    let first = CompletedMultipartUpload::builder().parts(parts[0].clone()).build();
    let damaged = damaged.multipart_upload(first).checksum_crc32("AAAAAA==").send().await;
    assert_eq!(refusal(&damaged.unwrap_err()), code(400, "BadDigest"));
    client.abort_multipart_upload().bucket("bucket").key("a").upload_id(&id).send().await.unwrap();
    assert_eq!(complete(&id, parts).await, code(404, "NoSuchUpload"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_ends_of_conditional_uploads_have_exactly_one_winner() {
    let (_aws, client) = started().await;
    for round in 0..25 {
        let key = format!("race/{round}");
        let uploads = (0..4).map(|_| uploaded(&client, &key, &[1]));
        let uploads = futures::future::join_all(uploads).await;
        let racers = uploads.into_iter().map(|(id, parts)| {
            let complete = client.complete_multipart_upload().bucket("bucket").key(&key).upload_id(id);
            complete.multipart_upload(parts).if_none_match("*").send()
        });
        let results = futures::future::join_all(racers).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "round {round}");
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(refusal(&error), code(412, "PreconditionFailed"));
        }
    }
    let (etag, (id, parts)) = (put(&client, "a", "1").await, uploaded(&client, "a", &[1]).await);
    put(&client, "a", "2").await;
    let complete =
        client.complete_multipart_upload().bucket("bucket").key("a").upload_id(id).multipart_upload(parts);
    let stale = complete.clone().if_match(etag).send().await;
    assert_eq!(refusal(&stale.unwrap_err()), code(412, "PreconditionFailed"));
    let newest = get(&client, "a").await.1;
    complete.if_match(newest).send().await.unwrap();
}

#[tokio::test]
async fn a_copy_takes_bytes_and_attributes_under_conditions() {
    let (_aws, client) = started().await;
    let source =
        client.put_object().bucket("bucket").key("a ü/1").body(ByteStream::from_static(b"0123456789"));
    let etag = source.content_type("text/plain").metadata("who", "me").send().await.unwrap().e_tag.unwrap();
    let copy = |key: &str| client.copy_object().bucket("bucket").key(key).copy_source("bucket/a%20%C3%BC/1");
    copy("b").send().await.unwrap();
    let copied = client.head_object().bucket("bucket").key("b").send().await.unwrap();
    assert_eq!(copied.metadata().unwrap().get("who").map(String::as_str), Some("me"));
    let replaced = copy("c").metadata_directive(MetadataDirective::Replace).content_type("text/html");
    replaced.send().await.unwrap();
    let replaced = client.head_object().bucket("bucket").key("c").send().await.unwrap();
    assert_eq!(replaced.content_type(), Some("text/html"));

    copy("d").copy_source_if_match(&etag).send().await.unwrap();
    let stale = copy("d").copy_source_if_none_match(&etag).send().await;
    assert_eq!(refusal(&stale.unwrap_err()), code(412, "PreconditionFailed"));
    let there = copy("d").customize().mutate_request(|request| {
        request.headers_mut().insert("if-none-match", "*");
    });
    assert_eq!(refusal(&there.send().await.unwrap_err()), code(412, "PreconditionFailed"));
    assert_eq!(refusal(&copy("a ü/1").send().await.unwrap_err()), code(400, "InvalidRequest"));
    let absent = client.copy_object().bucket("bucket").key("d").copy_source("bucket/nothing").send().await;
    assert_eq!(refusal(&absent.unwrap_err()), code(404, "NoSuchKey"));

    let (id, _) = uploaded(&client, "e", &[]).await;
    let part = client.upload_part_copy().bucket("bucket").key("e").upload_id(&id).part_number(1);
    let part = part.copy_source("bucket/b").copy_source_range("bytes=2-4").send().await.unwrap();
    let etag = part.copy_part_result.unwrap().e_tag.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = client.complete_multipart_upload().bucket("bucket").key("e").upload_id(id);
    complete.multipart_upload(parts).send().await.unwrap();
    assert_eq!(get(&client, "e").await.0, b"234");
}

#[tokio::test]
async fn the_older_listing_goes_on_behind_its_marker() {
    let (_aws, client) = started().await;
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        put(&client, key, key).await;
    }
    let (mut keys, mut groups, mut marker) = (Vec::new(), Vec::new(), None);
    loop {
        let page = client.list_objects().bucket("bucket").delimiter("/").max_keys(1).set_marker(marker);
        let page = page.send().await.unwrap();
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        groups.extend(page.common_prefixes().iter().map(|group| group.prefix().unwrap().to_owned()));
        marker = page.next_marker;
        if page.is_truncated != Some(true) {
            break;
        }
    }
    assert_eq!(
        (keys, groups),
        (vec!["b".to_owned(), "d".to_owned()], vec!["a/".to_owned(), "c/".to_owned()])
    );
    let behind = client.list_objects().bucket("bucket").marker("b").max_keys(1).send().await.unwrap();
    assert_eq!((behind.contents()[0].key(), behind.next_marker()), (Some("c/1"), None));
    assert_eq!(behind.is_truncated(), Some(true));
}

#[tokio::test]
async fn a_presigned_url_is_a_key_to_one_thing_for_a_time() {
    let credentials = Credentials { access_key_id: "me".into(), secret_access_key: "secret".into() };
    let options = Options { credentials: Some(credentials), ..Options::for_test() };
    let aws = LocalAws::start(options).await.unwrap();
    aws.create_bucket("bucket").unwrap();
    let minute = || PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let client = s3_as(&aws, "me", "secret");
    let plain = reqwest::Client::new();

    let write = client.put_object().bucket("bucket").key("a b/ü").presigned(minute()).await.unwrap();
    let status = plain.put(write.uri()).body("hello").send().await.unwrap().status();
    assert_eq!(status, StatusCode::OK);
    let read = client.get_object().bucket("bucket").key("a b/ü").response_content_type("text/css");
    let read = read.presigned(minute()).await.unwrap();
    let answer = plain.get(read.uri()).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/css");
    assert_eq!(answer.text().await.unwrap(), "hello");

    let other = read.uri().replace("%C3%BC", "u");
    assert_eq!(plain.get(other).send().await.unwrap().status(), StatusCode::FORBIDDEN, "another key");
    assert_eq!(
        plain.delete(read.uri()).send().await.unwrap().status(),
        StatusCode::FORBIDDEN,
        "another method"
    );
    let begun = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let over =
        PresigningConfig::builder().start_time(begun).expires_in(Duration::from_mins(1)).build().unwrap();
    let over = client.get_object().bucket("bucket").key("a b/ü").presigned(over).await.unwrap();
    let answer = plain.get(over.uri()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text().await.unwrap().contains("expired"));
    let others = s3_as(&aws, "you", "secret").get_object().bucket("bucket").key("a b/ü");
    let others = others.presigned(minute()).await.unwrap();
    assert_eq!(plain.get(others.uri()).send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_url_of_the_older_signature_is_taken_where_any_key_will_do() {
    let (aws, client) = started().await;
    put(&client, "a", "1").await;
    let url = |expires| {
        format!("{}/bucket/a?AWSAccessKeyId=test&Signature=abc%3D&Expires={expires}", aws.endpoint())
    };
    let answer = reqwest::get(url(4_000_000_000_u64)).await.unwrap();
    assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, "1"));
    assert_eq!(reqwest::get(url(1_000_000_000)).await.unwrap().status(), StatusCode::FORBIDDEN);
}
