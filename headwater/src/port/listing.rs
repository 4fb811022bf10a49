//! Listings: which keys are wanted, and the pages that they come in.
//!
//! S3 answers a listing in pages. Each names the next by a token, and only a page that names none is the last: one may be
//! empty and not the last. Pages and what is in them come in no order, as in a directory bucket. Who needs an order sorts, in
//! bounded memory; who needs a part of the keys says so in [`Keys`].

use std::{collections::BTreeSet, pin::pin};

use futures::{Stream, TryStreamExt, stream};
use jiff::Timestamp;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When S3 stored it, by S3's clock.
    pub modified: Timestamp,
}

/// Where a listing goes on: opaque, good for the listing that it came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(pub String);

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Up to 1,000 objects, in no order; none, perhaps, although there are more.
    pub objects: Vec<Listed>,
    /// Where to go on; `None` at the end, and only there.
    pub next: Option<Token>,
}

/// Which keys a listing is for.
///
/// The bounds hold in every bucket. What they save differs: a general purpose bucket, which has its keys in order, begins and
/// ends there; a directory bucket reads all that is under the prefix.
///
/// ```
/// use headwater::port::Keys;
///
/// let keys = Keys::under("timers/transfers/").after("timers/transfers/3").before("timers/transfers/7");
/// assert!(keys.contain("timers/transfers/5"));
/// assert!(!keys.contain("timers/transfers/3") && !keys.contain("timers/transfers/7"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keys {
    /// What all keys begin with.
    pub prefix: String,
    /// All keys are greater than this one, as bytes.
    pub after: Option<String>,
    /// All keys are less than this one, as bytes.
    pub before: Option<String>,
}

impl Keys {
    /// All keys that begin with `prefix`.
    pub fn under(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), after: None, before: None }
    }

    /// Only those greater than `key`, as bytes; it replaces the bound before it.
    #[must_use]
    pub fn after(self, key: impl Into<String>) -> Self {
        Self { after: Some(key.into()), ..self }
    }

    /// Only those less than `key`, as bytes; it replaces the bound before it.
    #[must_use]
    pub fn before(self, key: impl Into<String>) -> Self {
        Self { before: Some(key.into()), ..self }
    }

    /// Whether `key` is one of them.
    pub fn contain(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
            && self.after.as_deref().is_none_or(|after| key > after)
            && self.before.as_deref().is_none_or(|before| key < before)
    }
}

/// The pages of a listing to its end, empty ones included; `ask` asks for the one that a token names.
pub fn pages<E, F>(
    ask: impl Fn(Option<Token>) -> F + Send,
) -> impl Stream<Item = Result<Vec<Listed>, E>> + Send
where
    E: Send,
    F: Future<Output = Result<Listing, E>> + Send,
{
    stream::try_unfold((ask, Some(None)), |(ask, from)| async move {
        let Some(from) = from else { return Ok(None) };
        let Listing { objects, next } = ask(from).await?;
        Ok(Some((objects, (ask, next.map(Some)))))
    })
}

/// One of the listed keys, whichever comes first; `None` where there are none.
pub async fn any<E>(pages: impl Stream<Item = Result<Vec<Listed>, E>>) -> Result<Option<String>, E> {
    let mut pages = pin!(pages);
    while let Some(page) = pages.try_next().await? {
        if let Some(listed) = page.into_iter().next() {
            return Ok(Some(listed.key));
        }
    }
    Ok(None)
}

/// The names directly under `prefix` that have keys below them. Costs two questions a name: `any` answers with one of the
/// keys that it is asked for, whichever.
pub async fn folders<E, F>(prefix: &str, any: impl Fn(Keys) -> F) -> Result<BTreeSet<String>, E>
where
    F: Future<Output = Result<Option<String>, E>>,
{
    let (mut found, mut left) = (BTreeSet::new(), vec![Keys::under(prefix)]);
    while let Some(keys) = left.pop() {
        let Some(key) = any(keys.clone()).await? else { continue };
        let below = key.get(prefix.len()..).and_then(|rest| rest.split_once('/'));
        let (first, last) = match below {
            Some((name, _)) => {
                found.insert(name.to_owned());
                // `0` is the character after `/`: all keys below the name lie between.
                (format!("{prefix}{name}/"), format!("{prefix}{name}0"))
            }
            None => (key.clone(), key),
        };
        left.extend([keys.clone().before(first), keys.after(last)]);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(keys: &[&str], next: Option<&str>) -> Listing {
        let listed = |key: &&str| Listed { key: (*key).to_owned(), size: 1, modified: Timestamp::UNIX_EPOCH };
        let next = next.map(|token| Token(token.to_owned()));
        Listing { objects: keys.iter().map(listed).collect(), next }
    }

    #[tokio::test]
    async fn an_empty_page_is_not_the_end() {
        let pages = pages(|from| async move {
            Ok::<_, ()>(match from.as_ref().map(|token| token.0.as_str()) {
                None => listing(&[], Some("1")),
                Some("1") => listing(&["b"], Some("2")),
                Some("2") => listing(&[], Some("3")),
                Some("3") => listing(&["a"], Some("4")),
                _ => listing(&[], None),
            })
        });
        let pages: Vec<Vec<Listed>> = pages.try_collect().await.expect("pages");
        let keys: Vec<String> = pages.into_iter().flatten().map(|listed| listed.key).collect();
        assert_eq!(keys, ["b", "a"]);
    }

    #[tokio::test]
    async fn folders_are_found_whichever_key_is_answered() {
        let all = ["v/a/1", "v/a/2", "v/a0", "v/a!/1", "v/b", "v/c/1/2", "w/d/1"];
        for rotated in 0..all.len() {
            let any = |keys: Keys| async move {
                let (end, begin) = all.split_at(rotated);
                Ok::<_, ()>(
                    begin.iter().chain(end).find(|key| keys.contain(key)).map(|key| (*key).to_owned()),
                )
            };
            let found = folders("v/", any).await.expect("folders");
            assert_eq!(found, BTreeSet::from(["a", "a!", "c"].map(str::to_owned)), "{rotated}");
        }
    }
}
