//! What IAM asks for: the actions that a caller must be allowed, as policies name them. Nothing is refused here for want of
//! one: a [`Hook`](crate::Hook) may do so.

use crate::fault::Request;

impl Request {
    /// The actions that AWS demands of the caller.
    ///
    /// | operation | actions |
    /// |---|---|
    /// | `s3:HeadObject` | `s3:GetObject` |
    /// | `s3:PutObject`, `s3:DeleteObject` with `If-Match` | the same, and `s3:GetObject` |
    /// | `s3:ListObjects`, `s3:ListObjectsV2`, `s3:HeadBucket` | `s3:ListBucket` |
    /// | `s3:ListBuckets` | `s3:ListAllMyBuckets` |
    /// | `lambda:Invoke` | `lambda:InvokeFunction` |
    /// | any other | the same |
    ///
    /// Whoever asks S3 for an object that is not there needs `s3:ListBucket` besides, to be told so.
    pub fn actions(&self) -> Vec<&str> {
        let action = match self.operation.as_str() {
            "s3:HeadObject" => "s3:GetObject",
            "s3:ListObjects" | "s3:ListObjectsV2" | "s3:HeadBucket" => "s3:ListBucket",
            "s3:ListBuckets" => "s3:ListAllMyBuckets",
            "lambda:Invoke" => "lambda:InvokeFunction",
            other => other,
        };
        let compares = self.headers.contains_key("if-match");
        let reads = compares && matches!(action, "s3:PutObject" | "s3:DeleteObject");
        [action].into_iter().chain(reads.then_some("s3:GetObject")).collect()
    }
}
