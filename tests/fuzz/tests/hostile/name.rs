//! Names as text: of streams, commits, tokens, records and accounts, keys of objects, and where the tool is to connect.

use std::{fmt::Display, str::FromStr};

use archiver::place::{Place, shard_prefix};
use bank::{AccountId, Reference};
use clap::Parser;
use headwater::{CommitId, StreamId, Token, format::key, port::Sequence};
use headwater_tool::Target;

use crate::world::{SHARD, STREAM};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    target: Target,
}

pub(crate) fn holds(document: &[u8]) {
    let Ok(text) = std::str::from_utf8(document) else { return };
    if let Some(stream) = comes_back::<StreamId>(text) {
        assert_eq!(StreamId::new(stream.kind(), stream.id()).as_ref(), Ok(&stream));
        let head = key::head(&stream);
        assert!(head.len() <= 1_024 && head.bytes().all(|byte| byte.is_ascii_graphic()), "{head}");
        assert_eq!(key::stream_of_head(&head), Some(stream));
    }
    comes_back::<CommitId>(text);
    comes_back::<Token>(text);
    comes_back::<AccountId>(text);
    comes_back::<Reference>(text);
    if let Ok(sequence) = Sequence::try_from(text.to_owned()) {
        assert_eq!(Sequence::try_from(sequence.to_string()), Ok(sequence));
    }
    if let Some(stream) = key::stream_of_head(text) {
        assert_eq!(key::head(&stream), text, "one head, one key");
    }
    if let Some(generation) = key::view_generation("balance", text)
        && let Some(view) = key::view_key("balance", generation, text)
    {
        assert_eq!(key::view_in("balance", generation, &view), text, "one view, one key");
    }
    let prefix = shard_prefix(STREAM, SHARD);
    if let Some(place) = Place::parse(&prefix, text) {
        assert_eq!(place.key(&prefix), text, "one segment, one key");
    }
    let argument = format!("--endpoint={text}");
    if let Ok(Arguments { target }) = Arguments::try_parse_from(["headwater", &argument]) {
        assert!(target.endpoint.is_some_and(|url| url.has_host()), "{text}");
    }
}

/// What is parsed and shown is parsed to the same.
fn comes_back<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + PartialEq + std::fmt::Debug,
{
    let parsed: T = text.parse().ok()?;
    let again = parsed.to_string().parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&parsed), "{text}");
    Some(parsed)
}
