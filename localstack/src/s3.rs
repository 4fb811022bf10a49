//! S3: buckets and objects, in memory and, with a data directory, on disk.
//!
//! Words: an *object* is its bytes and the microsecond at which it was written; that microsecond is never given
//! twice, so it is the `ETag` too. A *condition* is what a write asks of the object that stands.
//!
//! 1. `operations` speaks the protocol: the crate `s3s` parses and answers, this crate decides.
//! 2. `objects` decides, under one lock per bucket: two conditional writes of one key never both win.
//! 3. `files` writes through, before the answer, and reads everything back at the start.
//! 4. `list` walks the keys in order, for `ListObjectsV2` and `ListObjects`.
//! 5. `checksum` compares what came with what its request says of it, `conditions` what exists with what a request asks of it.
//! 6. `parts` does uploads in parts, which `uploads` keeps, and copies.

pub(crate) mod checksum;
pub(crate) mod conditions;
pub(crate) mod files;
pub(crate) mod list;
pub(crate) mod objects;
pub(crate) mod operations;
pub(crate) mod parts;
pub(crate) mod uploads;
