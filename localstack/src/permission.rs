//! What IAM asks for: the actions that a caller must be allowed, as policies name them. Nothing is refused here for want of
//! one: a [`Hook`](crate::Hook) may do so.

use crate::fault::Request;

impl Request {
    /// The actions that AWS demands of the caller.
    ///
    /// | operation | actions |
    /// |---|---|
    /// | `s3:HeadObject` | `s3:GetObject` |
    /// | `s3:CreateMultipartUpload`, `s3:UploadPart`, `s3:CompleteMultipartUpload` | `s3:PutObject` |
    /// | `s3:CopyObject`, `s3:UploadPartCopy` | `s3:PutObject`, and `s3:GetObject` of what is copied |
    /// | `s3:PutObject`, `s3:DeleteObject` with `If-Match` | the same, and `s3:GetObject` |
    /// | `s3:DeleteObjects` | `s3:DeleteObject` |
    /// | `s3:ListParts` | `s3:ListMultipartUploadParts` |
    /// | `s3:ListMultipartUploads` | `s3:ListBucketMultipartUploads` |
    /// | `s3:ListObjects`, `s3:ListObjectsV2`, `s3:HeadBucket` | `s3:ListBucket` |
    /// | `s3:ListBuckets` | `s3:ListAllMyBuckets` |
    /// | `lambda:Invoke` | `lambda:InvokeFunction` |
    /// | any other | the same; `s3:Unknown` is no action of AWS, so no policy allows it, and it is refused in any case |
    ///
    /// Whoever asks S3 for an object that is not there needs `s3:ListBucket` besides, to be told so.
    pub fn actions(&self) -> Vec<&str> {
        let action = match self.operation.as_str() {
            "s3:HeadObject" => "s3:GetObject",
            "s3:CreateMultipartUpload"
            | "s3:UploadPart"
            | "s3:CompleteMultipartUpload"
            | "s3:CopyObject"
            | "s3:UploadPartCopy" => "s3:PutObject",
            "s3:DeleteObjects" => "s3:DeleteObject",
            "s3:ListParts" => "s3:ListMultipartUploadParts",
            "s3:ListMultipartUploads" => "s3:ListBucketMultipartUploads",
            "s3:ListObjects" | "s3:ListObjectsV2" | "s3:HeadBucket" => "s3:ListBucket",
            "s3:ListBuckets" => "s3:ListAllMyBuckets",
            "lambda:Invoke" => "lambda:InvokeFunction",
            other => other,
        };
        let compares = self.headers.contains_key("if-match");
        let copies = matches!(self.operation.as_str(), "s3:CopyObject" | "s3:UploadPartCopy");
        let reads = copies || (compares && matches!(action, "s3:PutObject" | "s3:DeleteObject"));
        [action].into_iter().chain(reads.then_some("s3:GetObject")).collect()
    }
}
