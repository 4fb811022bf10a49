//! The operations of S3 that are answered; every other one is refused with `NotImplemented`.
//!
//! Conditions are AWS's: `If-None-Match: *` and `If-Match` on `PutObject`, `If-Match` on `DeleteObject` and per key
//! in `DeleteObjects`, `If-None-Match` and `If-Match` on reads. A failed one is 412 `PreconditionFailed`, `If-Match`
//! on a missing key 404 `NoSuchKey`, an unchanged object 304.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    Bucket, CommonPrefix, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    ETagCondition, EncodingType, Error, GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput,
    StreamingBlob, Timestamp,
};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::list::{Query, list};
use super::objects::{Attributes, Buckets, Condition, Object, Refusal};

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');
/// The most keys of one page of a listing.
const PAGE: i32 = 1000;

/// The protocol's side of the buckets.
pub(crate) struct Operations {
    pub(crate) buckets: Arc<Buckets>,
    /// True if writes reach a disk, and should then keep no async thread waiting.
    pub(crate) durable: bool,
}

impl Operations {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Buckets) -> Result<T, Refusal> + Send + 'static,
    ) -> S3Result<T> {
        let buckets = Arc::clone(&self.buckets);
        let result = if self.durable {
            tokio::task::spawn_blocking(move || work(&buckets)).await.map_err(S3Error::internal_error)?
        } else {
            work(&buckets)
        };
        result.map_err(S3Error::from)
    }
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NoSuchBucket => S3ErrorCode::NoSuchBucket,
            Refusal::BucketAlreadyOwnedByYou => S3ErrorCode::BucketAlreadyOwnedByYou,
            Refusal::BucketNotEmpty => S3ErrorCode::BucketNotEmpty,
            Refusal::NoSuchKey => S3ErrorCode::NoSuchKey,
            Refusal::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            Refusal::Disk(_) => S3ErrorCode::InternalError,
        };
        let mut error = S3Error::with_message(code, refusal.to_string());
        if let Refusal::Disk(source) = refusal {
            tracing::error!(%source, "the data directory refused a write");
            error.set_source(Box::new(source));
        }
        error
    }
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = request.input.bucket;
        let location = Some(format!("/{name}"));
        self.run(move |buckets| buckets.create(&name)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.buckets.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.buckets.bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(
        &self,
        _request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.buckets.all().into_iter().map(|(name, bucket)| Bucket {
            name: Some(name),
            creation_date: Some(Timestamp::from(bucket.created)),
            ..Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.run(move |buckets| buckets.remove(&request.input.bucket)).await?;
        let mut response = S3Response::new(DeleteBucketOutput::default());
        response.status = Some(StatusCode::NO_CONTENT);
        Ok(response)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let condition = match (input.if_none_match, input.if_match) {
            (None, None) => Condition::Always,
            (Some(condition), None) if condition.is_any() => Condition::Absent,
            (None, Some(condition)) => matches(condition),
            // As AWS: If-None-Match with an ETag, and both headers at once, are not implemented for writes.
            _ => {
                return Err(s3_error!(
                    NotImplemented,
                    "a header you provided implies functionality that is not implemented"
                ));
            }
        };
        let bytes = match input.body {
            Some(body) => {
                let body = Body::from(body).collect().await;
                body.map_err(|_| s3_error!(IncompleteBody))?.to_bytes()
            }
            None => bytes::Bytes::new(),
        };
        let attributes = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            metadata: input.metadata,
        };
        let (bucket, key) = (input.bucket, input.key);
        let object =
            self.run(move |buckets| buckets.put(&bucket, &key, &condition, bytes, attributes)).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(etag(&object)), ..Default::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.buckets.get(&input.bucket, &input.key)?;
        check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let whole = object.bytes.len() as u64;
        let (bytes, content_range) = match input.range {
            None => (object.bytes.clone(), None),
            Some(range) => {
                let range = range.check(whole)?;
                let shown = format!("bytes {}-{}/{whole}", range.start, range.end.saturating_sub(1));
                let (start, end) = (index(range.start), index(range.end));
                (object.bytes.slice(start..end), Some(shown))
            }
        };
        let partial = content_range.is_some();
        let mut response = S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(bytes.len()).ok(),
            content_range,
            content_type: Some(content_type(&object)),
            content_encoding: object.attributes.content_encoding.clone(),
            e_tag: Some(etag(&object)),
            last_modified: Some(Timestamp::from(object.modified())),
            metadata: object.attributes.metadata.clone(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            ..Default::default()
        });
        if partial {
            response.status = Some(StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.buckets.get(&input.bucket, &input.key)?;
        check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.bytes.len()).ok(),
            content_type: Some(content_type(&object)),
            content_encoding: object.attributes.content_encoding.clone(),
            e_tag: Some(etag(&object)),
            last_modified: Some(Timestamp::from(object.modified())),
            metadata: object.attributes.metadata.clone(),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let condition = input.if_match.map_or(Condition::Always, matches);
        self.run(move |buckets| buckets.delete(&input.bucket, &input.key, &condition)).await?;
        let mut response = S3Response::new(DeleteObjectOutput::default());
        response.status = Some(StatusCode::NO_CONTENT);
        Ok(response)
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        self.buckets.bucket(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let condition =
                object.e_tag.map_or(Condition::Always, |etag| Condition::Matches(etag.into_value()));
            let (bucket, key) = (input.bucket.clone(), object.key.clone());
            match self.run(move |buckets| buckets.delete(&bucket, &key, &condition)).await {
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    ..Default::default()
                }),
            }
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = self.buckets.bucket(&input.bucket)?;
        let limit = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            start_after: input.start_after.clone(),
            token: input.continuation_token.clone(),
            limit: usize::try_from(limit).unwrap_or_default(),
        };
        let page = list(&bucket.read(), &query).map_err(|error| s3_error!(error, InvalidArgument))?;
        let encode = |text: String| match &input.encoding_type {
            Some(encoding) if encoding.as_str() == EncodingType::URL => {
                utf8_percent_encode(&text, PLAIN).to_string()
            }
            _ => text,
        };
        let count = page.objects.len() + page.groups.len();
        let contents = page.objects.into_iter().map(|(key, object)| s3s::dto::Object {
            e_tag: Some(etag(&object)),
            last_modified: Some(Timestamp::from(object.modified())),
            size: i64::try_from(object.bytes.len()).ok(),
            key: Some(encode(key)),
            ..Default::default()
        });
        let contents = contents.collect();
        let groups = page.groups.into_iter().map(|group| CommonPrefix { prefix: Some(encode(group)) });
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            key_count: i32::try_from(count).ok(),
            max_keys: Some(limit),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next,
            contents: Some(contents),
            common_prefixes: Some(groups.collect()),
            prefix: input.prefix.map(encode),
            delimiter: input.delimiter.map(encode),
            start_after: input.start_after.map(encode),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }
}

fn matches(condition: ETagCondition) -> Condition {
    match condition {
        ETagCondition::Any => Condition::Present,
        ETagCondition::ETag(etag) => Condition::Matches(etag.into_value()),
    }
}

fn etag(object: &Object) -> ETag {
    ETag::Strong(object.etag())
}

fn content_type(object: &Object) -> String {
    object.attributes.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn check_read(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let stands = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag(),
    };
    if if_match.is_some_and(|condition| !stands(condition)) {
        return Err(Refusal::PreconditionFailed.into());
    }
    if if_none_match.is_some_and(stands) {
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", object.etag())) {
            headers.insert(header::ETAG, value);
        }
        error.set_headers(headers);
        return Err(error);
    }
    Ok(())
}
