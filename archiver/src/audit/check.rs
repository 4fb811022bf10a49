//! What else an audit looks at: a domain's own promises, and the views of its projections.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use async_trait::async_trait;
use headwater::{
    StoreError, Version,
    consume::{Projection, Rules, generations},
    evidence,
    format::{FormatError, key, view::View},
    invariants::{History, Invariant},
    port::{Got, Ports},
    read::Reader,
};
use serde_json::Value;

use super::{Finding, What};
use crate::relay::deliver::standing;

/// No generation: which one serves was not asked yet.
const UNASKED: u32 = u32::MAX;

/// A check of every stream, beside those that the audit makes itself. Streams come in no certain order, some at a time.
///
/// ```
/// use archiver::audit::{Finding, What, check::Check};
/// use headwater::{StoreError, invariants::History, read::Reader};
///
/// /// No stream is longer than a thousand events.
/// struct Short;
///
/// #[async_trait::async_trait]
/// impl Check for Short {
///     async fn stream(&self, _: &Reader, history: &History, _: bool) -> Result<Vec<Finding>, StoreError> {
///         let long = history.head.version.get() > 1_000;
///         let found = || Finding::new(What::Domain, &history.head.stream, "it is too long");
///         Ok(long.then(found).into_iter().collect())
///     }
/// }
/// ```
#[async_trait]
pub trait Check: Send + Sync {
    /// Looks at one stream, as S3 holds it. `old`: its newest write is older than the grace, so that nothing of it may be
    /// behind any more. Something corrupt that is read on the way is a finding; other errors end the audit.
    async fn stream(&self, reader: &Reader, history: &History, old: bool)
    -> Result<Vec<Finding>, StoreError>;

    /// What is found once every stream has been looked at. With `repair` it is mended there, where that can be done while
    /// writers go on.
    async fn end(&self, _: &Reader, _repair: Option<&Ports>) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }

    /// What was counted, for the summary.
    fn counts(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}

/// H11: the views of a projection that keeps one for each stream, against the fold of the stream: those that serve. Where one
/// is found wrong, another generation may have taken its place meanwhile, and is looked at instead.
#[derive(Debug)]
pub struct Views<P: Projection> {
    rules: Rules<P>,
    /// The generation that served when it was last asked for.
    serving: AtomicU32,
    seen: AtomicU64,
    parked: AtomicU64,
}

impl<P: Projection> Views<P> {
    /// The views that these rules make.
    pub fn new(rules: Rules<P>) -> Self {
        let (seen, parked) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { rules, serving: AtomicU32::new(UNASKED), seen, parked }
    }

    /// The generation that serves, as it is now.
    async fn ask(&self, reader: &Reader) -> Result<u32, StoreError> {
        let serving = generations(reader, P::NAME).await?.serving;
        self.serving.store(serving, Ordering::Relaxed);
        Ok(serving)
    }

    /// Looks at the view that a stream feeds in one generation.
    async fn look(
        &self,
        reader: &Reader,
        history: &History,
        old: bool,
        (generation, key): (u32, &str),
    ) -> Result<Vec<Finding>, StoreError> {
        let stream = &history.head.stream;
        let key = key::view_in(P::NAME, generation, key);
        let wrong = |found: String| vec![Finding::promise(Invariant::H11, &key, found)];
        let newest = history.head.version;
        let Got::Found { body, .. } = reader.object(&key, None).await? else {
            let behind = old && newest > Version::ZERO;
            let found = || wrong(format!("{stream} is at {newest}, and no view stands"));
            return Ok(if behind { found() } else { Vec::new() });
        };
        let corrupt = |error: FormatError| vec![Finding::new(What::Damage, &key, error.to_string())];
        let view = match View::<Value>::decode(&body) {
            Ok(view) => view,
            Err(error) => return Ok(corrupt(error)),
        };
        self.seen.fetch_add(1, Ordering::Relaxed);
        let (applied, parked) = (view.applied(stream), view.parked.contains_key(stream));
        self.parked.fetch_add(u64::from(parked), Ordering::Relaxed);
        if applied > newest {
            // The stream may have grown since it was read: then there is nothing to compare with.
            let (head, _) = standing(reader, stream).await?;
            let ahead = applied > head.version;
            let found =
                || wrong(format!("{stream} is applied through {applied}, and is at {}", head.version));
            return Ok(if ahead { found() } else { Vec::new() });
        }
        let mut findings = Vec::new();
        match evidence::folded(&self.rules, history, applied) {
            Ok(expected) if expected != view.state => {
                let state = &view.state;
                findings.extend(wrong(format!("{state} stands at {applied} instead of {expected}")));
            }
            Ok(_) => {}
            Err(reason) => findings.extend(wrong(format!("{stream} cannot be folded: {reason}"))),
        }
        if applied < newest && old && !parked {
            findings.extend(wrong(format!("{stream} is applied through {applied}, and is at {newest}")));
        }
        Ok(findings)
    }
}

#[async_trait]
impl<P: Projection> Check for Views<P> {
    async fn stream(
        &self,
        reader: &Reader,
        history: &History,
        old: bool,
    ) -> Result<Vec<Finding>, StoreError> {
        let Some(key) = self.rules.view_key(&history.head.stream) else { return Ok(Vec::new()) };
        let mut generation = match self.serving.load(Ordering::Relaxed) {
            UNASKED => self.ask(reader).await?,
            serving => serving,
        };
        loop {
            let findings = self.look(reader, history, old, (generation, &key)).await?;
            if findings.is_empty() || self.ask(reader).await? == generation {
                return Ok(findings);
            }
            generation = self.serving.load(Ordering::Relaxed);
        }
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let count =
            |what: &str, count: &AtomicU64| (format!("{what} of {}", P::NAME), count.load(Ordering::Relaxed));
        BTreeMap::from([count("views", &self.seen), count("parked streams", &self.parked)])
    }
}
