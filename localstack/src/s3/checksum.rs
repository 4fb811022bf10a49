//! What a request says its body hashes to: `x-amz-checksum-…` in a header or behind the chunks, `Content-MD5`, and the hash that is signed.
//!
//! A request whose body is something else was damaged on its way and is refused, as on AWS: 400 `BadDigest`. Every algorithm that the
//! SDKs use is known; a checksum of another one is refused rather than not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};

use crate::signature::hex;

/// How a checksum's header begins.
const PREFIX: &str = "x-amz-checksum-";
/// Headers that begin so and hold no checksum.
const OTHERS: [&str; 3] = ["algorithm", "mode", "type"];

/// An algorithm, by the end of its header's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// What bytes hash to.
    pub(crate) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Crc32 => Crc32::checksum(bytes).to_vec(),
            Self::Crc32c => Crc32c::checksum(bytes).to_vec(),
            Self::Crc64Nvme => Crc64Nvme::checksum(bytes).to_vec(),
            Self::Sha1 => Sha1::checksum(bytes).as_ref().to_vec(),
            Self::Sha256 => Sha256::checksum(bytes).as_ref().to_vec(),
        }
    }
}

/// A checksum as a request gives it, in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) algorithm: Algorithm,
    pub(crate) value: String,
}

impl Given {
    /// The header that it is given in.
    pub(crate) fn header(&self) -> String {
        format!("{PREFIX}{}", self.algorithm.name())
    }

    /// Whether these bytes hash to it.
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        STANDARD.encode(self.algorithm.digest(bytes)) == self.value
    }
}

/// Why a request is refused; each is an error code of AWS, with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damaged {
    /// The body is another one.
    #[error("BadDigest")]
    BadDigest,
    /// `Content-MD5` is no MD5.
    #[error("InvalidDigest")]
    InvalidDigest,
    /// There are several checksums, or it is no value of a known algorithm.
    #[error("InvalidRequest")]
    InvalidRequest,
    /// The body is not the one that was signed.
    #[error("XAmzContentSHA256Mismatch")]
    Signed,
}

/// The checksum among a request's headers, if there is one.
pub(crate) fn given(headers: &HeaderMap) -> Result<Option<Given>, Damaged> {
    let mut found = None;
    for (name, value) in headers {
        let Some(name) = algorithm(name) else { continue };
        let algorithm = Algorithm::named(name).ok_or(Damaged::InvalidRequest)?;
        let value = value.to_str().map_err(|_| Damaged::InvalidRequest)?.to_owned();
        if found.replace(Given { algorithm, value }).is_some() {
            return Err(Damaged::InvalidRequest);
        }
    }
    Ok(found)
}

/// Whether a request says anything of its body.
pub(crate) fn is_given(headers: &HeaderMap) -> bool {
    headers.contains_key("content-md5") || headers.keys().any(|name| algorithm(name).is_some())
}

fn algorithm(header: &HeaderName) -> Option<&str> {
    header.as_str().strip_prefix(PREFIX).filter(|name| !OTHERS.contains(name))
}

/// Compares a body with what its request says of it. `whole` is whether a checksum in the headers is the body's: with
/// `CompleteMultipartUpload` it is the object's.
pub(crate) fn verify(headers: &HeaderMap, body: &[u8], whole: bool) -> Result<(), Damaged> {
    if let Some(md5) = headers.get("content-md5") {
        let md5 = STANDARD.decode(md5.as_bytes()).ok().filter(|bytes| bytes.len() == 16);
        if md5.ok_or(Damaged::InvalidDigest)? != Md5::checksum(body).as_ref() {
            return Err(Damaged::BadDigest);
        }
    }
    let Some(given) = given(headers)?.filter(|_| whole) else { return Ok(()) };
    let length = STANDARD.decode(&given.value).map(|bytes| bytes.len());
    if length != Ok(given.algorithm.digest(&[]).len()) {
        return Err(Damaged::InvalidRequest);
    }
    if given.fits(body) { Ok(()) } else { Err(Damaged::BadDigest) }
}

/// Compares a body, framed as it came, with the hash that was signed, where the request says one.
pub(crate) fn verify_signed(headers: &HeaderMap, body: &[u8]) -> Result<(), Damaged> {
    let Some(signed) = headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes) else { return Ok(()) };
    if signed == b"UNSIGNED-PAYLOAD" || signed.starts_with(b"STREAMING-") {
        return Ok(());
    }
    let hash = hex(Sha256::checksum(body).as_ref());
    if signed.eq_ignore_ascii_case(hash.as_bytes()) { Ok(()) } else { Err(Damaged::Signed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the tools of the field say of `123456789`, the usual input for a check.
    const KNOWN: [(&str, &str); 5] = [
        ("crc32", "y/Q5Jg=="),
        ("crc32c", "4waSgw=="),
        ("crc64nvme", "rosUhgp5mIg="),
        ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn every_algorithm_is_compared() {
        for (name, value) in KNOWN {
            let right = headers(&[(&format!("{PREFIX}{name}"), value)]);
            assert_eq!(verify(&right, b"123456789", true), Ok(()), "{name}");
            assert_eq!(verify(&right, b"123456780", true), Err(Damaged::BadDigest), "{name}");
            let short = headers(&[(&format!("{PREFIX}{name}"), "AAAA")]);
            assert_eq!(verify(&short, b"123456789", true), Err(Damaged::InvalidRequest), "{name}");
        }
        let md5 = headers(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")]);
        assert_eq!(verify(&md5, b"123456789", true), Ok(()));
        assert_eq!(verify(&md5, b"", true), Err(Damaged::BadDigest));
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        let unknown = headers(&[("x-amz-checksum-xxhash", "AAAA")]);
        assert_eq!(verify(&unknown, b"", true), Err(Damaged::InvalidRequest));
        let two = headers(&[("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")]);
        assert_eq!(verify(&two, b"", true), Err(Damaged::InvalidRequest));
        assert_eq!(verify(&headers(&[("content-md5", "AAAA")]), b"", true), Err(Damaged::InvalidDigest));
        assert_eq!(verify(&headers(&[("x-amz-checksum-mode", "ENABLED")]), b"", true), Ok(()));
    }

    #[test]
    fn a_signed_hash_is_compared_whoever_signed() {
        let signed = |value| headers(&[("x-amz-content-sha256", value)]);
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(verify_signed(&signed(hash), b""), Ok(()));
        assert_eq!(verify_signed(&signed(hash), b"x"), Err(Damaged::Signed));
        assert_eq!(verify_signed(&signed("UNSIGNED-PAYLOAD"), b"x"), Ok(()));
    }
}
