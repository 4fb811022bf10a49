//! What a web page anywhere can make its visitor's browser send: refused. So is what is not implemented.

use std::path::PathBuf;

use localstack::{FunctionOptions, LocalAws};
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::s3::{get, put, started};

const FORM: &str = "--x\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\na\r\n--x\r\ncontent-disposition: form-data; \
                    name=\"file\"; filename=\"f\"\r\n\r\nforged\r\n--x--\r\n";

/// What changes something, as a page can send it.
fn requests(aws: &LocalAws) -> Vec<RequestBuilder> {
    let url = |path: &str| format!("{}{path}", aws.endpoint());
    let client = Client::new();
    let delete = "<Delete><Object><Key>a</Key></Object></Delete>";
    vec![
        client.post(url("/bucket")).header("content-type", "multipart/form-data; boundary=x").body(FORM),
        client
            .post(url("/bucket?delete"))
            .header("content-type", "multipart/form-data; boundary=x")
            .body(FORM),
        client.post(url("/bucket?delete")).header("content-type", "text/plain").body(delete),
        client.post(url("/2015-03-31/functions/worker/invocations")).body("{}"),
        client.post(url("/")).header("x-amz-target", "Kinesis_20131202.ListStreams").body("{}"),
        client.put(url("/bucket/a")).body("forged"),
        client.delete(url("/bucket/a")),
        client.get(url("/bucket/a")),
    ]
}

#[tokio::test]
async fn another_sites_page_and_another_name_change_and_read_nothing() {
    let (aws, objects) = started().await;
    put(&objects, "a", "1").await;
    aws.function(FunctionOptions::new("worker", PathBuf::from("/nowhere")));
    for foreign in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1.evil.example"),
        ("host", "evil.example"),
        ("host", "evil.example:4566"),
    ] {
        for request in requests(&aws) {
            let answer = request.header(foreign.0, foreign.1).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{foreign:?} {}", answer.url());
        }
    }
    assert_eq!(get(&objects, "a").await.0, b"1");
    assert_eq!(aws.invocations("worker").invocations, 0);
    let own = Client::new().get(format!("{}/bucket/a", aws.endpoint()));
    for (name, value) in [("origin", "http://localhost:3000"), ("host", "localhost:4566"), ("host", "[::1]")]
    {
        let answer = own.try_clone().unwrap().header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{name} {value}");
    }
}

#[tokio::test]
async fn what_is_not_implemented_is_refused_and_never_taken_for_something_else() {
    let (aws, objects) = started().await;
    put(&objects, "a", "1").await;
    for (method, path) in [
        (Method::POST, "/bucket"),
        (Method::POST, "/bucket?delete"),
        (Method::POST, "/"),
        (Method::PUT, "/bucket/a?acl"),
        (Method::PUT, "/bucket/a?tagging"),
        (Method::PUT, "/other?versioning"),
        (Method::DELETE, "/bucket/a?versionId=1"),
        (Method::DELETE, "/bucket?policy"),
        (Method::OPTIONS, "/bucket/a"),
        (Method::PUT, "/2015-03-31/functions/worker"),
    ] {
        let request = Client::new().request(method.clone(), format!("{}{path}", aws.endpoint()));
        let request = request.header("content-type", "multipart/form-data; boundary=x").body(FORM);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED, "{method} {path}");
    }
    assert_eq!(get(&objects, "a").await.0, b"1");
    let counts = aws.counts();
    assert_eq!(counts.of_status("s3:Unknown", 501).requests, 10, "none is counted as something else");
}

#[tokio::test]
async fn many_deletions_at_once_need_a_checksum() {
    let (aws, objects) = started().await;
    put(&objects, "a", "1").await;
    let delete = "<Delete><Object><Key>a</Key></Object></Delete>";
    let answer =
        Client::new().post(format!("{}/bucket?delete", aws.endpoint())).body(delete).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(get(&objects, "a").await.0, b"1");
}
