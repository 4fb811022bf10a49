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
    operation::get_object::GetObjectOutput,
    primitives::{ByteStream, DateTime, DateTimeFormat},
};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::{
    aws::{Clients, failure::Failure},
    limits,
    port::{ETag, Got, Listed, ObjectError, Objects, Precondition},
    reason::Reason,
};

/// What is listed where only the time is asked: the relay may list it in any case, and next to nothing stands there.
const RELAY: &str = "relay/";

/// A bucket; cheap to clone.
///
/// A general purpose bucket keeps the whole contract. A directory bucket (S3 Express One Zone) lists its keys in no order,
/// so that [`Objects::list`] is refused there.
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

    fn check_size(&self, key: &str, bytes: usize) -> Result<(), ObjectError> {
        if bytes > limits::OBJECT_BYTES {
            let most = limits::OBJECT_BYTES;
            let words = format!("{key} has {bytes} bytes, more than the {most} allowed");
            return Err(ObjectError::Refused(Reason::new(self.what(), words)));
        }
        Ok(())
    }

    async fn found(&self, key: &str, answer: GetObjectOutput) -> Result<Got, ObjectError> {
        let etag = answer.e_tag.map(ETag).ok_or_else(|| unreadable("GetObject", "ETag"))?;
        let seconds = answer.last_modified.map(|time| time.secs());
        let modified = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let modified = modified.ok_or_else(|| unreadable("GetObject", "Last-Modified"))?;
        let length = answer.content_length.and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or_else(|| unreadable("GetObject", "Content-Length"))?;
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
        let length = body.len();
        self.check_size(key, length)?;
        let call = self.clients.s3.put_object().bucket(&*self.bucket).key(key).body(body.into());
        let call = match &only {
            Precondition::Absent => call.if_none_match("*"),
            Precondition::Matches(etag) => call.if_match(&etag.0),
        };
        match self.clients.ask(length, call.send()).await {
            Ok(answer) => answer.e_tag.map(ETag).ok_or_else(|| unreadable("PutObject", "ETag")),
            Err(failure) => Err(self.failed_write(failure, &only)),
        }
    }

    async fn delete(&self, key: &str, only: &ETag) -> Result<(), ObjectError> {
        let call = self.clients.s3.delete_object().bucket(&*self.bucket).key(key).if_match(&only.0);
        match self.clients.ask(0, call.send()).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.failed_write(failure, &Precondition::Matches(only.clone()))),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, ObjectError> {
        if self.bucket.ends_with("--x-s3") {
            let words = "a directory bucket lists its keys in no order";
            return Err(ObjectError::Refused(Reason::new(self.what(), words)));
        }
        let call = self.clients.s3.list_objects_v2().bucket(&*self.bucket).prefix(prefix);
        let call = call.set_start_after(after.map(str::to_owned));
        let answer = self.clients.ask(0, call.send()).await.map_err(|failure| self.failed_read(failure))?;
        let listed = answer.contents.unwrap_or_default().into_iter().map(|object| {
            let key = object.key.ok_or_else(|| unreadable("ListObjectsV2", "Key"))?;
            let size = object.size.and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or_else(|| unreadable("ListObjectsV2", "Size"))?;
            let modified = object.last_modified.as_ref().and_then(milliseconds);
            let modified = modified.ok_or_else(|| unreadable("ListObjectsV2", "LastModified"))?;
            Ok(Listed { key, size, modified })
        });
        listed.collect()
    }
}
