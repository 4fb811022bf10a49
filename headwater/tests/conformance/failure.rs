//! What the AWS ports make of failures: refused only where the service said so, unknown in every other case, and always
//! within the deadline.

use std::{error::Error, time::Duration};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectError,
};
use headwater::{
    aws::{Clients, Settings, connect},
    port::{Cursor, ETag, Entry, Got, Keys, Log, LogError, ObjectError, Objects, Precondition, Start},
};
use localstack::{Credentials, Fault, LocalAws, Options, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use crate::subject::{clients, hasty_clients};

/// Longer than any call with hasty clients may take.
const SOON: Duration = Duration::from_secs(3);

async fn aws() -> (LocalAws, Clients) {
    let aws = LocalAws::start(Options::for_test()).await.expect("a local AWS");
    aws.create_bucket("store").expect("a bucket");
    aws.create_stream("commits", 1).await.expect("a stream");
    let clients = clients(aws.endpoint()).await;
    (aws, clients)
}

/// Answers every call of both ports with its error.
async fn failures(clients: &Clients, bucket: &str, stream: &str) -> (Vec<ObjectError>, Vec<LogError>) {
    let (objects, log) = (clients.objects(bucket), clients.log(stream));
    let etag = ETag("\"0\"".to_owned());
    let entry = Entry { key: "a/1".to_owned(), data: "{}".into() };
    let cursor = Cursor { shard: "shardId-000000000000".to_owned(), token: "AAAA".to_owned() };
    let of_objects = vec![
        objects.get("a", None).await.expect_err("get"),
        objects.put("a", "1".into(), Precondition::Absent).await.expect_err("put"),
        objects.put("a", "1".into(), Precondition::Matches(etag.clone())).await.expect_err("put"),
        objects.delete("a", &etag).await.expect_err("delete"),
        objects.list(&Keys::under(""), None).await.expect_err("list"),
    ];
    let of_log = vec![
        log.put(&[entry]).await.expect_err("put"),
        log.shards().await.expect_err("shards"),
        log.cursor(&cursor.shard, &Start::Oldest).await.expect_err("cursor"),
        log.read(&cursor, 10).await.expect_err("read"),
    ];
    (of_objects, of_log)
}

async fn all_unknown(clients: &Clients) {
    let begin = Instant::now();
    let (of_objects, of_log) = failures(clients, "store", "commits").await;
    for error in of_objects {
        assert!(matches!(error, ObjectError::Unknown(_)), "{error}");
    }
    for error in of_log {
        assert!(matches!(error, LogError::Unknown(_)), "{error}");
    }
    // A read of 10 MiB at 4 MiB/s is the longest of the nine.
    assert!(begin.elapsed() < 9 * SOON, "{:?}", begin.elapsed());
}

async fn all_refused(clients: &Clients, bucket: &str, stream: &str, advice: &str) {
    let (of_objects, mut of_log) = failures(clients, bucket, stream).await;
    // A read names no stream: its cursor is refused for itself.
    of_log.truncate(3);
    for error in of_objects {
        let words = error.to_string();
        assert!(matches!(error, ObjectError::Refused(_)), "{words}");
        assert!(words.contains(bucket) && words.contains(advice), "{words}");
    }
    for error in of_log {
        let words = error.to_string();
        assert!(matches!(error, LogError::Refused(_)), "{words}");
        assert!(words.contains(stream) && words.contains(advice), "{words}");
    }
}

#[tokio::test]
async fn a_missing_bucket_or_stream_is_refused_by_name() {
    let (_aws, clients) = aws().await;
    all_refused(&clients, "nowhere", "nothing", "AWS_REGION").await;
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let credentials =
        Credentials { access_key_id: "right".to_owned(), secret_access_key: "secret".to_owned() };
    let options = Options { credentials: Some(credentials), ..Options::for_test() };
    let aws = LocalAws::start(options).await.expect("a local AWS");
    aws.create_bucket("store").expect("a bucket");
    aws.create_stream("commits", 1).await.expect("a stream");
    for (id, secret) in [("wrong", "secret"), ("right", "wrong")] {
        let credentials = aws_sdk_s3::config::Credentials::new(id, secret, None, None, "test");
        let settings = Settings { credentials: Some(credentials), ..Settings::local(aws.endpoint()) };
        let clients = connect(&settings).await.expect("clients");
        all_refused(&clients, "store", "commits", "AWS_ACCESS_KEY_ID").await;
    }
}

#[tokio::test]
async fn a_role_without_a_right_is_refused_with_what_helps_and_the_cause() {
    let (aws, clients) = aws().await;
    aws.on_request(|request: &Request| {
        let kinesis = request.stream.is_some();
        Fault::Respond(
            http::StatusCode::FORBIDDEN,
            if kinesis { "AccessDeniedException" } else { "AccessDenied" },
        )
    });
    all_refused(&clients, "store", "commits", "permissions of the role").await;
    let error = clients.objects("store").get("a", None).await.expect_err("denied");
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let mut sdk = causes.filter_map(|cause| cause.downcast_ref::<SdkError<GetObjectError, HttpResponse>>());
    assert_eq!(sdk.find_map(ProvideErrorMetadata::code), Some("AccessDenied"), "{error:?}");
}

#[tokio::test]
async fn nobody_listening_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    all_unknown(&hasty_clients(&format!("http://{address}")).await).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_unknown_within_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    all_unknown(&hasty_clients(&format!("http://{address}")).await).await;
}

#[tokio::test]
async fn haste_and_bad_luck_are_unknown() {
    let (aws, clients) = aws().await;
    for (status, code) in [
        (503, "SlowDown"),
        (500, "InternalError"),
        (429, "TooManyRequests"),
        (400, "RequestTimeout"),
        (400, "ProvisionedThroughputExceededException"),
    ] {
        let status = http::StatusCode::from_u16(status).expect("a status");
        aws.on_request(move |_: &Request| Fault::Respond(status, code));
        all_unknown(&clients).await;
    }
    for fault in [Fault::DropBefore, Fault::DropAfter] {
        aws.on_request(move |_: &Request| fault.clone());
        all_unknown(&clients).await;
    }
}

#[tokio::test]
async fn a_concurrent_conditional_write_is_in_flight() {
    let (aws, clients) = aws().await;
    let conflict = http::StatusCode::CONFLICT;
    aws.on_request(move |_: &Request| Fault::Respond(conflict, "ConditionalRequestConflict"));
    let objects = clients.objects("store");
    let put = objects.put("a", "1".into(), Precondition::Absent).await;
    assert_eq!(put, Err(ObjectError::InFlight));
    assert_eq!(objects.delete("a", &ETag("\"0\"".to_owned())).await, Err(ObjectError::InFlight));
}

#[tokio::test]
async fn an_old_cursor_has_expired() {
    let (aws, clients) = aws().await;
    let log = clients.log("commits");
    let cursor = log.cursor("shardId-000000000000", &Start::Oldest).await.expect("a cursor");
    let status = http::StatusCode::BAD_REQUEST;
    aws.on_request(move |_: &Request| Fault::Respond(status, "ExpiredIteratorException"));
    assert_eq!(log.read(&cursor, 10).await, Err(LogError::Expired));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_sent_once() {
    let (aws, clients) = aws().await;
    aws.on_request(|_: &Request| Fault::DropAfter);
    let (objects, log) = (clients.objects("store"), clients.log("commits"));
    let put = objects.put("a", "1".into(), Precondition::Absent).await;
    assert!(matches!(put, Err(ObjectError::Unknown(_))), "{put:?}");
    let put = log.put(&[Entry { key: "a/1".to_owned(), data: "{}".into() }]).await;
    assert!(matches!(put, Err(LogError::Unknown(_))), "{put:?}");
    aws.pass_requests();
    assert!(matches!(objects.get("a", None).await, Ok(Got::Found { .. })));
    let cursor = log.cursor("shardId-000000000000", &Start::Oldest).await.expect("a cursor");
    assert_eq!(log.read(&cursor, 10).await.expect("a read").records.len(), 1);
}

/// A server that gives the same bytes to every connection.
async fn answering(answer: String) -> Clients {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 64 << 10];
                if connection.read(&mut request).await.is_ok() {
                    // The client may have left already.
                    let _ = connection.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    hasty_clients(&format!("http://{address}")).await
}

#[tokio::test]
async fn an_answer_that_can_not_be_read_is_unknown() {
    for answer in [
        "what?\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<half",
    ] {
        all_unknown(&answering(answer.to_owned()).await).await;
    }
    let clients = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let objects = clients.objects("store");
    let put = objects.put("a", "1".into(), Precondition::Absent).await;
    assert!(matches!(put, Err(ObjectError::Unknown(_))), "an answer without an ETag: {put:?}");
}

#[tokio::test]
async fn a_body_is_measured_before_it_is_read() {
    let found = |length: usize, body: &str| {
        let time = "last-modified: Sat, 21 Nov 2026 19:30:00 GMT";
        answering(format!(
            "HTTP/1.1 200 OK\r\netag: \"1\"\r\n{time}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let get = found(headwater::limits::OBJECT_BYTES + 1, "x").await.objects("store").get("a", None).await;
    assert!(matches!(get, Err(ObjectError::Refused(_))), "too large: {get:?}");
    let get = found(10, "half").await.objects("store").get("a", None).await;
    assert!(matches!(get, Err(ObjectError::Unknown(_))), "cut off: {get:?}");
    let get = found(4, "all!").await.objects("store").get("a", None).await;
    assert!(matches!(get, Ok(Got::Found { .. })), "{get:?}");
}

#[tokio::test]
async fn a_process_that_has_met_no_deleted_object_learns_by_reading() {
    let (aws, clients) = aws().await;
    let not_implemented = http::StatusCode::NOT_IMPLEMENTED;
    aws.on_request(move |request: &Request| match request.operation.as_str() {
        "s3:DeleteObject" => Fault::Respond(not_implemented, "NotImplemented"),
        _ => Fault::Pass,
    });
    let (objects, other) = (clients.objects("store"), self::clients(aws.endpoint()).await.objects("store"));
    for key in ["a", "b"] {
        let etag = objects.put(key, "1".into(), Precondition::Absent).await.expect("a put");
        objects.delete(key, &etag).await.expect("a delete");
    }
    assert_eq!(aws.counts().of_status("s3:DeleteObject", 501).requests, 1, "it is not asked for again");
    assert_eq!(other.put("a", "2".into(), Precondition::Absent).await, Err(ObjectError::Precondition));
    assert_eq!(other.get("a", None).await, Ok(Got::Missing));
    for key in ["a", "b"] {
        other.put(key, "2".into(), Precondition::Absent).await.expect("a put");
        assert_eq!(objects.put(key, "3".into(), Precondition::Absent).await, Err(ObjectError::Precondition));
        assert!(matches!(objects.get(key, None).await, Ok(Got::Found { body, .. }) if &*body == b"2"));
    }
}
