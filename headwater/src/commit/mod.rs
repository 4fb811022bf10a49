//! Committing: from a decision to a head in S3 and a record in Kinesis.
//!
//! ```text
//! 1. GET the head, or use the one in the cache                                            lane
//! 2. decide, every command that waits, each on top of the one before                      task, draft
//!    a caller's commit id is looked for among the commits of the last ten minutes         ids, time
//!    claim the unique values that a decision gains                                        claim
//! 3. help: publish the newest write, unless it is known to be published                   help, settled
//! 4. move older commits to a page when the head has outgrown its limit                    paging
//!    PUT the head with the new commits, If-Match; an answer that is no answer is cleared  swap
//! 5. publish the new commits as one record                                                lane
//! 6. answer; release the unique values that were dropped                                  lane, claim
//! ```
//!
//! An answer that commits nothing (a rejection, a version that is not the expected one) is given only on a head that was
//! read after the command came in, or that the swap of the same round proved to be the newest.

mod cache;
mod claim;
mod draft;
mod help;
mod ids;
mod lane;
mod paging;
mod settled;
mod swap;
mod task;
mod time;

pub(crate) use self::{
    cache::{Cache, State},
    lane::Lanes,
    task::{AppendTask, Call, ExecuteTask},
};
