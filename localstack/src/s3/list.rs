//! Pages of keys, as `ListObjectsV2` and `ListObjects` give them.
//!
//! A *group* is what a delimiter makes of many keys: their common prefix, listed once. The continuation token says
//! whether the page ended at a key or at a group, because the next one begins after all the keys of that group.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::objects::{Object, Objects};

/// What to list.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) token: Option<String>,
    /// Where `ListObjects` goes on: behind a key, or behind all keys of a group.
    pub(crate) marker: Option<String>,
    pub(crate) limit: usize,
}

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<(String, Object)>,
    pub(crate) groups: Vec<String>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Position>,
}

/// The token is none that an earlier page gave.
#[derive(Debug, thiserror::Error)]
#[error("the continuation token is not valid")]
pub(crate) struct UnknownToken;

/// The last key or group of a page.
#[derive(Debug, Clone)]
pub(crate) enum Position {
    Key(String),
    Group(String),
}

impl Position {
    /// As `ListObjects` gives it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Key(text) | Self::Group(text) => text,
        }
    }

    /// As `ListObjectsV2` gives it.
    pub(crate) fn token(&self) -> String {
        let kind = match self {
            Self::Key(_) => 'k',
            Self::Group(_) => 'g',
        };
        URL_SAFE_NO_PAD.encode(format!("{kind}{}", self.text()))
    }
}

/// Lists one page; a limit of zero gives an empty last page, as on AWS.
pub(crate) fn list(objects: &Objects, query: &Query) -> Result<Page, UnknownToken> {
    let mut page = Page::default();
    let mut position = match &query.token {
        Some(token) => Some(parse(token)?),
        None => query.start_after.clone().map(Position::Key).or_else(|| {
            query.marker.clone().map(|marker| {
                let group = group_of(&marker, query).is_some_and(|group| group == marker);
                if group { Position::Group(marker) } else { Position::Key(marker) }
            })
        }),
    };
    if query.limit == 0 {
        return Ok(page);
    }
    let begin = match &position {
        Some(Position::Key(key) | Position::Group(key)) if *key > query.prefix => {
            Bound::Excluded(key.as_str())
        }
        _ => Bound::Included(query.prefix.as_str()),
    };
    let range = objects.range::<str, _>((begin, Bound::Unbounded));
    for (key, object) in range.take_while(|(key, _)| key.starts_with(&query.prefix)) {
        if matches!(&position, Some(Position::Key(last)) if key <= last)
            || matches!(&position, Some(Position::Group(last)) if key.starts_with(last))
        {
            continue;
        }
        if page.objects.len() + page.groups.len() == query.limit {
            page.next = position;
            break;
        }
        if let Some(group) = group_of(key, query) {
            page.groups.push(group.clone());
            position = Some(Position::Group(group));
        } else {
            page.objects.push((key.clone(), object.clone()));
            position = Some(Position::Key(key.clone()));
        }
    }
    Ok(page)
}

fn group_of(key: &str, query: &Query) -> Option<String> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end).map(str::to_owned)
}

fn parse(token: &str) -> Result<Position, UnknownToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| UnknownToken)?;
    let text = String::from_utf8(bytes).map_err(|_| UnknownToken)?;
    match text.split_at_checked(1) {
        Some(("k", key)) => Ok(Position::Key(key.to_owned())),
        Some(("g", group)) => Ok(Position::Group(group.to_owned())),
        _ => Err(UnknownToken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::objects::Attributes;
    use proptest::prelude::*;

    fn objects(keys: &[&str]) -> Objects {
        let object = Object { bytes: bytes::Bytes::new(), written: 1, attributes: Attributes::default() };
        keys.iter().map(|key| ((*key).to_owned(), object.clone())).collect()
    }

    fn everything(objects: &Objects, mut query: Query) -> (Vec<String>, Vec<String>) {
        let (mut keys, mut groups) = (Vec::new(), Vec::new());
        loop {
            let page = list(objects, &query).unwrap();
            keys.extend(page.objects.into_iter().map(|(key, _)| key));
            groups.extend(page.groups);
            match page.next {
                Some(position) => query.token = Some(position.token()),
                None => return (keys, groups),
            }
        }
    }

    #[test]
    fn a_group_stands_once_and_its_own_key_is_an_object_below_it() {
        let objects = objects(&["a", "b/", "b/1", "b/2", "c"]);
        for limit in 1..6 {
            let top = Query { delimiter: Some("/".to_owned()), limit, ..Query::default() };
            assert_eq!(everything(&objects, top), (vec!["a".into(), "c".into()], vec!["b/".into()]));
            let below = Query { prefix: "b/".into(), delimiter: Some("/".into()), limit, ..Query::default() };
            assert_eq!(everything(&objects, below).0, vec!["b/", "b/1", "b/2"]);
        }
    }

    proptest! {
        #[test]
        fn pages_of_any_size_hold_every_key_once(
            keys in proptest::collection::btree_set("[ab/]{1,5}", 0..20),
            prefix in "[ab/]{0,2}",
            start in proptest::option::of("[ab/]{1,3}"),
            limit in 1_usize..6,
        ) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let query = Query { prefix: prefix.clone(), start_after: start.clone(), limit, ..Query::default() };
            let expected: Vec<&str> = keys.iter().copied()
                .filter(|key| key.starts_with(&prefix) && start.as_deref().is_none_or(|start| *key > start))
                .collect();
            prop_assert_eq!(everything(&objects(&keys), query).0, expected);
        }
    }
}
