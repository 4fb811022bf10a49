//! Whether S3 keeps conditions: what is asked, of whom, and what is made of the answers.

use headwater::aws::{Clients, ConnectError};
use localstack::{Fault, LocalAws, Options, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::subject::{clients, hasty_clients};

/// An S3 that refuses a PUT where it keeps that condition, and does as asked otherwise.
async fn keeping(conditions: &'static [&'static str]) -> Clients {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 << 10];
                let Ok(length) = connection.read(&mut request).await else { return };
                let head = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let kept = conditions.iter().any(|condition| head.contains(&format!("\n{condition}:")));
                let status = if kept { "412 Precondition Failed" } else { "200 OK\r\netag: \"1\"" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                // The client may have left already.
                let _ = connection.write_all(answer.as_bytes()).await;
            });
        }
    });
    clients(&format!("http://{address}")).await
}

#[tokio::test]
async fn an_s3_that_ignores_a_condition_is_not_written_to() {
    for (kept, ignored) in
        [(&["if-match"] as &[_], "If-None-Match"), (&["if-none-match"], "If-Match"), (&[], "If-None-Match")]
    {
        let refused = keeping(kept).await.open("store", "commits").await.expect_err("it ignores a condition");
        assert!(
            matches!(&refused, ConnectError::Unconditional { condition, .. } if *condition == ignored),
            "{refused}"
        );
        let words = refused.to_string();
        assert!(words.contains("store") && words.contains(ignored) && words.contains("127.0.0.1"), "{words}");
    }
    keeping(&["if-match", "if-none-match"]).await.open("store", "commits").await.expect("it keeps both");
}

#[tokio::test]
async fn an_s3_that_keeps_conditions_is_asked_in_two_requests_once_the_object_is_there() {
    let aws = LocalAws::start(Options::for_test()).await.expect("a local AWS");
    aws.create_bucket("store").expect("a bucket");
    for asked in [3, 5] {
        let clients = clients(aws.endpoint()).await;
        clients.open("store", "commits").await.expect("it keeps conditions");
        assert_eq!(aws.counts().of("s3:PutObject").requests, asked);
    }
    assert_eq!(aws.counts().of_status("s3:PutObject", 200).requests, 1, "the object is written once");
}

#[tokio::test]
async fn an_s3_that_does_not_know_conditions_is_refused_and_one_that_does_not_say_is_not() {
    let aws = LocalAws::start(Options::for_test()).await.expect("a local AWS");
    aws.create_bucket("store").expect("a bucket");
    for (status, code, refused) in
        [(501, "NotImplemented", true), (403, "AccessDenied", false), (503, "SlowDown", false)]
    {
        let status = http::StatusCode::from_u16(status).expect("a status");
        aws.on_request(move |_: &Request| Fault::Respond(status, code));
        let clients = hasty_clients(aws.endpoint()).await;
        assert_eq!(clients.open("store", "commits").await.is_err(), refused, "{code}");
    }
}
