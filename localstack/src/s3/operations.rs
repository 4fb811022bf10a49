//! The operations of S3 that are answered; every other one is refused with `NotImplemented`.
//!
//! Conditions are AWS's: `If-None-Match: *` and `If-Match` on `PutObject`, `CopyObject` and `CompleteMultipartUpload`, `If-Match` on
//! `DeleteObject` and per key in `DeleteObjects`, and all four on reads. A failed one is 412 `PreconditionFailed`, `If-Match`
//! on a missing key 404 `NoSuchKey`, an unchanged object 304. Uploads in parts and copies are in `parts`.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, EncodingType, Error, GetBucketLocationInput,
    GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{self, Given};
use super::conditions::{self, Read};
use super::list::{Page, Position, Query, list};
use super::objects::{Attributes, Buckets, Condition, Object, Refusal};
use super::uploads::Uploads;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');
/// The most keys of one page of a listing.
const PAGE: i32 = 1000;

/// The protocol's side of the buckets.
pub(crate) struct Operations {
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) uploads: Uploads,
    /// True if writes reach a disk, and should then keep no async thread waiting.
    pub(crate) durable: bool,
}

impl Operations {
    pub(super) async fn run<T: Send + 'static>(
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
            Refusal::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            Refusal::InvalidPart => S3ErrorCode::InvalidPart,
            Refusal::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
            Refusal::InvalidPartNumber => S3ErrorCode::InvalidArgument,
            Refusal::EntityTooSmall => S3ErrorCode::EntityTooSmall,
            Refusal::MalformedXml => S3ErrorCode::MalformedXML,
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
        let checksum = given(&request.headers)?;
        let input = request.input;
        let condition = conditions::of_write(input.if_none_match, input.if_match)?;
        let bytes = body_of(input.body).await?;
        let attributes = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            metadata: input.metadata,
            checksum,
        };
        let (bucket, key) = (input.bucket, input.key);
        let object =
            self.run(move |buckets| buckets.put(&bucket, &key, &condition, bytes, attributes)).await?;
        let mut response =
            S3Response::new(PutObjectOutput { e_tag: Some(etag(&object)), ..Default::default() });
        show(&mut response.headers, object.attributes.checksum.as_ref());
        Ok(response)
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.buckets.get(&input.bucket, &input.key)?;
        let condition = Read {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        condition.check(&object)?;
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
            content_type: input.response_content_type.or_else(|| Some(content_type(&object))),
            content_encoding: input
                .response_content_encoding
                .or_else(|| object.attributes.content_encoding.clone()),
            content_disposition: input.response_content_disposition,
            content_language: input.response_content_language,
            cache_control: input.response_cache_control,
            e_tag: Some(etag(&object)),
            last_modified: Some(Timestamp::from(object.modified())),
            metadata: object.attributes.metadata.clone(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            ..Default::default()
        });
        if partial {
            response.status = Some(StatusCode::PARTIAL_CONTENT);
        } else if input.checksum_mode.is_some() {
            show(&mut response.headers, object.attributes.checksum.as_ref());
        }
        Ok(response)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.buckets.get(&input.bucket, &input.key)?;
        let condition = Read {
            matches: input.if_match,
            none_match: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        condition.check(&object)?;
        let mut response = S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.bytes.len()).ok(),
            content_type: Some(content_type(&object)),
            content_encoding: object.attributes.content_encoding.clone(),
            e_tag: Some(etag(&object)),
            last_modified: Some(Timestamp::from(object.modified())),
            metadata: object.attributes.metadata.clone(),
            ..Default::default()
        });
        if input.checksum_mode.is_some() {
            show(&mut response.headers, object.attributes.checksum.as_ref());
        }
        Ok(response)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let condition = input.if_match.map_or(Condition::Always, conditions::matches);
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
            marker: None,
            limit: usize::try_from(limit).unwrap_or_default(),
        };
        let page = list(&bucket.read(), &query).map_err(|error| s3_error!(error, InvalidArgument))?;
        let encode = |text: String| encoded(text, input.encoding_type.as_ref());
        let count = page.objects.len() + page.groups.len();
        let next = page.next.as_ref().map(Position::token);
        let (contents, groups) = shown(page, input.encoding_type.as_ref());
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            key_count: i32::try_from(count).ok(),
            max_keys: Some(limit),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(groups),
            prefix: input.prefix.map(encode),
            delimiter: input.delimiter.map(encode),
            start_after: input.start_after.map(encode),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let bucket = self.buckets.bucket(&input.bucket)?;
        let limit = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            marker: input.marker.clone(),
            limit: usize::try_from(limit).unwrap_or_default(),
            ..Query::default()
        };
        let page = list(&bucket.read(), &query).map_err(|error| s3_error!(error, InvalidArgument))?;
        let encode = |text: String| encoded(text, input.encoding_type.as_ref());
        let next = page.next.as_ref().map(|position| position.text().to_owned());
        let (contents, groups) = shown(page, input.encoding_type.as_ref());
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            max_keys: Some(limit),
            is_truncated: Some(next.is_some()),
            // As on AWS: without a delimiter the last key is the next marker.
            next_marker: next.filter(|_| input.delimiter.is_some()).map(encode),
            contents: Some(contents),
            common_prefixes: Some(groups),
            prefix: Some(encode(input.prefix.unwrap_or_default())),
            marker: Some(encode(input.marker.unwrap_or_default())),
            delimiter: input.delimiter.map(encode),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin_upload(request.input)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.keep_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(request.input)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.end_upload(&request.input)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.list_upload(request.input)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.list_uploads(request.input)
    }
}

/// Keys and groups of a page, in the words of the protocol.
fn shown(page: Page, encoding: Option<&EncodingType>) -> (Vec<s3s::dto::Object>, Vec<CommonPrefix>) {
    let contents = page.objects.into_iter().map(|(key, object)| s3s::dto::Object {
        e_tag: Some(etag(&object)),
        last_modified: Some(Timestamp::from(object.modified())),
        size: i64::try_from(object.bytes.len()).ok(),
        key: Some(encoded(key, encoding)),
        ..Default::default()
    });
    let groups = page.groups.into_iter().map(|group| CommonPrefix { prefix: Some(encoded(group, encoding)) });
    (contents.collect(), groups.collect())
}

fn encoded(text: String, encoding: Option<&EncodingType>) -> String {
    match encoding {
        Some(encoding) if encoding.as_str() == EncodingType::URL => {
            utf8_percent_encode(&text, PLAIN).to_string()
        }
        _ => text,
    }
}

/// The bytes that a request carries.
pub(super) async fn body_of(body: Option<StreamingBlob>) -> S3Result<bytes::Bytes> {
    let Some(body) = body else { return Ok(bytes::Bytes::new()) };
    let body = Body::from(body).collect().await;
    Ok(body.map_err(|_| s3_error!(IncompleteBody))?.to_bytes())
}

/// The checksum that a request gives; what it is of was compared with it already.
pub(super) fn given(headers: &HeaderMap) -> S3Result<Option<Given>> {
    checksum::given(headers).map_err(|error| s3_error!(error, InvalidRequest))
}

/// Adds a checksum to the headers of an answer.
pub(super) fn show(headers: &mut HeaderMap, checksum: Option<&Given>) {
    let Some(checksum) = checksum else { return };
    if let (Ok(name), Ok(value)) =
        (HeaderName::try_from(checksum.header()), HeaderValue::from_str(&checksum.value))
    {
        headers.insert(name, value);
    }
}

pub(super) fn etag(object: &Object) -> ETag {
    ETag::Strong(object.etag())
}

fn content_type(object: &Object) -> String {
    object.attributes.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
