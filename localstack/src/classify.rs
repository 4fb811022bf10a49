//! Which operation a request asks for, read from its method, path, query and headers, as AWS does.

use bytes::Bytes;
use ferrokinesis::shard_iterator::decode_shard_iterator;
use http::{HeaderMap, Method, Uri, request::Parts};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::fault::Request;
use crate::signature::access_key_id;

/// The part of a Kinesis request that names its stream.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Naming {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_iterator: Option<String>,
}

/// Classifies a request.
pub(crate) fn classify(parts: &Parts, body: &Bytes) -> Request {
    let mut request = Request {
        operation: String::new(),
        caller: access_key_id(parts),
        bucket: None,
        key: None,
        prefix: None,
        stream: None,
        function: None,
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    if let Some(operation) = kinesis_operation(&parts.headers) {
        request.operation = format!("kinesis:{operation}");
        request.stream = stream_name(body);
    } else if let Some(function) = invoked_function(&parts.uri) {
        request.operation = String::from("lambda:Invoke");
        request.function = Some(function);
    } else {
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        request.bucket = decoded(bucket);
        request.key = decoded(key);
        let operation = s3_operation(parts, request.bucket.is_some(), request.key.is_some());
        request.operation = format!("s3:{operation}");
        request.prefix = asked(parts, "prefix").and_then(decoded).filter(|_| operation.starts_with("List"));
    }
    request
}

/// The function of a path as `/2015-03-31/functions/{name}/invocations`.
pub(crate) fn invoked_function(uri: &Uri) -> Option<String> {
    let name = uri.path().strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    let name = decoded(name)?;
    // An ARN names the function in its last part.
    Some(name.rsplit(':').next().unwrap_or(&name).to_owned())
}

/// The operation of a request to Kinesis; `None` if it is for another service.
pub(crate) fn kinesis_operation(headers: &HeaderMap) -> Option<&str> {
    let (service, operation) = headers.get("x-amz-target")?.to_str().ok()?.split_once('.')?;
    service.starts_with("Kinesis_").then_some(operation)
}

fn stream_name(body: &Bytes) -> Option<String> {
    let named: Naming = serde_json::from_slice(body).ok()?;
    let by_arn = || Some(named.stream_arn?.rsplit_once('/')?.1.to_owned());
    let by_iterator = || Some(decode_shard_iterator(&named.shard_iterator?).ok()?.1);
    named.stream_name.or_else(by_arn).or_else(by_iterator)
}

/// The value of a parameter of the query, as it is written there.
fn asked<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let mut pairs = parts.uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(asked, _)| *asked == name).map(|(_, value)| value)
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}

fn s3_operation(parts: &Parts, bucket: bool, key: bool) -> &'static str {
    let asks = |name: &str| asked(parts, name).is_some();
    match (&parts.method, bucket, key) {
        (&Method::GET, false, _) => "ListBuckets",
        (&Method::GET, true, false) if asks("list-type") => "ListObjectsV2",
        (&Method::GET, true, false) if asks("location") => "GetBucketLocation",
        (&Method::GET, true, false) => "ListObjects",
        (&Method::PUT, true, false) => "CreateBucket",
        (&Method::HEAD, true, false) => "HeadBucket",
        (&Method::DELETE, true, false) => "DeleteBucket",
        (&Method::POST, true, false) if asks("delete") => "DeleteObjects",
        (&Method::PUT, true, true) if asks("uploadId") => "UploadPart",
        (&Method::PUT, true, true) if parts.headers.contains_key("x-amz-copy-source") => "CopyObject",
        (&Method::PUT, true, true) => "PutObject",
        (&Method::GET, true, true) => "GetObject",
        (&Method::HEAD, true, true) => "HeadObject",
        (&Method::DELETE, true, true) => "DeleteObject",
        (&Method::POST, true, true) if asks("uploads") => "CreateMultipartUpload",
        (&Method::POST, true, true) if asks("uploadId") => "CompleteMultipartUpload",
        _ => "Unknown",
    }
}
