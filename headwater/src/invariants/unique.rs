//! H9: the values that states hold, against one another and against the claims to them.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{Invariant, Violation};
use crate::{claim::Claim, format::key, id::StreamId};

/// H9: a value has at most one stream whose state holds it, and the claim to it is that stream's: else another could come
/// to hold it. `claims` has the owner of each claim by its key; a claim that nobody holds was left behind and is no harm.
pub fn unique(holders: &[(Claim, StreamId)], claims: &BTreeMap<String, StreamId>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut held: BTreeMap<&Claim, &StreamId> = BTreeMap::new();
    for (claim, stream) in holders {
        match held.entry(claim) {
            Entry::Occupied(other) => {
                let found = format!("{} and {stream} hold it", other.get());
                violations.push(Violation::new(Invariant::H9, claim, found));
            }
            Entry::Vacant(free) => {
                free.insert(stream);
                let owner = claims.get(&key::claim(claim));
                if owner != Some(stream) {
                    let owner = owner.map_or("nobody's".to_owned(), |owner| format!("{owner}'s"));
                    let found = format!("{stream} holds it, and the claim to it is {owner}");
                    violations.push(Violation::new(Invariant::H9, claim, found));
                }
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_holders_and_a_holder_without_a_claim_are_found() {
        let [one, two]: [StreamId; 2] = ["user/1", "user/2"].map(|name| name.parse().expect("a stream"));
        let ann = Claim::new("username", "ann");
        let claims = |owner: &StreamId| BTreeMap::from([(key::claim(&ann), owner.clone())]);
        let held = |streams: &[&StreamId]| -> Vec<(Claim, StreamId)> {
            streams.iter().map(|stream| (ann.clone(), (*stream).clone())).collect()
        };
        assert_eq!(unique(&held(&[&one]), &claims(&one)), []);
        assert_eq!(unique(&[], &claims(&one)), [], "a claim that was left behind");
        assert_eq!(unique(&held(&[&one, &two]), &claims(&one))[0].invariant, Invariant::H9);
        assert_eq!(unique(&held(&[&one]), &claims(&two)).len(), 1);
        assert_eq!(unique(&held(&[&one]), &BTreeMap::new()).len(), 1);
    }
}
