//! Who asks: AWS Signature Version 4, checked only if a key pair is demanded.
//!
//! 1. `verify` builds the canonical request from the headers that were signed, signs it with the demanded secret,
//!    and compares. Requests are verified as a whole; the signatures of single chunks are not.
//! 2. `strip` takes away what belongs to the signature, and the framing of a chunked upload, so that S3 sees the
//!    plain request.

use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, header, request::Parts};
use sha2::{Digest as _, Sha256};

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

/// What an `Authorization` header says.
struct Claim<'a> {
    access_key_id: &'a str,
    /// `{date}/{region}/{service}/aws4_request`.
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// The id of the key that a request is signed with, whether or not the signature is right.
pub(crate) fn access_key_id(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(parse(header)?.access_key_id.to_owned())
}

/// Checks a request; the error is AWS's code.
pub(crate) fn verify(credentials: &Credentials, parts: &Parts, body: &Bytes) -> Result<(), &'static str> {
    let kinesis = crate::classify::kinesis_operation(&parts.headers).is_some();
    let (unknown_key, wrong_signature) = if kinesis {
        ("UnrecognizedClientException", "InvalidSignatureException")
    } else {
        ("InvalidAccessKeyId", "SignatureDoesNotMatch")
    };
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let claim = text("authorization").and_then(parse).ok_or("AccessDenied")?;
    if claim.access_key_id != credentials.access_key_id {
        return Err(unknown_key);
    }
    let date = text("x-amz-date").ok_or(wrong_signature)?;
    let payload = text("x-amz-content-sha256").map_or_else(|| hex(&Sha256::digest(body)), str::to_owned);
    let is_hash = payload.len() == 64 && payload.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash && payload != hex(&Sha256::digest(body)) {
        return Err(if kinesis { wrong_signature } else { "XAmzContentSHA256Mismatch" });
    }
    let canonical = canonical_request(parts, claim.signed_headers, &payload);
    let hashed = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hashed}", claim.scope);
    let mut key = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    for part in claim.scope.split('/') {
        key = keyed(&key, part.as_bytes()).ok_or(wrong_signature)?;
    }
    let signature = keyed(&key, to_sign.as_bytes()).ok_or(wrong_signature)?;
    if hex(&signature) == claim.signature { Ok(()) } else { Err(wrong_signature) }
}

/// Takes away the signature and a chunked upload's framing; `None` if the framing is broken.
pub(crate) fn strip(parts: &mut Parts, body: &Bytes) -> Option<Bytes> {
    parts.headers.remove(header::AUTHORIZATION);
    if let Some(query) = parts.uri.query().filter(|query| query.contains("X-Amz-Signature")) {
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
        let uri = format!("{}?{}", parts.uri.path(), kept.join("&"));
        parts.uri = uri.parse().ok()?;
    }
    let streaming = parts
        .headers
        .remove("x-amz-content-sha256")
        .is_some_and(|payload| payload.as_bytes().starts_with(b"STREAMING-"));
    if !streaming {
        return Some(body.clone());
    }
    let plain = unframe(body)?;
    parts.headers.remove("x-amz-decoded-content-length");
    parts.headers.remove("x-amz-trailer");
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(plain.len()));
    let encoding = parts.headers.remove(header::CONTENT_ENCODING);
    let encoding = encoding.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
    if !kept.concat().is_empty() {
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(&kept.join(",")).ok()?);
    }
    Some(plain)
}

/// Joins the chunks `{size};chunk-signature=…\r\n{bytes}\r\n`; what follows the empty one are trailers.
fn unframe(mut rest: &[u8]) -> Option<Bytes> {
    let mut plain = BytesMut::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(plain.freeze());
        }
        let begin = end + 2;
        plain.extend_from_slice(rest.get(begin..begin.checked_add(size)?)?);
        rest = rest.get(begin + size..)?.strip_prefix(b"\r\n")?;
    }
}

fn parse(authorization: &str) -> Option<Claim<'_>> {
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
    let field =
        |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    let (access_key_id, scope) = field("Credential")?.split_once('/')?;
    Some(Claim {
        access_key_id,
        scope,
        signed_headers: field("SignedHeaders")?,
        signature: field("Signature")?,
    })
}

fn canonical_request(parts: &Parts, signed_headers: &str, payload: &str) -> String {
    let mut query: Vec<String> = parts
        .uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
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

fn hex(bytes: &[u8]) -> String {
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
    fn chunks_are_joined_and_trailers_left_out() {
        let framed = b"4;chunk-signature=ab\r\nwiki\r\n3\r\nped\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(unframe(framed), Some(Bytes::from_static(b"wikiped")));
        assert_eq!(unframe(b"4\r\nwi"), None);
        assert_eq!(unframe(b"ffffffffffffffff\r\nwi"), None);
    }
}
