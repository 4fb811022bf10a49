//! Whether S3 keeps the conditions of a PUT: asked once, before a process writes anything.
//!
//! All that is promised rests on them. There are S3s that ignore one or the other: two writers are then both answered that
//! they have committed, and the commits of one are gone.
//!
//! 1. PUT [`PROBE`] where nothing exists, and at the same time over a version that never was: both must be refused.
//! 2. Where the first was not, the object is new: once more.
//!
//! AWS itself is not asked: it keeps them, and a cold start there pays nothing, nor does a role need a right to the object.

use bytes::Bytes;
use tokio::join;

use super::{AwsObjects, ConnectError, failure::Failure};
use crate::port::{ETag, Precondition};

/// Where it is asked: nothing else is there.
const PROBE: &str = "probe/conditions";
/// What is written there.
const BODY: &[u8] = b"Headwater asks here whether conditional writes are refused as they must be.\n";

/// What a PUT that must be refused was answered.
enum Answer {
    Refused,
    Written,
    /// S3 does not know such a condition.
    NotImplemented,
    /// Anything else, which says nothing.
    None(Failure),
}

impl AwsObjects {
    /// Asks whether conditions are kept: two small PUTs in one round trip. Where no answer says so, as for want of a right, a
    /// warning does.
    pub async fn keeps_conditions(&self) -> Result<(), ConnectError> {
        if self.is_aws() {
            return Ok(());
        }
        let never = Precondition::Matches(ETag(format!("\"{:032x}\"", 0)));
        let (created, replaced) = join!(self.ask(&Precondition::Absent), self.ask(&never));
        let created = match created {
            Answer::Written => self.ask(&Precondition::Absent).await,
            answer => answer,
        };
        for (condition, answer) in [("If-None-Match", created), ("If-Match", replaced)] {
            match answer {
                Answer::Refused => {}
                Answer::Written | Answer::NotImplemented => {
                    let (bucket, place) = (self.bucket().to_owned(), self.place().to_owned());
                    return Err(ConnectError::Unconditional { bucket, place, condition });
                }
                Answer::None(cause) => {
                    let bucket = self.bucket();
                    tracing::warn!(
                        bucket,
                        condition,
                        ?cause,
                        "it is not known whether S3 keeps this condition"
                    );
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, only: &Precondition) -> Answer {
        match self.send(PROBE, Bytes::from_static(BODY), only).await {
            Ok(_) => Answer::Written,
            Err(Failure::Refused { status: 409 | 412, .. }) => Answer::Refused,
            Err(Failure::Refused { status: 404, code, .. }) if code == "NoSuchKey" => Answer::Refused,
            Err(Failure::Refused { status: 501, .. }) => Answer::NotImplemented,
            Err(failure) => Answer::None(failure),
        }
    }
}

/// Whether AWS itself listens there; `None` is where no endpoint is set.
pub(super) fn is_aws(endpoint: Option<&str>) -> bool {
    let Some(endpoint) = endpoint else { return true };
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_is_where_no_endpoint_is_set_or_one_of_its_own() {
        assert!(is_aws(None));
        for own in [
            "https://s3.eu-west-1.amazonaws.com",
            "https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com:443/",
        ] {
            assert!(is_aws(Some(own)), "{own}");
        }
        for other in
            ["http://127.0.0.1:4566", "https://amazonaws.com.example.org", "http://minio:9000/.amazonaws.com"]
        {
            assert!(!is_aws(Some(other)), "{other}");
        }
    }
}
