//! A bucket of S3 as the [`Objects`] port.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::BoxError,
    operation::{
        get_object::GetObjectOutput, list_objects_v2::ListObjectsV2Output, put_object::PutObjectOutput,
    },
    primitives::{ByteStream, DateTime, DateTimeFormat},
};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::{
    aws::{Clients, failure::Failure, gone::is_deletable},
    limits,
    port::{ETag, Got, Keys, Listed, Listing, ObjectError, Objects, Precondition, Token},
    reason::Reason,
};

/// What is listed where only the time is asked: the relay may list it in any case, and next to nothing stands there.
const RELAY: &str = "relay/";

/// A bucket; cheap to clone.
///
/// A general purpose bucket lists its keys in order, so a listing begins and ends at the bounds that are asked for. A directory
/// bucket (S3 Express One Zone) has no order: all under the prefix is listed, and what is out of bounds is left out here.
///
/// Where S3 has no conditional DELETE, an empty object says that nothing is there: `gone.rs`.
#[derive(Debug, Clone)]
pub struct AwsObjects {
    clients: Clients,
    bucket: Arc<str>,
}

impl AwsObjects {
    pub(super) fn new(clients: &Clients, bucket: String) -> Self {
        Self { clients: clients.clone(), bucket: bucket.into() }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    fn what(&self) -> String {
        format!("bucket {} at {}", self.bucket, self.clients.place)
    }

    /// Where it is: an endpoint or a region.
    pub(super) fn place(&self) -> &str {
        &self.clients.place
    }

    /// Whether it is AWS's own.
    pub(super) fn is_aws(&self) -> bool {
        self.clients.is_aws
    }

    fn failed_read(&self, failure: Failure) -> ObjectError {
        match failure {
            Failure::Unknown(reason) => ObjectError::Unknown(reason),
            Failure::Refused { status, code, message, source } => {
                ObjectError::Refused(Failure::refusal(&self.what(), status, (&code, &message), source))
            }
        }
    }

    fn failed_write(&self, failure: Failure, only: &Precondition) -> ObjectError {
        match failure {
            Failure::Refused { status: 412, .. } => ObjectError::Precondition,
            Failure::Refused { status: 409, .. } => ObjectError::InFlight,
            Failure::Refused { status: 404, code, .. } if code == "NoSuchKey" => match only {
                Precondition::Matches(_) => ObjectError::Precondition,
                // A delete overtook the write.
                Precondition::Absent => ObjectError::InFlight,
            },
            other => self.failed_read(other),
        }
    }

    /// Whether listings come in the order of the keys as bytes, as everywhere but in directory buckets.
    fn is_ordered(&self) -> bool {
        !self.bucket.ends_with("--x-s3")
    }

    fn check_size(&self, key: &str, bytes: usize) -> Result<(), ObjectError> {
        if bytes > limits::OBJECT_BYTES {
            let most = limits::OBJECT_BYTES;
            let words = format!("{key} has {bytes} bytes, more than the {most} allowed");
            return Err(ObjectError::Refused(Reason::new(self.what(), words)));
        }
        Ok(())
    }

    /// One conditional PUT.
    pub(super) async fn send(
        &self,
        key: &str,
        body: Bytes,
        only: &Precondition,
    ) -> Result<PutObjectOutput, Failure> {
        let length = body.len();
        let call = self.clients.s3.put_object().bucket(&*self.bucket).key(key).body(body.into());
        let call = match only {
            Precondition::Absent => call.if_none_match("*"),
            Precondition::Matches(etag) => call.if_match(&etag.0),
        };
        self.clients.ask(length, call.send()).await
    }

    async fn write(&self, key: &str, body: Bytes, only: &Precondition) -> Result<ETag, ObjectError> {
        match self.send(key, body, only).await {
            Ok(answer) => answer.e_tag.map(ETag).ok_or_else(|| unreadable("PutObject", "ETag")),
            Err(failure) => Err(self.failed_write(failure, only)),
        }
    }

    /// The version of an empty object, where one is.
    async fn empty(&self, key: &str) -> Option<ETag> {
        let call = self.clients.s3.head_object().bucket(&*self.bucket).key(key);
        let answer = self.clients.ask(0, call.send()).await.ok()?;
        answer.e_tag.map(ETag).filter(|_| answer.content_length == Some(0))
    }

    async fn found(&self, key: &str, answer: GetObjectOutput) -> Result<Got, ObjectError> {
        let etag = answer.e_tag.map(ETag).ok_or_else(|| unreadable("GetObject", "ETag"))?;
        let seconds = answer.last_modified.map(|time| time.secs());
        let modified = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let modified = modified.ok_or_else(|| unreadable("GetObject", "Last-Modified"))?;
        let length = answer.content_length.and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or_else(|| unreadable("GetObject", "Content-Length"))?;
        if length == 0 && is_deletable(key) {
            self.clients.gone.meet();
            return Ok(Got::Missing);
        }
        self.check_size(key, length)?;
        let deadline = self.clients.deadline(length);
        let body = match timeout(deadline, self.body(key, answer.body, length)).await {
            Ok(body) => body?,
            Err(_) => return Err(ObjectError::Unknown(format!("{key}: {}", body_late(deadline)).into())),
        };
        Ok(Got::Found { body, etag, modified })
    }

    async fn body(&self, key: &str, mut stream: ByteStream, length: usize) -> Result<Bytes, ObjectError> {
        let mut body = BytesMut::with_capacity(length);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| {
                ObjectError::Unknown(Reason::new(format_args!("the body of {key}"), error))
            })?;
            self.check_size(key, body.len() + chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        if body.len() != length {
            return Err(ObjectError::Unknown(
                format!("the body of {key} ended at {} of {length}", body.len()).into(),
            ));
        }
        Ok(body.freeze())
    }
}

fn body_late(deadline: Duration) -> String {
    format!("its body did not come within {} ms", deadline.as_millis())
}

fn unreadable(operation: &str, field: &str) -> ObjectError {
    ObjectError::Unknown(format!("{operation} was answered without a {field} that can be read").into())
}

/// The time that an answer's header says: the SDK has no field for it.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Option<String>>>);

impl Heard {
    fn time(&self) -> Option<Timestamp> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let date = DateTime::from_str(&text, DateTimeFormat::HttpDate).ok()?;
        Timestamp::from_second(date.secs()).ok()
    }
}

impl Intercept for Heard {
    fn name(&self) -> &'static str {
        "heard"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

fn milliseconds(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.to_millis().ok()?).ok()
}

#[async_trait]
impl Objects for AwsObjects {
    async fn now(&self) -> Result<Timestamp, ObjectError> {
        let heard = Heard::default();
        let call = self.clients.s3.list_objects_v2().bucket(&*self.bucket).prefix(RELAY).max_keys(1);
        let call = call.customize().interceptor(heard.clone()).send();
        self.clients.ask(0, call).await.map_err(|failure| self.failed_read(failure))?;
        heard.time().ok_or_else(|| unreadable("ListObjectsV2", "Date"))
    }

    async fn get(&self, key: &str, known: Option<&ETag>) -> Result<Got, ObjectError> {
        let call = self.clients.s3.get_object().bucket(&*self.bucket).key(key);
        let call = call.set_if_none_match(known.map(|etag| etag.0.clone()));
        match self.clients.ask(0, call.send()).await {
            Ok(answer) => self.found(key, answer).await,
            Err(Failure::Refused { status: 304, .. }) if known.is_some() => Ok(Got::Unchanged),
            Err(Failure::Refused { status: 404, code, .. }) if code == "NoSuchKey" => Ok(Got::Missing),
            Err(failure) => Err(self.failed_read(failure)),
        }
    }

    async fn put(&self, key: &str, body: Bytes, only: Precondition) -> Result<ETag, ObjectError> {
        self.check_size(key, body.len())?;
        if body.is_empty() {
            return Err(ObjectError::Refused(
                format!("{key}: an empty object says that nothing is there").into(),
            ));
        }
        let written = self.write(key, body.clone(), &only).await;
        if matches!(written, Err(ObjectError::Precondition))
            && only == Precondition::Absent
            && self.clients.gone.is_met()
            && is_deletable(key)
            && let Some(etag) = self.empty(key).await
        {
            return self.write(key, body, &Precondition::Matches(etag)).await;
        }
        written
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        let matches = Precondition::Matches(only.clone());
        if !self.clients.gone.has_no_delete() {
            let call = self.clients.s3.delete_object().bucket(&*self.bucket).key(key).if_match(&only.0);
            match self.clients.ask(0, call.send()).await {
                Ok(_) => return Ok(()),
                Err(Failure::Refused { status: 501, .. }) => self.clients.gone.learn_no_delete(),
                Err(Failure::Refused { status: 403, .. }) => {}
                Err(failure) => return Err(self.failed_write(failure, &matches)),
            }
        }
        self.write(key, Bytes::new(), &matches).await?;
        self.clients.gone.meet();
        Ok(())
    }

    async fn list(&self, keys: &Keys, from: Option<&Token>) -> Result<Listing, ObjectError> {
        let call = self.clients.s3.list_objects_v2().bucket(&*self.bucket).prefix(&keys.prefix);
        let call = match from {
            Some(Token(token)) => call.continuation_token(token),
            None => call.set_start_after(keys.after.clone().filter(|_| self.is_ordered())),
        };
        let answer = self.clients.ask(0, call.send()).await.map_err(|failure| self.failed_read(failure))?;
        listing(keys, self.is_ordered(), answer)
    }
}

/// The page that an answer holds, without what is out of bounds.
fn listing(keys: &Keys, ordered: bool, answer: ListObjectsV2Output) -> Result<Listing, ObjectError> {
    let next = match answer.is_truncated {
        Some(true) => {
            let token = answer.next_continuation_token.map(Token);
            Some(token.ok_or_else(|| unreadable("ListObjectsV2", "NextContinuationToken"))?)
        }
        _ => None,
    };
    let listed = answer.contents.unwrap_or_default().into_iter().map(|object| {
        let key = object.key.ok_or_else(|| unreadable("ListObjectsV2", "Key"))?;
        let size = object.size.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| unreadable("ListObjectsV2", "Size"))?;
        let modified = object.last_modified.as_ref().and_then(milliseconds);
        let modified = modified.ok_or_else(|| unreadable("ListObjectsV2", "LastModified"))?;
        Ok(Listed { key, size, modified })
    });
    let mut objects = listed.collect::<Result<Vec<_>, _>>()?;
    let beyond = |listed: &Listed| keys.before.as_deref().is_some_and(|before| listed.key.as_str() >= before);
    let passed = ordered && objects.iter().any(beyond);
    // An empty object says that nothing is there.
    objects.retain(|listed| (listed.size > 0 || !is_deletable(&listed.key)) && keys.contain(&listed.key));
    Ok(Listing { objects, next: next.filter(|_| !passed) })
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::Object;

    use super::*;

    fn answer(keys: &[&str], next: Option<&str>) -> ListObjectsV2Output {
        let object =
            |key: &&str| Object::builder().key(*key).size(1).last_modified(DateTime::from_secs(0)).build();
        let contents = keys.iter().map(object).collect();
        let output = ListObjectsV2Output::builder().set_contents(Some(contents)).is_truncated(next.is_some());
        output.set_next_continuation_token(next.map(str::to_owned)).build()
    }

    fn listed(keys: &Keys, ordered: bool, answer: ListObjectsV2Output) -> (Vec<String>, Option<String>) {
        let Listing { objects, next } = listing(keys, ordered, answer).expect("a page");
        (objects.into_iter().map(|listed| listed.key).collect(), next.map(|Token(token)| token))
    }

    #[test]
    fn only_a_page_that_is_not_truncated_is_the_last() {
        let keys = Keys::under("a/");
        assert_eq!(listed(&keys, true, answer(&[], Some("t"))), (vec![], Some("t".to_owned())));
        assert_eq!(listed(&keys, true, answer(&["a/1"], None)), (vec!["a/1".to_owned()], None));
        let truncated = ListObjectsV2Output::builder().is_truncated(true).build();
        assert!(matches!(listing(&keys, true, truncated), Err(ObjectError::Unknown(_))), "no way to go on");
    }

    #[test]
    fn a_bound_ends_a_listing_only_where_keys_have_an_order() {
        let keys = Keys::under("a/").after("a/1").before("a/3");
        let page = || answer(&["a/9", "a/2", "a/1"], Some("t"));
        assert_eq!(listed(&keys, true, page()), (vec!["a/2".to_owned()], None));
        assert_eq!(listed(&keys, false, page()), (vec!["a/2".to_owned()], Some("t".to_owned())));
    }
}
