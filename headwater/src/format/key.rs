//! Where things stand in the store's bucket. Ids are percent-encoded, so that one key segment is one name.

use std::borrow::Cow;

use jiff::Timestamp;

use super::timer::Timer;
use crate::{
    claim::Claim,
    id::{StreamId, Version, decode_segment, encode_segment},
    port::{Keys, Sequence},
};

/// The prefix of all heads.
pub const HEADS: &str = "heads/";
/// The prefix of all segments, in the archive's bucket.
pub const SEGMENTS: &str = "archive/";
/// The prefix of all pages.
pub const PAGES: &str = "pages/";
/// The prefix of all claims.
pub const CLAIMS: &str = "claims/";
/// The prefix of all views.
pub const VIEWS: &str = "views/";
/// The prefix of all timers.
pub const TIMERS: &str = "timers/";
/// The prefix of all pointers.
pub const POINTERS: &str = "projections/";
/// The store's identity.
pub const IDENTITY: &str = "store.json";
/// The relay's watermark.
pub const WATERMARK: &str = "relay/watermark";

/// `heads/{kind}/{id}`.
pub fn head(stream: &StreamId) -> String {
    format!("{HEADS}{}/{}", stream.kind(), encode_segment(stream.id()))
}

/// The stream whose head stands at `key`; `None` where the key is no head's. A name encoded in another way is none: one
/// stream has one head.
pub fn stream_of_head(key: &str) -> Option<StreamId> {
    let (kind, id) = key.strip_prefix(HEADS)?.split_once('/')?;
    StreamId::new(kind, &decode_segment(id)?).ok().filter(|stream| head(stream) == key)
}

/// `pages/{kind}/{id}/{first:020}`: in version order where keys are in order.
pub fn page(stream: &StreamId, first: Version) -> String {
    format!("{PAGES}{}/{}/{:020}", stream.kind(), encode_segment(stream.id()), first.get())
}

/// `claims/{set}/{value}`.
pub fn claim(claim: &Claim) -> String {
    format!("{CLAIMS}{}/{}", encode_segment(claim.set()), encode_segment(claim.value()))
}

/// A key as logs and errors show it: a unique value is data, and only its set is shown.
pub fn shown(key: &str) -> Cow<'_, str> {
    match key.strip_prefix(CLAIMS).and_then(|claim| claim.split_once('/')) {
        Some((set, _)) => format!("{CLAIMS}{set}/…").into(),
        None => key.into(),
    }
}

/// `views/{projection}/{key}`: a view of generation 0.
pub fn view(projection: &str, key: &str) -> String {
    view_in(projection, 0, key)
}

/// `views/{projection}@{generation}/{key}`, but for generation 0, which stands as [`view()`] says. No encoded name holds an `@`.
pub fn view_in(projection: &str, generation: u32, key: &str) -> String {
    let (projection, key) = (encode_segment(projection), encode_segment(key));
    match generation {
        0 => format!("{VIEWS}{projection}/{key}"),
        _ => format!("{VIEWS}{projection}@{generation}/{key}"),
    }
}

/// The view key that stands at an S3 key of this generation of `projection`; `None` where the key is no view's, or encoded in
/// another way.
pub fn view_key(projection: &str, generation: u32, key: &str) -> Option<String> {
    let rest = key.strip_prefix(&view_in(projection, generation, ""))?;
    decode_segment(rest).filter(|decoded| view_in(projection, generation, decoded) == key)
}

/// The generation of a view of `projection`, by its S3 key.
pub fn view_generation(projection: &str, key: &str) -> Option<u32> {
    let rest = key.strip_prefix(VIEWS)?.strip_prefix(&encode_segment(projection))?;
    let (generation, _) = rest.split_once('/')?;
    let generation = if generation.is_empty() { 0 } else { generation.strip_prefix('@')?.parse().ok()? };
    key.starts_with(&view_in(projection, generation, "")).then_some(generation)
}

/// The prefixes that the views of `projection` stand under: of generation 0, and of all others.
pub fn view_prefixes(projection: &str) -> [String; 2] {
    [view(projection, ""), format!("{VIEWS}{}@", encode_segment(projection))]
}

/// `projections/{projection}`.
pub fn pointer(projection: &str) -> String {
    format!("{POINTERS}{}", encode_segment(projection))
}

/// The projection whose views stand under a segment of [`VIEWS`], as `balance` or `balance@3`.
pub fn projection_of(segment: &str) -> Option<String> {
    decode_segment(segment.split_once('@').map_or(segment, |(projection, _)| projection))
}

/// `stores/{stream}.json`: in the archive's bucket, the identity of the store whose commits come by the Kinesis stream `stream`.
pub fn archived_identity(stream: &str) -> String {
    format!("stores/{}.json", encode_segment(stream))
}

/// The prefix of everything in quarantine from the Kinesis stream `stream`.
pub fn quarantined(stream: &str) -> String {
    format!("quarantine/{}/", encode_segment(stream))
}

/// `timers/{process}/`.
pub fn timers(process: &str) -> String {
    format!("{TIMERS}{}/", encode_segment(process))
}

/// `timers/{process}/{due:015}/{stream}/{version}/{name}`, the due time in milliseconds: what is due first stands first.
pub fn timer(process: &str, timer: &Timer) -> String {
    let Timer { stream, version, name, due, .. } = timer;
    let (stream, name) = (encode_segment(stream.as_str()), encode_segment(name));
    format!("{}{:015}/{stream}/{version}/{name}", timers(process), due.as_millisecond().max(0))
}

/// The keys of the timers of `process` that are due at `now`.
pub fn timers_due(process: &str, now: Timestamp) -> Keys {
    let prefix = timers(process);
    let later = format!("{prefix}{:015}", now.as_millisecond().saturating_add(1).max(0));
    Keys::under(prefix).before(later)
}

/// When the timer at an S3 key of `process` is due; `None` where the key is no timer's.
pub fn timer_due(process: &str, key: &str) -> Option<Timestamp> {
    let (due, _) = key.strip_prefix(&timers(process))?.split_once('/')?;
    Timestamp::from_millisecond(due.parse().ok()?).ok()
}

/// `quarantine/{stream}/{shard}/{sequence}`, where `stream` is the Kinesis stream's name.
pub fn quarantine(stream: &str, shard: &str, sequence: &Sequence) -> String {
    format!("{}{}/{sequence}", quarantined(stream), encode_segment(shard))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::format::commit::Meta;

    #[test]
    fn keys_stand_where_the_design_says() {
        let stream: StreamId = "account/a b/ü".parse().expect("a stream");
        assert_eq!(head(&stream), "heads/account/a%20b%2F%C3%BC");
        assert_eq!(stream_of_head(&head(&stream)), Some(stream.clone()));
        assert_eq!(page(&stream, Version::new(12)), "pages/account/a%20b%2F%C3%BC/00000000000000000012");
        assert_eq!(claim(&Claim::new("username", "ann/ü")), "claims/username/ann%2F%C3%BC");
        assert_eq!(view("balance", "a/1"), "views/balance/a%2F1");
        assert_eq!(view_key("balance", 0, "views/balance/a%2F1").as_deref(), Some("a/1"));
        assert_eq!(view_in("balance", 12, "a/1"), "views/balance@12/a%2F1");
        assert_eq!(view_key("balance", 12, "views/balance@12/a%2F1").as_deref(), Some("a/1"));
        assert_eq!(view_key("balance", 1, "views/balance@12/a%2F1"), None);
        assert_eq!(pointer("a/b"), "projections/a%2Fb");
        assert_eq!(stream_of_head("views/balance/1"), None);
        for other in ["heads/account/a%20b%2f%c3%bc", "heads/account/%34%32", "heads/account/a b"] {
            assert_eq!(stream_of_head(other), None, "{other} is another key of the same name");
        }
        assert_eq!(view_key("balance", 0, "views/balance/a%2f1"), None);
        let due = Timestamp::from_millisecond(1_767_225_600_123).expect("a time");
        let timer = Timer::new(stream, Version::new(3), "expire", due, Meta::new());
        let at = super::timer("transfers", &timer);
        assert_eq!(at, "timers/transfers/001767225600123/account%2Fa%20b%2F%C3%BC/3/expire");
        assert_eq!((timer_due("transfers", &at), timer_due("transfer", &at)), (Some(due), None));
        for (milliseconds, is_due) in [(-1, false), (0, true), (1, true)] {
            let now = due + SignedDuration::from_millis(milliseconds);
            assert_eq!(timers_due("transfers", now).contain(&at), is_due, "{milliseconds} ms after");
        }
    }

    #[test]
    fn a_generation_is_told_by_the_key() {
        for (projection, generation) in [("balance", 0), ("balance", 7), ("balance@7", 0), ("balance@7", 7)] {
            let object = view_in(projection, generation, "a");
            for other in ["balance", "balance@7"] {
                let told = (other == projection).then_some(generation);
                assert_eq!(view_generation(other, &object), told, "{object}");
            }
            assert!(view_prefixes(projection).iter().any(|prefix| object.starts_with(prefix)));
            let segment = object.split('/').nth(1).expect("a segment");
            assert_eq!(projection_of(segment).as_deref(), Some(projection));
        }
        for key in ["views/balance@0/a", "views/balance@07/a", "views/balance@x/a", "views/balance2/a"] {
            assert_eq!(view_generation("balance", key), None, "{key}");
        }
    }
}
