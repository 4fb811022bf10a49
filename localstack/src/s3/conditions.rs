//! What a request asks of the object that exists, from its headers.

use http::{HeaderMap, HeaderValue, header};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::objects::{Condition, Object, Refusal};

/// The condition of a write: `If-None-Match: *`, or `If-Match`. Anything else is not implemented for writes, on AWS neither.
pub(crate) fn of_write(
    if_none_match: Option<ETagCondition>,
    if_match: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (if_none_match, if_match) {
        (None, None) => Ok(Condition::Always),
        (Some(condition), None) if condition.is_any() => Ok(Condition::Absent),
        (None, Some(condition)) => Ok(matches(condition)),
        _ => Err(s3_error!(
            NotImplemented,
            "a header you provided implies functionality that is not implemented"
        )),
    }
}

/// The condition of a write whose input does not hold its headers.
pub(crate) fn of_headers(headers: &HeaderMap) -> S3Result<Condition> {
    let parsed = |name| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        let parsed = value.map(ETagCondition::parse_http_header).transpose();
        parsed.map_err(|_| s3_error!(InvalidArgument, "an ETag is not valid"))
    };
    of_write(parsed(header::IF_NONE_MATCH)?, parsed(header::IF_MATCH)?)
}

/// `If-Match`.
pub(crate) fn matches(condition: ETagCondition) -> Condition {
    match condition {
        ETagCondition::Any => Condition::Present,
        ETagCondition::ETag(etag) => Condition::Matches(etag.into_value()),
    }
}

/// What a read asks of an object. Times count in whole seconds, and only where no `ETag` is asked for to the same end.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_match: Option<ETagCondition>,
    pub(crate) modified_since: Option<Timestamp>,
    pub(crate) unmodified_since: Option<Timestamp>,
}

impl Read {
    /// As a read is answered: 412 or 304.
    pub(crate) fn check(&self, object: &Object) -> S3Result<()> {
        if self.fails(object) {
            return Err(Refusal::PreconditionFailed.into());
        }
        if !self.is_unchanged(object) {
            return Ok(());
        }
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", object.etag())) {
            headers.insert(header::ETAG, value);
        }
        error.set_headers(headers);
        Err(error)
    }

    /// As a copy is answered: 412 in any case.
    pub(crate) fn check_source(&self, object: &Object) -> S3Result<()> {
        if self.fails(object) || self.is_unchanged(object) {
            return Err(Refusal::PreconditionFailed.into());
        }
        Ok(())
    }

    fn fails(&self, object: &Object) -> bool {
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) => !is(condition, object),
            (None, Some(since)) => modified(object) > *since,
            (None, None) => false,
        }
    }

    fn is_unchanged(&self, object: &Object) -> bool {
        match (&self.none_match, &self.modified_since) {
            (Some(condition), _) => is(condition, object),
            (None, Some(since)) => modified(object) <= *since,
            (None, None) => false,
        }
    }
}

fn is(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag(),
    }
}

/// When it was written, as a read tells it.
fn modified(object: &Object) -> Timestamp {
    let seconds = std::time::Duration::from_micros(object.written).as_secs();
    Timestamp::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}
