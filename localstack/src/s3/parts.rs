//! The operations of uploads in parts, and copies: what S3's protocol makes of `uploads` and `objects`.

use bytes::Bytes;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CopyObjectInput, CopyObjectOutput, CopyObjectResult,
    CopyPartResult, CopySource, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput,
    MetadataDirective, MultipartUpload, Part, Timestamp, UploadPartCopyInput, UploadPartCopyOutput,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::checksum::{self, Algorithm};
use super::conditions::{self, Read};
use super::objects::{Attributes, Object};
use super::operations::{Operations, body_of, etag, given, show};
use super::uploads::Named;

/// The most parts or uploads of one page of a listing.
const PAGE: i32 = 1000;

impl Operations {
    /// `CreateMultipartUpload`.
    pub(crate) fn begin_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.buckets.bucket(&input.bucket)?;
        let attributes = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            metadata: input.metadata,
            checksum: None,
        };
        let id = self.uploads.begin(input.bucket.clone(), input.key.clone(), attributes);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        }))
    }

    /// `UploadPart`.
    pub(crate) async fn keep_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let checksum = given(&request.headers)?;
        let input = request.input;
        let bytes = body_of(input.body).await?;
        let upload = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let part = self.uploads.keep(upload, input.part_number, bytes)?;
        let mut response =
            S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(part.etag)), ..Default::default() });
        show(&mut response.headers, checksum.as_ref());
        Ok(response)
    }

    /// `UploadPartCopy`.
    pub(crate) fn copy_part(&self, input: UploadPartCopyInput) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let condition = Read {
            matches: input.copy_source_if_match,
            none_match: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let object = self.source(&input.copy_source, &condition)?;
        let bytes = match &input.copy_source_range {
            None => object.bytes,
            Some(range) => part_of(&object.bytes, range)
                .ok_or_else(|| s3_error!(InvalidArgument, "the range is not within the source"))?,
        };
        let upload = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let part = self.uploads.keep(upload, input.part_number, bytes)?;
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(Timestamp::from(part.written)),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    /// `CompleteMultipartUpload`: its condition is judged with the write, as that of `PutObject` is. An upload whose condition failed is
    /// still there.
    pub(crate) async fn complete_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let checksum = given(&request.headers)?;
        let input = request.input;
        let condition = conditions::of_write(input.if_none_match, input.if_match)?;
        let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
        let upload = self.uploads.get((&bucket, &key, &id))?;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let named = parts.into_iter().map(named).collect::<S3Result<Vec<_>>>()?;
        let body = upload.join(&named)?;
        if input.mpu_object_size.is_some_and(|size| usize::try_from(size) != Ok(body.len())) {
            return Err(s3_error!(InvalidRequest, "the parts do not add up to the size that was given"));
        }
        if let Some(given) = &checksum
            && !upload.fits(given, &named, &body)?
        {
            return Err(s3_error!(BadDigest, "the parts do not have the checksum that was given"));
        }
        let attributes = upload.attributes;
        let (at, name) = (bucket.clone(), key.clone());
        let object = self.run(move |buckets| buckets.put(&at, &name, &condition, body, attributes)).await?;
        // Another caller may have ended it meanwhile.
        drop(self.uploads.end((&bucket, &key, &id)));
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(etag(&object)),
            ..Default::default()
        }))
    }

    /// `AbortMultipartUpload`.
    pub(crate) fn end_upload(
        &self,
        input: &AbortMultipartUploadInput,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.uploads.end((&input.bucket, &input.key, &input.upload_id))?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
    }

    /// `ListParts`.
    pub(crate) fn list_upload(&self, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
        let upload = self.uploads.get((&input.bucket, &input.key, &input.upload_id))?;
        let after = input.part_number_marker.unwrap_or_default();
        let limit = input.max_parts.unwrap_or(PAGE).clamp(0, PAGE);
        let mut parts =
            upload.parts.into_iter().filter(|(number, _)| *number > after).map(|(number, part)| Part {
                part_number: Some(number),
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(Timestamp::from(part.written)),
                size: i64::try_from(part.bytes.len()).ok(),
                ..Default::default()
            });
        let page: Vec<_> = parts.by_ref().take(usize::try_from(limit).unwrap_or_default()).collect();
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            part_number_marker: Some(after),
            next_part_number_marker: page.last().and_then(|part| part.part_number),
            max_parts: Some(limit),
            is_truncated: Some(parts.next().is_some()),
            parts: Some(page),
            ..Default::default()
        }))
    }

    /// `ListMultipartUploads`.
    pub(crate) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.buckets.bucket(&input.bucket)?;
        let limit = input.max_uploads.unwrap_or(PAGE).clamp(0, PAGE);
        let after = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
        let found = self.uploads.of(&input.bucket, input.prefix.as_deref().unwrap_or_default());
        // Behind the marker: of its key those that come after the upload of that id, and all later keys.
        let passed = found.iter().position(|(id, upload)| {
            upload.key > after.0 || (upload.key == after.0 && Some(id) == after.1.as_ref())
        });
        let at_marker =
            passed.is_some_and(|place| found.get(place).is_some_and(|(_, one)| one.key == after.0));
        let first = passed.map_or(found.len(), |place| place + usize::from(at_marker));
        let mut rest = found.into_iter().skip(first).map(|(id, upload)| MultipartUpload {
            key: Some(upload.key),
            upload_id: Some(id),
            initiated: Some(Timestamp::from(upload.begun)),
            ..Default::default()
        });
        let page: Vec<_> = rest.by_ref().take(usize::try_from(limit).unwrap_or_default()).collect();
        let last = page.last().cloned();
        let truncated = rest.next().is_some();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            next_key_marker: last.clone().and_then(|upload| upload.key).filter(|_| truncated),
            next_upload_id_marker: last.and_then(|upload| upload.upload_id).filter(|_| truncated),
            max_uploads: Some(limit),
            is_truncated: Some(truncated),
            uploads: Some(page),
            ..Default::default()
        }))
    }

    /// `CopyObject`: with conditions on what is copied, and as a write on what is there.
    pub(crate) async fn copy(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let condition = conditions::of_headers(&request.headers)?;
        let input = request.input;
        let of_source = Read {
            matches: input.copy_source_if_match,
            none_match: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = self.source(&input.copy_source, &of_source)?;
        let replaces = input
            .metadata_directive
            .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let itself = matches!(&input.copy_source, CopySource::Bucket { bucket, key, .. }
            if **bucket == *input.bucket && **key == *input.key);
        if itself && !replaces {
            return Err(s3_error!(
                InvalidRequest,
                "an object is copied to itself, and nothing of it is changed"
            ));
        }
        let attributes = if replaces {
            Attributes {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                metadata: input.metadata,
                checksum: source.attributes.checksum,
            }
        } else {
            source.attributes
        };
        let (bucket, key, bytes) = (input.bucket, input.key, source.bytes);
        let object =
            self.run(move |buckets| buckets.put(&bucket, &key, &condition, bytes, attributes)).await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(etag(&object)),
                last_modified: Some(Timestamp::from(object.modified())),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    /// What is copied.
    fn source(&self, source: &CopySource, condition: &Read) -> S3Result<Object> {
        let CopySource::Bucket { bucket, key, version_id: None } = source else {
            return Err(s3_error!(NotImplemented, "there are no versions and no access points here"));
        };
        let object = self.buckets.get(bucket, key)?;
        condition.check_source(&object)?;
        Ok(object)
    }
}

/// A part as the caller names it.
fn named(part: CompletedPart) -> S3Result<Named> {
    let checksums = [
        (Algorithm::Crc32, part.checksum_crc32),
        (Algorithm::Crc32c, part.checksum_crc32c),
        (Algorithm::Crc64Nvme, part.checksum_crc64nvme),
        (Algorithm::Sha1, part.checksum_sha1),
        (Algorithm::Sha256, part.checksum_sha256),
    ];
    let mut checksums = checksums
        .into_iter()
        .filter_map(|(algorithm, value)| Some(checksum::Given { algorithm, value: value? }));
    Ok(Named {
        number: part.part_number.ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?,
        etag: part.e_tag.map(ETag::into_value),
        checksum: checksums.next(),
    })
}

/// The bytes of a range as `bytes=0-9`, both ends included.
fn part_of(bytes: &Bytes, range: &str) -> Option<Bytes> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < bytes.len()).then(|| bytes.slice(first..=last))
}
