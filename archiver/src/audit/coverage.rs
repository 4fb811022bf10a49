//! What exists and no check has the code of: it is named, so that no finding is not taken for a clean bill.
//!
//! - Of each kind that has a stream, somebody must know what its events make.
//! - Of each projection and process that has views, a pointer or timers, somebody must know what feeds them.
//! - Of each claim, somebody must know its owner's aggregate.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use headwater::{StreamId, evidence, format::key};

use super::{AuditError, Run, check::Part, damage};

/// Claims that are read at a time.
const CLAIMS_AT_A_TIME: usize = 16;

impl Run<'_> {
    /// Notes what was not checked, where streams of these kinds exist.
    pub(super) async fn coverage(&mut self, kinds: BTreeSet<String>) -> Result<(), AuditError> {
        let covered: BTreeSet<Part> = self.audit.checks.iter().flat_map(|check| check.covers()).collect();
        let mut parts: BTreeSet<Part> = kinds.into_iter().map(Part::Streams).collect();
        for prefix in [key::VIEWS, key::POINTERS, key::TIMERS] {
            let keys = self.reader.keys(prefix).await?;
            parts.extend(keys.iter().map(|key| Part::Views(name(prefix, key))));
        }
        parts.retain(|part| !covered.contains(part));
        self.summary.unchecked.extend(parts);
        self.claims().await
    }

    /// Notes the sets with a claim whose owner's aggregate no check knows.
    async fn claims(&mut self) -> Result<(), AuditError> {
        let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for key in self.reader.keys(key::CLAIMS).await? {
            sets.entry(name(key::CLAIMS, &key)).or_default().push(key);
        }
        let reader = self.reader.clone();
        for (set, keys) in sets {
            let owners = keys.into_iter().map(|key| evidence::owner(&reader, key));
            let mut owners = stream::iter(owners.collect::<Vec<_>>()).buffer_unordered(CLAIMS_AT_A_TIME);
            while let Some(owner) = owners.next().await {
                match owner {
                    Ok(Some((_, owner))) if !self.judged(&owner) => {
                        self.summary.unchecked.insert(Part::Claims(set));
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => self.find(&damage(error)?),
                }
            }
        }
        Ok(())
    }

    fn judged(&self, owner: &StreamId) -> bool {
        self.audit.checks.iter().any(|check| check.judges(owner))
    }
}

/// Whose object this is: the first segment behind the prefix, without the generation of views.
fn name(prefix: &str, key: &str) -> String {
    let rest = key.strip_prefix(prefix).unwrap_or(key);
    let segment = rest.split_once('/').map_or(rest, |(segment, _)| segment);
    key::projection_of(segment).unwrap_or_else(|| segment.to_owned())
}
