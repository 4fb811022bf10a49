//! Every limit of the store in one place, each with the service that sets it.
//!
//! A value beyond a limit is refused before anything is written, with an error that names the field and the limit.

use std::{ops::RangeInclusive, time::Duration};

use jiff::Timestamp;

use jiff::SignedDuration;

/// Longest `kind` of a stream, in bytes.
pub const KIND_BYTES: usize = 40;
/// Longest `id` of a stream, in bytes of UTF-8. Percent-encoded three to one it stays far below S3's 1,024 bytes of key,
/// and with its kind below the 256 characters of a Kinesis partition key.
pub const ID_BYTES: usize = 128;
/// Longest key that a caller gives to a command, in bytes of visible ASCII.
pub const CALLER_KEY_BYTES: usize = 128;
/// Longest commit id, in bytes of visible ASCII: room for a caller's key and for what says that it is one.
pub const COMMIT_ID_BYTES: usize = 192;
/// Longest type of an event, in bytes of UTF-8.
pub const EVENT_TYPE_BYTES: usize = 128;
/// Largest version of a stream: every reader of JSON has it exactly, and there is always one after it.
pub const VERSION: u64 = (1 << 53) - 1;
/// Largest schema number of an event: the archive has 31 bits for it.
pub const SCHEMA: u32 = i32::MAX as u32;
/// The times that a commit may have, in milliseconds. The year 0 and those before it are nothing to many readers (Python's
/// begin with the year 1); the last day and two hours of the year 9999 would be beyond it in some time zone.
pub const AT: RangeInclusive<Timestamp> =
    Timestamp::constant(-62_135_596_800, 0)..=Timestamp::constant(253_402_207_200, 0);
/// Most events of one commit.
pub const COMMIT_EVENTS: usize = 1_000;
/// Deepest nesting of arrays and objects within the data of an event, its own braces aside: the least that common readers go,
/// as .NET's by default.
pub const DATA_DEPTH: usize = 63;
/// Deepest nesting of arrays and objects in what travels beside the events. It comes to lie deeper within a head, a segment and
/// a timer, and readers of JSON go 127 deep.
pub const META_DEPTH: usize = 32;
/// Largest record in Kinesis, data and partition key together, in bytes: a stream's default since it has existed.
pub const RECORD_BYTES: usize = 1 << 20;
/// Longest name of a set of unique values, in bytes.
pub const CLAIM_SET_BYTES: usize = 40;
/// Longest unique value, in bytes of UTF-8: percent-encoded three to one its key stays below S3's 1,024 bytes.
pub const CLAIM_VALUE_BYTES: usize = 200;
/// Most records of one `PutRecords` call.
pub const PUT_RECORDS: usize = 500;
/// Most bytes of one `PutRecords` call: half of what Kinesis takes, so that a call stays short.
pub const PUT_RECORDS_BYTES: usize = 5 << 20;
/// Bytes of commits in a head beyond which the older ones move to a page.
pub const HEAD_COMMIT_BYTES: usize = 64 << 10;
/// Bytes of commits that paging leaves in the head.
pub const HEAD_KEPT_BYTES: usize = 32 << 10;
/// The least time that a commit id is known after its commit, unless the store's settings say otherwise (H8).
pub const REPEATS_FOR: Duration = Duration::from_mins(10);
/// The oldest that a caller's commit id may be which tells its own birth: it is looked for as far back.
pub const BORN_BEFORE: Duration = Duration::from_hours(24);
/// How long a head keeps the time of each page: somewhat longer than anybody looks back.
pub const PAGE_TIMES_FOR: SignedDuration = SignedDuration::from_hours(25);
/// Most commit ids of one stream's pages that a process keeps, unless the store's settings say otherwise: some 40 MiB. Of all
/// streams together it keeps at most twice as many.
pub const KNOWN_IDS: usize = 1 << 20;
/// Largest snapshot that is kept in a head, in bytes; a larger state is folded from its events.
pub const SNAPSHOT_BYTES: usize = 256 << 10;
/// Most commands that one write commits together.
pub const GROUP_COMMITS: usize = 256;
/// Largest object that a reader takes, in bytes: what is larger was not written by this library.
pub const OBJECT_BYTES: usize = 64 << 20;
/// Longest projection name and view key, in bytes of UTF-8.
pub const VIEW_KEY_BYTES: usize = 200;
/// Longest name of a timer, in bytes of UTF-8.
pub const TIMER_NAME_BYTES: usize = 40;
/// Largest payload of a timer, in bytes of JSON.
pub const TIMER_PAYLOAD_BYTES: usize = 16 << 10;
/// How long one tick begins to tell a process of its timers. With a reaction under way at its end it stays below the two
/// minutes that the functions of processes have.
pub const TICK_FOR: Duration = Duration::from_mins(1);
/// Most commands that wait for one stream in one process; more are answered as unavailable.
pub const QUEUED_COMMANDS: usize = 8_192;
/// The longest that anyone tries to publish a commit: the archiver remembers the keys of commits for as long.
pub const PUBLISH_FOR: Duration = Duration::from_mins(10);
