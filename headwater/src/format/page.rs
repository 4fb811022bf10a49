//! A page: the older commits of a long stream, immutable, at `pages/{kind}/{id}/{first:020}`.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Format, FormatError, attempt::Attempt, commit, commit::Commit};
use crate::id::{StreamId, Version};

const OBJECT: &str = "page";

/// The commits of versions `first..=last` of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    format: Format<1>,
    /// The stream.
    pub stream: StreamId,
    /// The version of the first event.
    pub first: Version,
    /// The version of the last event.
    pub last: Version,
    /// At least one commit.
    pub commits: Vec<Arc<Commit>>,
    /// The attempts that made some of them, in version order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

/// What a page says of its commits' names, and nothing else.
#[derive(Debug, Deserialize)]
struct Outline<'a> {
    #[serde(rename = "format")]
    _format: Format<1>,
    stream: StreamId,
    first: Version,
    last: Version,
    #[serde(borrow)]
    commits: Vec<Named<'a>>,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Page {
    /// The page of `commits`; `None` where there is none.
    pub fn new(stream: StreamId, commits: Vec<Arc<Commit>>) -> Option<Self> {
        let (first, last) = (commits.first()?.first, commits.last()?.last);
        Some(Self { format: Format, stream, first, last, commits, attempts: Vec::new() })
    }

    /// Reads and checks a page.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let page: Self = super::parse(OBJECT, bytes)?;
        commit::check_chain(OBJECT, page.commits.iter().map(AsRef::as_ref))?;
        let ends = (page.commits.first().map(|c| c.first), page.commits.last().map(|c| c.last));
        if ends != (Some(page.first), Some(page.last)) {
            return Err(FormatError::new(
                OBJECT,
                &format!("commits do not cover {}..={}", page.first, page.last),
            ));
        }
        Ok(page)
    }

    /// The ids of the commits in the page of `stream` that covers `first..=last`. The commits themselves are not checked.
    pub fn ids<'a>(
        bytes: &'a [u8],
        stream: &StreamId,
        (first, last): (Version, Version),
    ) -> Result<Vec<Cow<'a, str>>, FormatError> {
        let page: Outline<'_> = super::parse(OBJECT, bytes)?;
        if page.stream != *stream || (page.first, page.last) != (first, last) {
            let reason = format!("it is the page {}..={} of {}", page.first, page.last, page.stream);
            return Err(FormatError::new(OBJECT, &reason));
        }
        Ok(page.commits.into_iter().map(|commit| commit.id).collect())
    }

    /// The page's bytes.
    pub fn encode(&self) -> Result<Bytes, FormatError> {
        super::write(OBJECT, self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::{commit::arbitrary::chain, golden};

    proptest! {
        #[test]
        fn a_page_comes_back(commits in chain(7)) {
            let page = Page::new("account/42".parse().expect("a stream"), commits).expect("not empty");
            prop_assert_eq!(Page::decode(&page.encode().expect("encodes")).expect("decodes"), page);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Page::decode(&bytes);
        }
    }

    #[test]
    fn the_golden_page_stands() {
        let golden = golden::read("page.json");
        golden::check("page.json", &Page::decode(&golden).expect("decodes").encode().expect("encodes"));
    }
}
