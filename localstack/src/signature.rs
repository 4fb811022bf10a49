//! Who asks: AWS Signature Version 4, in a header or in the query of a presigned URL, checked only if a key pair is demanded.
//!
//! 1. `expired` says whether a presigned URL's time is over, whoever signed it.
//! 2. `verify` builds the canonical request from the headers that were signed, signs it with the demanded secret,
//!    and compares. Requests are verified as a whole; the signatures of single chunks are not.
//! 3. `strip` takes away what belongs to the signature, and the framing of a chunked upload, so that S3 sees the
//!    plain request. Checksums that came behind the chunks become headers.
//!
//! URLs presigned by the older version 2, as boto3 makes them unless told otherwise, are taken where any key pair will do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue, header, request::Parts};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use crate::classify::parameters;

/// The longest time for which a URL can be presigned, in seconds.
const LONGEST: u64 = 7 * 24 * 60 * 60;

/// The one key pair that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

impl Credentials {
    /// What functions are given where any key pair will do.
    pub(crate) fn any() -> Self {
        Self { access_key_id: "test".to_owned(), secret_access_key: "test".to_owned() }
    }
}

/// What an `Authorization` header or a presigned URL says.
struct Claim {
    access_key_id: String,
    /// `{date}/{region}/{service}/aws4_request`.
    scope: String,
    signed_headers: String,
    signature: String,
}

/// The id of the key that a request is signed with, whether or not the signature is right.
pub(crate) fn access_key_id(parts: &Parts) -> Option<String> {
    claim(parts).map(|claim| claim.access_key_id).or_else(|| asked(parts, "AWSAccessKeyId"))
}

/// Whether a parameter of a query signs the request, and is no part of what is asked for.
pub(crate) fn signs(query: Option<&str>, name: &str) -> bool {
    let older = || parameters(query).any(|(asked, _)| asked == "Signature");
    name.starts_with("X-Amz-")
        || (matches!(name, "AWSAccessKeyId" | "Signature" | "Expires" | "x-amz-security-token") && older())
}

/// Whether the request comes by a presigned URL whose time is over; `None` if its times can't be read, or are longer than AWS allows.
pub(crate) fn expired(parts: &Parts) -> Option<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if let Some(expires) = asked(parts, "X-Amz-Expires").filter(|_| is_presigned(parts)) {
        let signed = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", asked(parts, "X-Amz-Date")?).ok()?;
        let signed = signed.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let expires = expires.parse().ok().filter(|seconds| *seconds <= LONGEST)?;
        let signed = Duration::from_secs(u64::try_from(signed.as_second()).ok()?);
        return Some(signed + Duration::from_secs(expires) < now);
    }
    match asked(parts, "Expires").filter(|_| signs(parts.uri.query(), "Expires")) {
        Some(expires) => Some(Duration::from_secs(expires.parse().ok()?) < now),
        None => Some(is_presigned(parts)).filter(|presigned| !presigned),
    }
}

fn is_presigned(parts: &Parts) -> bool {
    parameters(parts.uri.query()).any(|(name, _)| name == "X-Amz-Signature")
}

/// The value of a parameter of the query, decoded.
fn asked(parts: &Parts, name: &str) -> Option<String> {
    let (_, value) = parameters(parts.uri.query()).find(|(asked, _)| *asked == name)?;
    Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
}

/// Checks who asks; the error is AWS's code.
pub(crate) fn verify(credentials: &Credentials, parts: &Parts, body: &Bytes) -> Result<(), &'static str> {
    let kinesis = crate::classify::kinesis_operation(&parts.headers).is_some();
    let (unknown_key, wrong_signature) = if kinesis {
        ("UnrecognizedClientException", "InvalidSignatureException")
    } else {
        ("InvalidAccessKeyId", "SignatureDoesNotMatch")
    };
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let claim = claim(parts).ok_or("AccessDenied")?;
    if claim.access_key_id != credentials.access_key_id {
        return Err(unknown_key);
    }
    let presigned = is_presigned(parts);
    let date = text("x-amz-date").filter(|_| !presigned).or_else(|| asked(parts, "X-Amz-Date"));
    let date = date.ok_or(wrong_signature)?;
    let payload = text("x-amz-content-sha256").or_else(|| presigned.then(|| "UNSIGNED-PAYLOAD".to_owned()));
    let payload = payload.unwrap_or_else(|| hex(&Sha256::digest(body)));
    let canonical = canonical_request(parts, &claim.signed_headers, &payload);
    let hashed = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hashed}", claim.scope);
    let mut key = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    for part in claim.scope.split('/') {
        key = keyed(&key, part.as_bytes()).ok_or(wrong_signature)?;
    }
    let signature = keyed(&key, to_sign.as_bytes()).ok_or(wrong_signature)?;
    if hex(&signature) == claim.signature { Ok(()) } else { Err(wrong_signature) }
}

/// Takes away the signature and a chunked upload's framing; `None` if the framing is broken, or the upload is not as long as it says.
pub(crate) fn strip(parts: &mut Parts, body: &Bytes) -> Option<Bytes> {
    parts.headers.remove(header::AUTHORIZATION);
    if let Some(query) = parts.uri.query() {
        let pairs =
            query.split('&').filter(|pair| !signs(Some(query), pair.split('=').next().unwrap_or_default()));
        let kept = pairs.collect::<Vec<_>>().join("&");
        let path = parts.uri.path();
        let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
        parts.uri = target.parse().ok()?;
    }
    let streaming = parts
        .headers
        .remove("x-amz-content-sha256")
        .is_some_and(|payload| payload.as_bytes().starts_with(b"STREAMING-"));
    if !streaming {
        return Some(body.clone());
    }
    let (plain, trailers) = unframe(body)?;
    let length = parts.headers.remove("x-amz-decoded-content-length");
    if length.is_some_and(|length| length.as_bytes() != plain.len().to_string().as_bytes()) {
        return None;
    }
    // What is announced must come.
    for name in parts.headers.get_all("x-amz-trailer") {
        let announced = name.to_str().ok()?.split(',').map(|name| name.trim().to_ascii_lowercase());
        let came = |name: &String| trailers.iter().any(|(trailer, _)| trailer.as_str() == name);
        if !announced.collect::<Vec<_>>().iter().all(came) {
            return None;
        }
    }
    parts.headers.remove("x-amz-trailer");
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(plain.len()));
    let encoding = parts.headers.remove(header::CONTENT_ENCODING);
    let encoding = encoding.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
    if !kept.concat().is_empty() {
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(&kept.join(",")).ok()?);
    }
    let checksums = trailers.into_iter().filter(|(name, _)| name.as_str().starts_with("x-amz-checksum-"));
    parts.headers.extend(checksums);
    Some(plain)
}

/// Joins the chunks `{size};chunk-signature=…\r\n{bytes}\r\n`; what follows the empty one are trailers.
fn unframe(mut rest: &[u8]) -> Option<(Bytes, Vec<(HeaderName, HeaderValue)>)> {
    let mut plain = BytesMut::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let begin = end + 2;
        if size == 0 {
            let trailers = std::str::from_utf8(rest.get(begin..)?).ok()?.split(['\r', '\n']);
            let trailer = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
            };
            let trailers = trailers.filter(|line| !line.is_empty()).map(trailer).collect::<Option<_>>()?;
            return Some((plain.freeze(), trailers));
        }
        plain.extend_from_slice(rest.get(begin..begin.checked_add(size)?)?);
        rest = rest.get(begin + size..)?.strip_prefix(b"\r\n")?;
    }
}

fn claim(parts: &Parts) -> Option<Claim> {
    if is_presigned(parts) {
        let credential = asked(parts, "X-Amz-Credential")?;
        let (access_key_id, scope) = credential.split_once('/')?;
        return Some(Claim {
            access_key_id: access_key_id.to_owned(),
            scope: scope.to_owned(),
            signed_headers: asked(parts, "X-Amz-SignedHeaders")?,
            signature: asked(parts, "X-Amz-Signature")?,
        });
    }
    let fields = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("AWS4-HMAC-SHA256")?;
    let field =
        |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    let (access_key_id, scope) = field("Credential")?.split_once('/')?;
    Some(Claim {
        access_key_id: access_key_id.to_owned(),
        scope: scope.to_owned(),
        signed_headers: field("SignedHeaders")?.to_owned(),
        signature: field("Signature")?.to_owned(),
    })
}

fn canonical_request(parts: &Parts, signed_headers: &str, payload: &str) -> String {
    let mut query: Vec<String> = parts
        .uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.starts_with("X-Amz-Signature="))
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    query.sort_unstable();
    let headers: Vec<String> = signed_headers
        .split(';')
        .map(|name| {
            let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let values = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
            format!("{name}:{}\n", values.collect::<Vec<_>>().join(","))
        })
        .collect();
    let headers = headers.concat();
    let (method, path, query) = (&parts.method, parts.uri.path(), query.join("&"));
    format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{payload}")
}

fn keyed(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac.finalize().into_bytes().to_vec())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_trailers_are_kept_apart() {
        let framed = b"4;chunk-signature=ab\r\nwiki\r\n3\r\nped\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let (plain, trailers) = unframe(framed).unwrap();
        assert_eq!(plain, "wikiped");
        assert_eq!(trailers, [("x-amz-checksum-crc32".parse().unwrap(), "AAAA".parse().unwrap())]);
        assert_eq!(unframe(b"4\r\nwi"), None);
        assert_eq!(unframe(b"ffffffffffffffff\r\nwi"), None);
    }
}
