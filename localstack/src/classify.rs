//! Which operation a request asks for, read from its method, path, query and headers, as AWS does.
//!
//! Only what is listed here is known. A request to S3 with a parameter that its operation does not have asks for another operation, as
//! `PUT /bucket/key?acl` does; it is called `s3:Unknown` and refused, so that no policy takes it for something else.

use bytes::Bytes;
use ferrokinesis::shard_iterator::decode_shard_iterator;
use http::{HeaderMap, Method, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::fault::Request;
use crate::signature::{access_key_id, signs};

/// The operation of a request that is not known.
pub(crate) const UNKNOWN: &str = "s3:Unknown";

/// The part of a Kinesis request that names its stream.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Naming {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_iterator: Option<String>,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Service,
    Bucket,
    Key,
}

/// How one operation of S3 is asked for.
struct Form {
    operation: &'static str,
    method: &'static str,
    level: Level,
    /// Whether a header names what is copied.
    copies: bool,
    /// The parameters of the query that must be there.
    selects: &'static [&'static str],
    /// Those that may be there.
    takes: &'static [&'static str],
}

const fn form(operation: &'static str, method: &'static str, level: Level) -> Form {
    Form { operation, method, level, copies: false, selects: &[], takes: &[] }
}

/// What a read may ask of its answer's headers.
const ANSWER: &[&str] = &[
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

/// Every operation of S3 that is answered.
const FORMS: [Form; 20] = {
    use Level::{Bucket, Key, Service};
    const PART: &[&str] = &["partNumber", "uploadId"];
    [
        form("ListBuckets", "GET", Service),
        Form { selects: &["location"], ..form("GetBucketLocation", "GET", Bucket) },
        Form {
            selects: &["list-type"],
            takes: &[
                "prefix",
                "delimiter",
                "encoding-type",
                "max-keys",
                "continuation-token",
                "start-after",
                "fetch-owner",
            ],
            ..form("ListObjectsV2", "GET", Bucket)
        },
        Form {
            takes: &["prefix", "delimiter", "encoding-type", "max-keys", "marker"],
            ..form("ListObjects", "GET", Bucket)
        },
        Form {
            selects: &["uploads"],
            takes: &["prefix", "encoding-type", "max-uploads", "key-marker", "upload-id-marker"],
            ..form("ListMultipartUploads", "GET", Bucket)
        },
        form("CreateBucket", "PUT", Bucket),
        form("HeadBucket", "HEAD", Bucket),
        form("DeleteBucket", "DELETE", Bucket),
        Form { selects: &["delete"], ..form("DeleteObjects", "POST", Bucket) },
        form("PutObject", "PUT", Key),
        Form { copies: true, ..form("CopyObject", "PUT", Key) },
        Form { takes: ANSWER, ..form("GetObject", "GET", Key) },
        Form { takes: ANSWER, ..form("HeadObject", "HEAD", Key) },
        form("DeleteObject", "DELETE", Key),
        Form {
            selects: &["uploadId"],
            takes: &["max-parts", "part-number-marker"],
            ..form("ListParts", "GET", Key)
        },
        Form { selects: &["uploads"], ..form("CreateMultipartUpload", "POST", Key) },
        Form { selects: PART, ..form("UploadPart", "PUT", Key) },
        Form { selects: PART, copies: true, ..form("UploadPartCopy", "PUT", Key) },
        Form { selects: &["uploadId"], ..form("CompleteMultipartUpload", "POST", Key) },
        Form { selects: &["uploadId"], ..form("AbortMultipartUpload", "DELETE", Key) },
    ]
};

/// Classifies a request.
pub(crate) fn classify(parts: &Parts, body: &Bytes) -> Request {
    let mut request = Request {
        operation: UNKNOWN.to_owned(),
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
        return request;
    }
    if let Some(rest) = parts.uri.path().strip_prefix("/2015-03-31/") {
        let function = rest.strip_prefix("functions/").and_then(|rest| rest.strip_suffix("/invocations"));
        if let Some(function) = function.and_then(decoded).filter(|_| parts.method == Method::POST) {
            "lambda:Invoke".clone_into(&mut request.operation);
            // An ARN names the function in its last part.
            request.function = Some(function.rsplit(':').next().unwrap_or(&function).to_owned());
        }
        return request;
    }
    // Decoded before it is taken apart, as S3 does: `/bucket%2Fkey` names a key.
    let Some(path) = decoded(parts.uri.path()) else { return request };
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    (request.bucket, request.key) = (some(bucket), some(key));
    let level = match (&request.bucket, &request.key) {
        (None, _) => Level::Service,
        (Some(_), None) => Level::Bucket,
        (Some(_), Some(_)) => Level::Key,
    };
    if let Some(operation) = s3_operation(parts, level) {
        request.operation = format!("s3:{operation}");
        request.prefix = asked(parts, "prefix").and_then(decoded).filter(|prefix| !prefix.is_empty());
    }
    request
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

/// The parameters of the query, as they are written there.
pub(crate) fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The value of a parameter of the query, as it is written there.
fn asked<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parameters(parts.uri.query()).find(|(asked, _)| *asked == name).map(|(_, value)| value)
}

/// `None` if it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn s3_operation(parts: &Parts, level: Level) -> Option<&'static str> {
    // A form of a web page is PostObject, whatever else the request says.
    let media = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if parts.method == Method::POST && media.to_ascii_lowercase().starts_with(b"multipart/") {
        return None;
    }
    let copies = parts.headers.contains_key("x-amz-copy-source");
    // What names the operation for whoever reads a log, and what signs, is no part of it.
    let query = parts.uri.query();
    let named =
        || parameters(query).map(|(name, _)| name).filter(|name| *name != "x-id" && !signs(query, name));
    let fits = |form: &&Form| {
        form.method == parts.method.as_str()
            && form.level == level
            && form.copies == copies
            && form.selects.iter().all(|name| named().any(|asked| asked == *name))
            && named().all(|asked| form.selects.contains(&asked) || form.takes.contains(&asked))
    };
    let found = FORMS.iter().find(fits)?.operation;
    (found != "ListObjectsV2" || asked(parts, "list-type") == Some("2")).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        classify(&request.body(()).unwrap().into_parts().0, &Bytes::new())
    }

    #[test]
    fn a_parameter_that_an_operation_does_not_have_makes_another_operation() {
        for (method, target) in [
            ("POST", "/"),
            ("POST", "/bucket"),
            ("POST", "/bucket/key"),
            ("OPTIONS", "/bucket/key"),
            ("PATCH", "/bucket/key"),
            ("GET", "/bucket?list-type=1"),
            ("GET", "/bucket?versions"),
            ("GET", "/bucket/key?versionId=1"),
            ("GET", "/bucket/key?acl"),
            ("PUT", "/bucket?versioning"),
            ("PUT", "/bucket/key?tagging"),
            ("PUT", "/bucket/key?partNumber=1"),
            ("DELETE", "/bucket?policy"),
            ("DELETE", "/bucket?%70olicy"),
            ("DELETE", "/bucket/key?versionId=1"),
            ("GET", "/2015-03-31/functions"),
            ("GET", "/2015-03-31/functions/f/invocations"),
            ("DELETE", "/2015-03-31/functions/f"),
            ("GET", "/bucket/%FF"),
        ] {
            assert_eq!(operation(method, target, &[]).operation, UNKNOWN, "{method} {target}");
        }
        let form = [("content-type", "Multipart/Form-Data; boundary=x")];
        assert_eq!(operation("POST", "/bucket?delete", &form).operation, UNKNOWN, "PostObject");
        let other = [("x-amz-target", "DynamoDB_20120810.GetItem")];
        assert_eq!(operation("POST", "/", &other).operation, UNKNOWN);
    }

    #[test]
    fn what_signs_and_names_an_operation_changes_none() {
        let presigned = "x-id=GetObject&X-Amz-Credential=a&X-Amz-Signature=b";
        assert_eq!(operation("GET", &format!("/b/k?{presigned}"), &[]).operation, "s3:GetObject");
        let older = "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1";
        assert_eq!(operation("PUT", older, &[]).operation, "s3:PutObject");
        assert_eq!(operation("PUT", "/b/k?Expires=1", &[]).operation, UNKNOWN);
    }

    #[test]
    fn a_path_is_decoded_before_it_is_taken_apart() {
        let request = operation("DELETE", "/bucket%2Fa%2fb", &[]);
        assert_eq!(request.operation, "s3:DeleteObject");
        assert_eq!((request.bucket.as_deref(), request.key.as_deref()), (Some("bucket"), Some("a/b")));
    }
}
